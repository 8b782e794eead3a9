"""Files are whole or not there, whatever happens while they are written."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from cuelight.errors import CuelightError
from cuelight.utils.files import atomic_write, read_json, remove_partial_files, short_path, write_text

OLD, NEW = b"old " * 1000, b"new " * 50_000


class Crash(Exception):
    """Stands for any error."""


def test_what_is_written_can_be_read_before_it_has_its_name(tmp_path) -> None:
    with atomic_write(tmp_path / "file") as file:
        file.write(b"written")
        file.seek(0)
        assert file.read() == b"written"


def test_file_takes_its_name_when_complete(tmp_path) -> None:
    path = tmp_path / "missing" / "folder" / "file"
    with atomic_write(path) as file:
        file.write(NEW)
        assert not path.exists()
    assert path.read_bytes() == NEW
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [Crash, KeyboardInterrupt, SystemExit])
def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path, error) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def fail():
        with atomic_write(path) as file:
            file.write(NEW)
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from cuelight.utils.files import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write(b"new " * 50_000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_the_old_file_is_there_and_the_rest_is_removed(tmp_path) -> None:
    path = tmp_path / "folder" / "file"
    write_text(path, "old")
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(path.parent.iterdir())) == 2
    remove_partial_files(path.parent)
    assert list(path.parent.iterdir()) == [path]


def test_only_what_is_partial_is_removed(tmp_path) -> None:
    kept = [tmp_path / ".hidden", tmp_path / "model.partial", tmp_path / "last.ckpt"]
    for path in kept:
        path.touch()
    (tmp_path / "folder").mkdir()
    kept.append(tmp_path / "folder" / ".of-someone-else.partial")
    kept[-1].touch()
    (tmp_path / ".last.ckpt.abc123.partial").touch()
    remove_partial_files(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
    remove_partial_files(tmp_path / "nowhere")


def test_permissions_are_those_of_any_new_file(tmp_path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_rights_of_new_files_are_not_changed_for_other_threads(tmp_path, monkeypatch) -> None:
    """Two threads that ask for ``os.umask`` by changing it may leave it at zero, for the rest of the process."""
    changes = []
    monkeypatch.setattr(os, "umask", changes.append)
    write_text(tmp_path / "file", "text")
    assert changes == []


def test_text_is_utf_8(tmp_path) -> None:
    write_text(tmp_path / "file", "Größe ✓\n")
    assert (tmp_path / "file").read_bytes() == "Größe ✓\n".encode()


def test_path_as_it_can_be_typed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert short_path(tmp_path / "runs" / "a") == "runs/a"
    assert short_path(tmp_path.parent / "b") == str(tmp_path.parent / "b")


def test_json_that_is_not_there(tmp_path) -> None:
    assert read_json(tmp_path / "a.json", "") is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff{", "decode"),
        (b"[" * 100_000, "recursion"),
        (b"[1]", "expected a dict, got a list"),
        (b"9" * 5000, "integer string"),
    ],
    ids=["empty", "no text", "deep", "a list", "a long number"],
)
def test_damaged_json_is_named_with_a_remedy(tmp_path, content, reason) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(CuelightError, match=rf"a\.json: this file is damaged: .*{reason}.*\. Delete it\."):
        read_json(tmp_path / "a.json", "Delete it.")


@pytest.mark.parametrize("content", ["[1]", '{"a": 1}', '{"a": ["b"]}'])
def test_what_is_inside_of_json_is_checked(tmp_path, content) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(CuelightError, match=r"a\.json: this file is damaged: .*Input should be .*\. Delete it\."):
        read_json(tmp_path / "a.json", "Delete it.", dict[str, dict[str, str]])
    (tmp_path / "a.json").write_text('{"a": {"b": "c"}}')
    assert read_json(tmp_path / "a.json", "Delete it.", dict[str, dict[str, str]]) == {"a": {"b": "c"}}


def test_large_json_is_refused_before_it_is_read(tmp_path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(CuelightError, match="more than 256 MiB"):
        read_json(tmp_path / "a.json", "Delete it.")
