"""Files of a tracker that has a folder: of this machine, or elsewhere."""

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cuelight.tracking.loggers.folder import Folder


class Renaming(MemoryFileSystem):
    """A server that renames files, though not onto others, and shows what has arrived so far, as FTP does."""

    protocol = "renaming"
    store = {}  # noqa: RUF012 - as of its base
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("renaming://", "memory://"))

    def mv(self, path1, path2, **kwargs):
        if self.exists(path2):
            raise FileExistsError(path2)
        super().mv(path1, path2, **kwargs)


fsspec.register_implementation("renaming", Renaming, clobber=True)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "outside" / "best.ckpt"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


@pytest.fixture(params=["local", "memory", "renaming"])
def place(request, tmp_path):
    return str(tmp_path / "logs") if request.param == "local" else f"{request.param}://{tmp_path.name}/logs"


def content(path):
    with fsspec.open(path, "rb") as file:
        return file.read()


def test_file_is_there_byte_for_byte(place, file) -> None:
    where = Folder(place).log_artifact(file, "checkpoints")
    assert where == f"{place}/checkpoints/best.ckpt".replace("memory://", "memory:///").replace(
        "renaming://", "renaming:///"
    )
    assert content(where) == b"weights"


def test_newer_file_replaces_the_older(place, file) -> None:
    Folder(place).log_artifact(file)
    file.write_bytes(b"better weights")
    assert content(Folder(place).log_artifact(file)) == b"better weights"


def test_file_is_removed_and_may_be_missing(place, file) -> None:
    where = Folder(place).log_artifact(file, "checkpoints")
    for _ in range(2):
        Folder(place).delete_artifact("best.ckpt", "checkpoints")
    with pytest.raises(FileNotFoundError):
        content(where)


def test_copy_that_fails_leaves_the_older_file(tmp_path, file, monkeypatch) -> None:
    folder = Folder(str(tmp_path / "logs"))
    where = folder.log_artifact(file)
    file.write_bytes(b"better weights")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="no space left"):
        folder.log_artifact(file)
    monkeypatch.undo()
    assert content(where) == b"weights"
    assert len(list((tmp_path / "logs").iterdir())) == 1


def test_file_that_arrived_in_part_is_an_error(file, tmp_path, monkeypatch) -> None:
    files = fsspec.filesystem("memory")
    monkeypatch.setattr(files, "put_file", lambda source, target: files.pipe_file(target, b"wei"))
    with pytest.raises(OSError, match=r"has 3 bytes, .* has 7"):
        Folder(f"memory://{tmp_path.name}").log_artifact(file)


def test_connection_that_breaks_leaves_the_older_file_on_a_server(file, tmp_path, monkeypatch) -> None:
    folder = Folder(f"renaming://{tmp_path.name}")
    where = folder.log_artifact(file)
    files = fsspec.filesystem("renaming")

    def broken(source, target):
        files.pipe_file(target, b"bet")
        raise ConnectionError("gone")

    file.write_bytes(b"better weights")
    monkeypatch.setattr(files, "put_file", broken)
    with pytest.raises(ConnectionError):
        folder.log_artifact(file)
    monkeypatch.undo()
    assert content(where) == b"weights"
    assert content(folder.log_artifact(file)) == b"better weights"
    assert [path.rpartition("/")[2] for path in files.ls(tmp_path.name, detail=False)] == ["best.ckpt"]


@pytest.mark.parametrize(("folder", "remain"), [("checkpoints", []), ("", [".diff.patch.abc.partial"])])
def test_what_a_killed_process_left_half_written_is_removed(tmp_path, file, folder, remain) -> None:
    """In the folder itself several threads write, each a file of its own."""
    there = tmp_path / "logs" / folder
    there.mkdir(parents=True)
    for name in ("best.ckpt", "diff.patch"):
        (there / f".{name}.abc.partial").write_bytes(b"wei")
    Folder(str(tmp_path / "logs")).log_artifact(file, folder)
    assert sorted(path.name for path in there.iterdir()) == [*remain, "best.ckpt"]


def test_only_a_file_below_a_folder_of_this_machine_is_there_already(tmp_path, file) -> None:
    assert Folder(str(file.parent)).has(file)
    assert Folder(str(tmp_path)).has(file)
    assert not Folder(str(tmp_path / "logs")).has(file)
    assert not Folder(f"memory://{file.parent}").has(file)
