"""What git says of a repository, whatever state it is in, and that nothing in it is written."""

import os
import shutil
import subprocess
import threading

import pytest

from cuelight.provenance.git_command import Git, GitError, NoRepositoryError
from cuelight.provenance.repository import read_repository, tracks

LONGEST = 10  # seconds
SECOND = 1_600_000_000


def git(folder, *arguments):
    settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit of two files."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "train.py").write_text("x = 1\n")
    (folder / ".gitignore").write_text("runs/\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_clean_repository(repository) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert read_repository(repository).to_dict() == {
        "commit": commit, "branch": "main", "dirty": False, "diff": "none", "remote": "none",
    }  # fmt: skip


def test_folder_inside(repository) -> None:
    (repository / "deep" / "er").mkdir(parents=True)
    assert read_repository(repository / "deep" / "er") == read_repository(repository)


def test_changed_file(repository) -> None:
    (repository / "train.py").write_text("x = 2  # changed\n")
    found = read_repository(repository)
    assert b"+x = 2  # changed" in found.diff
    assert found.to_dict()["dirty"] is True


def test_change_of_the_same_size_in_the_same_second_beside_a_new_file(repository) -> None:
    """Git looks into a file that is as old as its index."""
    git(repository, "config", "core.trustctime", "false")
    os.utime(repository / "train.py", (SECOND, SECOND))
    git(repository, "add", "train.py")
    (repository / "train.py").write_text("x = 2\n")
    for file in ("train.py", ".git/index"):
        os.utime(repository / file, (SECOND, SECOND))
    (repository / "new.py").write_text("y = 1\n")
    assert b"+x = 2" in read_repository(repository).diff


def test_staged_change_counts(repository) -> None:
    (repository / "train.py").write_text("x = 2  # changed\n")
    git(repository, "add", "train.py")
    assert b"+x = 2" in read_repository(repository).diff


def test_new_code_counts_and_new_data_does_not(repository) -> None:
    (repository / "photos").mkdir()
    (repository / "photos" / "cat.png").write_bytes(b"\x89PNG")
    (repository / "runs").mkdir()
    (repository / "runs" / "ignored.py").write_text("z = 1\n")
    assert not read_repository(repository).diff
    (repository / "my model.py").write_text("y = 1\n")
    assert b"+y = 1" in read_repository(repository).diff


def test_diff_can_be_applied(repository, tmp_path) -> None:
    (repository / "train.py").write_text("x = 2  # changed\n")
    (repository / "new.py").write_text("y = 1\n")
    patch = tmp_path / "diff.patch"
    patch.write_bytes(read_repository(repository).diff)
    git(tmp_path, "clone", "-q", str(repository), "copy")
    git(tmp_path / "copy", "apply", str(patch))
    assert (tmp_path / "copy" / "train.py").read_text() == "x = 2  # changed\n"
    assert (tmp_path / "copy" / "new.py").read_text() == "y = 1\n"


def test_hash_does_not_depend_on_the_users_diff_settings(repository) -> None:
    (repository / "train.py").write_text("x = 2  # changed\n")
    before = read_repository(repository).to_dict()["diff"]
    for key, value in {
        "diff.noprefix": "true", "diff.algorithm": "patience", "color.ui": "always", "diff.external": "false",
        "diff.context": "9", "core.pager": "false", "diff.mnemonicPrefix": "true",
    }.items():  # fmt: skip
        git(repository, "config", key, value)
    assert read_repository(repository).to_dict()["diff"] == before


def test_nothing_is_written(repository) -> None:
    (repository / "train.py").write_text("x = 2  # changed\n")
    (repository / "new.py").write_text("y = 1\n")

    def state():
        files = sorted(path for path in (repository / ".git").rglob("*") if path.is_file())
        return [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in files]

    before = state()
    read_repository(repository)
    assert state() == before


def test_detached_head(repository) -> None:
    git(repository, "checkout", "-q", "--detach")
    assert read_repository(repository).to_dict()["branch"] == "none: detached head"


def test_nothing_committed_yet(tmp_path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    described = read_repository(tmp_path).to_dict()
    assert described["commit"] == "none: nothing is committed yet"
    assert described["dirty"] == "not known: nothing is committed yet"
    assert described["branch"] == "main"


def test_submodule_with_another_commit(repository, tmp_path) -> None:
    inner = tmp_path / "inner"
    shutil.copytree(repository, inner)
    git(repository, "submodule", "--quiet", "add", str(inner), "library")
    git(repository, "commit", "-q", "-m", "library")
    assert not read_repository(repository).diff
    git(repository / "library", "commit", "-q", "--allow-empty", "-m", "second")
    assert b"+Subproject commit" in read_repository(repository).diff


@pytest.mark.parametrize("name", ["origin", "elsewhere"])
def test_remote_without_credentials(repository, name) -> None:
    git(repository, "remote", "add", name, "https://ada:hunter2@example.org/ada/project.git")
    assert read_repository(repository).to_dict()["remote"] == "https://REDACTED@example.org/ada/project.git"


def test_no_repository(tmp_path) -> None:
    with pytest.raises(NoRepositoryError):
        read_repository(tmp_path)


def test_git_is_not_installed(repository, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GitError, match="git is not installed"):
        read_repository(repository)


def test_repository_of_another_user(repository, monkeypatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for this
    with pytest.raises(GitError, match="another user owns the repository"):
        read_repository(repository)


def test_warning_of_git_is_no_refusal(repository, monkeypatch) -> None:
    """Such as of a configuration in a folder that cannot be read."""
    git(repository, "checkout", "-q", "--detach")
    program = repository.parent / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "warning: unable to access" >&2\nexec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    described = read_repository(repository).to_dict()
    assert described["commit"] == git(repository, "rev-parse", "HEAD")
    assert described["branch"] == "none: detached head"


def test_variables_of_a_hook_are_about_another_repository(repository, tmp_path, monkeypatch) -> None:
    expected = read_repository(repository)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert read_repository(repository) == expected


@pytest.mark.parametrize("then", ["wait", "kill -9 $$"], ids=["git waits", "git was killed"])
def test_hanging_git_is_ended_with_what_it_started(repository, tmp_path, monkeypatch, then) -> None:
    """A child of git waits for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n(read line < {pipe}) &\n{then}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    with pytest.raises(GitError, match=r"git took longer than 0\.2 seconds"):
        Git(repository, seconds=0.2).ask("status")
    with pytest.raises(OSError, match="No such device or address"):  # nobody reads any more
        os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)


def test_daemon_left_behind_by_git_is_not_waited_for(repository, tmp_path, monkeypatch) -> None:
    """A daemon in a session of its own, which keeps the output of git open until it is told to end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    told = os.open(pipe, os.O_RDWR)
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nsetsid sh -c 'read line < {pipe}' &\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    late = threading.Timer(LONGEST, os.write, [told, b"end\n"])
    late.start()
    with pytest.raises(GitError, match=r"git took longer than 0\.2 seconds"):
        Git(repository, seconds=0.2).ask("status")
    still_waiting = late.is_alive()
    late.cancel()
    os.write(told, b"end\n")
    os.close(told)
    assert still_waiting


def test_commit_is_known_where_the_difference_takes_too_long(repository, monkeypatch) -> None:
    (repository / "train.py").write_text("x = 2  # changed\n")
    ask = Git.ask

    def slow(self, *arguments, **options):
        if "diff" in arguments:
            raise GitError("git took longer than 5 seconds")
        return ask(self, *arguments, **options)

    monkeypatch.setattr(Git, "ask", slow)
    described = read_repository(repository).to_dict()
    assert described["commit"] == git(repository, "rev-parse", "HEAD")
    assert described["dirty"] == "not known: git took longer than 5 seconds"


def test_file_that_only_lies_in_a_repository_is_not_tracked(repository) -> None:
    environment = repository / "runs" / "site-packages"
    environment.mkdir(parents=True)
    (environment / "other.py").touch()
    assert tracks(repository / "train.py")
    assert not tracks(environment / "other.py")
