"""Files of a tracker that has a folder: of this machine, or elsewhere."""

import fsspec
import pytest

from cuelight.tracking.folder import Folder


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "outside" / "best.ckpt"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    return str(tmp_path / "logs") if request.param == "local" else f"memory://{tmp_path.name}/logs"


def content(path):
    with fsspec.open(path, "rb") as file:
        return file.read()


def test_file_is_there_byte_for_byte(place, file) -> None:
    where = Folder(place).log_artifact(file, "checkpoints")
    assert where == f"{place}/checkpoints/best.ckpt".replace("memory://", "memory:///")
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


def test_only_a_file_below_a_folder_of_this_machine_is_there_already(tmp_path, file) -> None:
    assert Folder(str(file.parent)).has(file)
    assert Folder(str(tmp_path)).has(file)
    assert not Folder(str(tmp_path / "logs")).has(file)
    assert not Folder(f"memory://{file.parent}").has(file)
