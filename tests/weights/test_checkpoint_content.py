"""What a checkpoint holds is compared with its file before anything large is made of it."""

import zipfile

import pytest
import torch

from cuelight.errors import CheckpointError
from cuelight.weights.checkpoint_io import AtomicCheckpointIO
from cuelight.weights.reading import load_checkpoint

WEIGHTS = {"weight": torch.arange(6.0)}


def saved(path, **entries):
    torch.save({"state_dict": WEIGHTS, "global_step": 3} | entries, path)
    return path


def refused(path):
    with pytest.raises(CheckpointError, match="this checkpoint cannot be read") as error:
        load_checkpoint(path)
    return str(error.value)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_compressed_file_is_refused_before_it_is_unpacked(tmp_path, mmap) -> None:
    path = saved(tmp_path / "a.ckpt", state_dict={"weight": torch.zeros(2**20)})
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "b.ckpt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(CheckpointError, match=r"it has \d+ bytes, but unpacks to 4\d+"):
        load_checkpoint(tmp_path / "b.ckpt", mmap=mmap)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("entry", ["state_dict", "optimizer_states", "own"])
def test_a_tensor_larger_than_its_file_is_refused(tmp_path, legacy, entry) -> None:
    large = {"a": torch.zeros(1).expand(2 * 10**9)}
    content = {"state_dict": WEIGHTS} | {entry: [large] if entry == "optimizer_states" else large}
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=not legacy)
    assert "a tensor of the shape (2000000000,) needs 8000000000 bytes" in refused(tmp_path / "a.ckpt")


class Asking:
    """Pickled as a call that makes a bytearray of a million bytes."""

    def __reduce__(self):
        return bytearray, (10**6,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_bytearray_is_refused(tmp_path, legacy) -> None:
    content = {"state_dict": WEIGHTS, "own": Asking()}
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=not legacy)
    assert "it makes a bytearray" in refused(tmp_path / "a.ckpt")


def test_a_small_expanded_buffer_is_read(tmp_path) -> None:
    path = saved(tmp_path / "a.ckpt", state_dict={"mask": torch.ones(1, 1).expand(1024, 1024)})
    assert load_checkpoint(path)["state_dict"]["mask"].shape == (1024, 1024)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"state_dict": [1]}, "state_dict: expected a mapping, got list"),
        ({"state_dict": {1: torch.zeros(1)}}, "state_dict: expected names of weights"),
        ({"hyper_parameters": None}, "hyper_parameters: expected a mapping, got NoneType"),
        ({"hyper_parameters": 3}, "hyper_parameters: expected a mapping, got int"),
        ({"callbacks": []}, "callbacks: expected a mapping, got list"),
        ({"global_step": "3"}, "global_step: expected a number from 0, got str"),
        ({"global_step": -1}, "global_step: expected a number from 0"),
        ({"epoch": 10**30}, "epoch: expected a number from 0"),
        ({"optimizer_states": {}}, "optimizer_states: expected a list, got dict"),
        ({"loops": {"fit_loop": None}}, "loops.fit_loop: expected a mapping"),
        ({"loops": {"fit_loop": {"epoch_progress": {"current": {"ready": "x"}}}}}, "current.ready: expected a number"),
    ],
)
def test_entries_of_another_kind_are_named(tmp_path, entries, message) -> None:
    path = saved(tmp_path / "a.ckpt", **entries)
    assert message in refused(path)
    with pytest.raises(CheckpointError):
        AtomicCheckpointIO().load_checkpoint(path)


def test_values_that_repeat_are_visited_once(tmp_path) -> None:
    nested = ["x"]
    for _ in range(80):
        nested = [nested, nested]
    circle = []
    circle.append(circle)
    assert load_checkpoint(saved(tmp_path / "a.ckpt", own=nested, other=circle))["global_step"] == 3
