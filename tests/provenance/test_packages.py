"""The git hash of a package, from where it was installed."""

import json
import subprocess
import sys

import pytest

import cuelight
from cuelight.provenance.git_command import GitError
from cuelight.provenance.packages import describe_package, installed_versions
from cuelight.provenance.repository import Repository

COMMIT = "2b8ff1c0a1d24e0f9a6fd0b6a4e0f5c1d2e3f4a5"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package with a record of where it comes from."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(record=None):
        (tmp_path / "some_package").mkdir()
        (tmp_path / "some_package" / "__init__.py").touch()
        described = tmp_path / "some_package-1.2.dist-info"
        described.mkdir()
        (described / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.2\n")
        if record is not None:
            (described / "direct_url.json").write_text(json.dumps(record))
        return describe_package("some-package", "some_package")

    return installed


def test_release(install) -> None:
    assert install() == {"version": "1.2", "origin": "installed from a release: version 1.2, no git hash"}


def test_version_control(install) -> None:
    record = {
        "url": "https://ada:hunter2@example.org/some-package.git",
        "vcs_info": {"vcs": "git", "commit_id": COMMIT, "requested_revision": "main"},
    }
    assert install(record) == {
        "version": "1.2",
        "origin": "installed from a git repository",
        "commit": COMMIT,
        "remote": "https://REDACTED@example.org/some-package.git",
    }


def test_archive(install) -> None:
    found = install({"url": "https://example.org/some.whl?token=hunter2", "archive_info": {}})
    origin = "installed from the file https://example.org/some.whl?token=REDACTED: version 1.2, no git hash"
    assert found["origin"] == origin


def test_folder(install, tmp_path) -> None:
    found = install({"url": f"file://{tmp_path}", "dir_info": {"editable": True}})
    assert found["origin"] == "installed from a folder: version 1.2, no git hash"


def test_not_installed() -> None:
    assert describe_package("no-such-package", "no_such_package") == {"version": "none", "origin": "not installed"}


def test_files_that_a_repository_tracks_are_of_its_commit(install, monkeypatch) -> None:
    repository = Repository(COMMIT, "main", None, b"")
    monkeypatch.setattr("cuelight.provenance.packages.tracks", lambda file: file.name == "__init__.py")
    monkeypatch.setattr("cuelight.provenance.packages.read_repository", lambda folder: repository)
    found = install()
    assert found["origin"] == "a git repository"
    assert found["commit"] == COMMIT


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [("PATH", "", "git is not installed"), ("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1", "another user owns")],
)
def test_git_that_does_not_answer_is_told(install, tmp_path, monkeypatch, variable, value, reason) -> None:
    """Where the files lie in a repository, nothing but git knows whether they are of it."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.setenv(variable, value)
    with pytest.raises(GitError, match=reason):
        install({"url": f"file://{tmp_path}", "dir_info": {"editable": True}})


def test_luxonis_ml_is_not_imported_for_it() -> None:
    loaded = "luxonis_ml" in sys.modules
    describe_package("luxonis-ml", "luxonis_ml")
    assert ("luxonis_ml" in sys.modules) == loaded


def test_versions_are_in_alphabetical_order() -> None:
    found = installed_versions()
    assert found["cuelight"] == cuelight.__version__
    assert list(found) == sorted(found, key=str.lower)
