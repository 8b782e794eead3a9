"""Checkpoints are written whole and read without running code; what cannot be read is refused with the reason."""

import os
import pickle
import zipfile
from contextlib import suppress
from random import Random

import pytest
import torch

from cuelight.errors import CheckpointError
from cuelight.weights.checkpoint_io import AtomicCheckpointIO
from cuelight.weights.reading import load_checkpoint
from support.trainers import fit

CONTENT = {"state_dict": {"weight": torch.arange(6.0)}, "global_step": 3}


class Hostile:
    """Runs a command when it is unpickled by a careless reader."""

    def __init__(self, evidence) -> None:
        self.evidence = evidence

    def __reduce__(self):
        return os.mkdir, (str(self.evidence),)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CONTENT, path)
    return path


def refused(path):
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_bare_weights_come_back_from_another_process(tmp_path):
    AtomicCheckpointIO().save_checkpoint(CONTENT["state_dict"], tmp_path / ".temp.ckpt")
    weights = AtomicCheckpointIO().load_checkpoint(tmp_path / ".temp.ckpt")
    assert torch.equal(weights["weight"], CONTENT["state_dict"]["weight"])


def test_written_and_read(saved) -> None:
    content = AtomicCheckpointIO().load_checkpoint(saved)
    assert content["global_step"] == 3
    assert torch.equal(content["state_dict"]["weight"], CONTENT["state_dict"]["weight"])
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("weights_only", [None, True, False])
@pytest.mark.parametrize("legacy", [False, True])
def test_hostile_pickle_is_refused_and_not_run(tmp_path, weights_only, legacy) -> None:
    evidence, path = tmp_path / "it-ran", tmp_path / "hostile.ckpt"
    torch.save(CONTENT | {"extra": Hostile(evidence)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="not loaded, because it contains more than tensors") as error:
        AtomicCheckpointIO().load_checkpoint(path, weights_only=weights_only)
    assert "posix.mkdir" in str(error.value)
    assert "weights_only" not in str(error.value)  # torch advises to switch its protection off
    assert not evidence.exists()


def test_bare_hostile_pickle_is_refused(tmp_path) -> None:
    path = tmp_path / "hostile.ckpt"
    path.write_bytes(pickle.dumps(Hostile(tmp_path / "it-ran")))
    refused(path)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_file(saved, share) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    assert "this checkpoint cannot be read" in refused(saved)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_bytes(saved, legacy) -> None:
    """Whatever a damaged file makes torch stumble over, the error is ours."""
    torch.save(CONTENT, saved, _use_new_zipfile_serialization=not legacy)
    whole = saved.read_bytes()
    random = Random(1)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(random.choice([1, 4, 64])):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        saved.write_bytes(damaged)
        with suppress(CheckpointError):
            load_checkpoint(saved)


def test_missing_file_and_folder(tmp_path) -> None:
    assert "there is no such checkpoint file" in refused(tmp_path / "none.ckpt")
    assert "there is no such checkpoint file" in refused(tmp_path)


@pytest.mark.parametrize(
    "content", [b"text, no checkpoint\n", b"\x89PNG\r\n\x1a\n" + bytes(100), b"\x00" * 64, b"PK\x03\x04" + bytes(64)]
)
def test_files_of_other_formats_are_refused(tmp_path, content) -> None:
    path = tmp_path / "other.ckpt"
    path.write_bytes(content)
    refused(path)


def test_zip_file_of_something_else(tmp_path) -> None:
    path = tmp_path / "archive.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "this checkpoint cannot be read" in refused(path)


@pytest.mark.parametrize(
    "content", [{"model": torch.ones(2)}, torch.ones(2), [1, 2]], ids=["mapping", "tensor", "list"]
)
def test_file_of_tensors_that_is_no_checkpoint(tmp_path, content) -> None:
    path = tmp_path / "tensor.pt"
    torch.save(content, path)
    assert "no `state_dict`" in refused(path)


def test_object_that_cannot_be_saved_leaves_the_old_file(saved) -> None:
    before = saved.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        AtomicCheckpointIO().save_checkpoint(CONTENT | {"extra": lambda: None}, saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_folder_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "last.ckpt"
    with pytest.raises(CheckpointError, match=r"could not be written: (Not a directory|File exists)") as error:
        AtomicCheckpointIO().save_checkpoint(CONTENT, path)
    assert "No partial file remains" in str(error.value)


def test_plugin_of_a_trainer_of_ones_own(tmp_path) -> None:
    saved = tmp_path / "here" / "mine.ckpt"
    trainer, _ = fit(tmp_path, max_epochs=1, plugins=[AtomicCheckpointIO()])
    trainer.save_checkpoint(saved)
    _, again = fit(tmp_path, resume=saved, max_epochs=2, plugins=[AtomicCheckpointIO()])
    assert again.trace[0][0] == 1  # it went on in the second epoch
    assert torch.load(saved, weights_only=True)["global_step"] == 5
