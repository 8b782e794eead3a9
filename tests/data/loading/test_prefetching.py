from __future__ import annotations

import logging
import multiprocessing
import subprocess
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Process
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from cuelight.data.base.image_files import ImageFiles
from cuelight.data.loading.loaders import evaluation_loader, training_loader
from cuelight.data.loading.prefetching import CheckedLoader, ResumableLoader, SkippedFiles
from cuelight.errors import DataError
from cuelight.images.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(size=(20, 20), mean=(0.5,), std=(0.5,), color="GRAY")
AUGMENTATION = v2.Compose([v2.RandomAffine(20, translate=(0.2, 0.2)), v2.ColorJitter(0.5, 0.5)])

Batches = list[tuple[Tensor, Tensor]]


@pytest.fixture
def files(digit_files: Path) -> ImageFiles:
    paths = sorted(digit_files.rglob("*.png"))
    labels = [["one", "two", "zero"].index(path.parent.name) for path in paths]
    return ImageFiles([str(path) for path in paths], labels)


@pytest.fixture
def make_loader(files: ImageFiles) -> Callable[..., ResumableLoader]:
    def make(num_workers: int = 0, skipped: SkippedFiles | None = None, batch_size: int = 5) -> ResumableLoader:
        return training_loader(
            files,
            PREPROCESSING,
            batch_size=batch_size,
            num_workers=num_workers,
            seed=3,
            augmentation=AUGMENTATION,
            skipped=skipped,
        )

    return make


LONGEST = 60  # seconds that a test waits for what has to come


def _equal(one: Iterable[tuple[Tensor, Tensor]], other: Iterable[tuple[Tensor, Tensor]]) -> bool:
    one, other = list(one), list(other)
    return len(one) == len(other) and all(
        torch.equal(a_images, b_images) and torch.equal(a_labels, b_labels)
        for (a_images, a_labels), (b_images, b_labels) in zip(one, other, strict=True)
    )


def _take(batches: Iterator[tuple[Tensor, Tensor]], count: int) -> Batches:
    return [next(batches) for _ in range(count)]


def _destroy(files: ImageFiles, *positions: int) -> list[str]:
    for position in positions:
        path = Path(files.paths[position])
        path.write_bytes(path.read_bytes()[:60])
    return [files.paths[position] for position in positions]


def _require_ended(workers: Iterable[Process]) -> None:
    for worker in workers:
        worker.join(LONGEST)
    assert not any(worker.is_alive() for worker in workers)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 2), (0, 2), (2, 0)])
@pytest.mark.parametrize("epoch", [0, 4])
def test_a_resumed_epoch_gives_the_batches_that_were_to_come(make_loader, before: int, after: int, epoch: int) -> None:
    uninterrupted = make_loader()
    uninterrupted.sampler.set_epoch(epoch)
    whole = list(uninterrupted)

    interrupted = make_loader(before)
    interrupted.sampler.set_epoch(epoch)
    taken = _take(iter(interrupted), 3)
    state = interrupted.state_dict()
    resumed = make_loader(after)
    resumed.load_state_dict(state)

    assert state == {"epoch": epoch, "batches": 3}
    assert resumed.state_dict() == state
    assert _equal(taken + list(resumed), whole)


def test_resuming_loads_none_of_the_earlier_images(make_loader, files: ImageFiles) -> None:
    loader = make_loader()
    earlier = [key.position for key in loader.sampler][:15]
    _destroy(files, *earlier)
    loader.load_state_dict({"epoch": 0, "batches": 3})

    assert len(list(loader)) == len(loader) - 3


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_epoch_after_a_resumed_one_is_whole(make_loader, num_workers: int) -> None:
    uninterrupted = make_loader()
    uninterrupted.sampler.set_epoch(1)
    whole = list(uninterrupted)

    resumed = make_loader(num_workers)
    resumed.load_state_dict({"epoch": 0, "batches": 3})
    list(resumed)
    resumed.sampler.set_epoch(1)

    assert _equal(resumed, whole)
    assert resumed.state_dict() == {"epoch": 1, "batches": len(whole)}


def test_the_place_at_the_end_of_an_epoch_is_the_start_of_the_next(make_loader) -> None:
    loader = make_loader()
    list(loader)
    resumed = make_loader()
    resumed.load_state_dict(loader.state_dict())

    assert resumed.state_dict() == {"epoch": 1, "batches": 0}
    loader.sampler.set_epoch(1)
    assert _equal(resumed, loader)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_epoch_may_be_set_after_the_pass_was_started(make_loader, num_workers: int) -> None:
    expected = make_loader()
    expected.sampler.set_epoch(2)

    loader = make_loader(num_workers)
    batches = iter(loader)
    loader.sampler.set_epoch(2)

    assert _equal(batches, expected)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_pass_that_was_given_up_leaves_no_trace(make_loader, num_workers: int) -> None:
    loader = make_loader(num_workers)
    whole = list(loader)
    _take(iter(loader), 2)

    assert _equal(loader, whole)


def test_a_batch_that_was_not_used_is_handed_out_again(files: ImageFiles) -> None:
    loader = training_loader(files, PREPROCESSING, batch_size=5, num_workers=0, seed=3)
    loader.used_batches = lambda: 2
    _take(iter(loader), 3)

    assert loader.state_dict() == {"epoch": 0, "batches": 2}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_loading_draws_nothing_from_the_global_generator(make_loader, num_workers: int) -> None:
    before = torch.get_rng_state()
    list(make_loader(num_workers))

    assert torch.equal(torch.get_rng_state(), before)


class Rank:
    world_size = 3

    class strategy:  # noqa: N801
        root_device = torch.device("cpu")

    def __init__(self, rank: int) -> None:
        self.global_rank = rank


def test_ranks_together_evaluate_each_image_once(files: ImageFiles) -> None:
    numbered = ImageFiles(files.paths[:34], range(34))
    seen: list[int] = []
    for rank in range(3):
        loader = evaluation_loader(numbered, PREPROCESSING, batch_size=11, num_workers=0, trainer=Rank(rank))  # type: ignore[arg-type]
        batches = list(loader)
        assert len(batches) == len(loader) == 2
        seen += [label for _, labels in batches for label in labels.tolist()]

    assert sorted(seen) == list(range(34))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("make", [training_loader, evaluation_loader])
def test_a_corrupt_image_raises_an_error_that_names_the_file(files: ImageFiles, make, num_workers: int) -> None:
    (path,) = _destroy(files, 20)
    seed = {"seed": 0} if make is training_loader else {}
    loader = make(files, PREPROCESSING, batch_size=4, num_workers=num_workers, **seed)

    with pytest.raises(DataError) as error:
        list(loader)
    assert str(error.value).startswith(f"{path}: the image cannot be read: ")
    assert "\n" not in str(error.value)  # no traceback of a worker in the message


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_missing_image_raises_an_error_that_names_the_file(files: ImageFiles, num_workers: int) -> None:
    Path(files.paths[7]).unlink()

    with pytest.raises(DataError, match="no longer exists") as error:
        list(evaluation_loader(files, PREPROCESSING, batch_size=4, num_workers=num_workers))
    assert files.paths[7] in str(error.value)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_in_evaluation_a_skipped_image_counts_nowhere(files: ImageFiles, num_workers: int, caplog) -> None:
    numbered = ImageFiles(files.paths, range(36))
    destroyed = _destroy(files, 4, 8, 9, 10, 11)  # 8 to 11 are a whole batch
    skipped = SkippedFiles("val", 36)
    loader = evaluation_loader(numbered, PREPROCESSING, batch_size=4, num_workers=num_workers, skipped=skipped)

    with caplog.at_level(logging.WARNING):
        labels = [label for _, labels in loader for label in labels.tolist()]
        list(loader)

    assert labels == [position for position in range(36) if position not in {4, 8, 9, 10, 11}]
    (record,) = caplog.records  # a second pass has nothing new to say
    assert "val: skipped 5 of 36 images that cannot be read" in record.getMessage()
    assert all(path in record.getMessage() for path in destroyed)


def test_several_ranks_refuse_to_skip_a_whole_batch(files: ImageFiles) -> None:
    destroyed = _destroy(files, 1, 12, 15, 18, 21)  # of rank 0 the whole second batch, of rank 1 a single image
    options = {"batch_size": 4, "num_workers": 0, "skipped": SkippedFiles("val", 36)}
    sizes = [len(labels) for _, labels in evaluation_loader(files, PREPROCESSING, trainer=Rank(1), **options)]  # type: ignore[arg-type]
    assert sizes == [3, 4, 4]
    with pytest.raises(DataError, match="a batch cannot be skipped") as error:
        list(evaluation_loader(files, PREPROCESSING, trainer=Rank(0), **options))  # type: ignore[arg-type]
    assert destroyed[1] in str(error.value)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_in_training_batches_keep_their_size_and_the_skipped_are_reported(
    make_loader, files: ImageFiles, num_workers: int, caplog
) -> None:
    destroyed = _destroy(files, *range(7))
    loader = make_loader(num_workers, SkippedFiles("train", 36))

    with caplog.at_level(logging.WARNING):
        sizes = [len(labels) for _, labels in _take(iter(loader), len(loader))]  # asks for no more than there are

    assert sizes == [5] * 7
    (record,) = caplog.records
    assert "train: skipped 7 of 36 images" in record.getMessage()
    assert "and 2 more" in record.getMessage()
    assert sum(path in record.getMessage() for path in destroyed) == 5


@pytest.mark.parametrize("make", [training_loader, evaluation_loader])
def test_skipping_everything_is_an_error(files: ImageFiles, make) -> None:
    _destroy(files, *range(36))
    seed = {"seed": 0} if make is training_loader else {}
    loader = make(files, PREPROCESSING, batch_size=4, num_workers=0, skipped=SkippedFiles("all", 36), **seed)

    with pytest.raises(DataError, match="all: no image can be read; the first is "):
        list(loader)


@pytest.fixture(params=["fork", "forkserver"])  # the usual one on Linux until Python 3.13, and from 3.14 on
def start_method(request) -> Iterator[None]:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("start_method")
def test_workers_survive_a_signal_to_the_whole_group(make_loader) -> None:
    loader = make_loader(2)
    whole = list(make_loader())
    batches = iter(loader)
    taken = _take(batches, 2)  # one of each worker
    for _ in range(2):
        _signal_from_elsewhere(loader._iterator._workers, "INT", "TERM")

    assert _equal(taken + list(batches), whole)


@pytest.mark.usefixtures("start_method")
def test_workers_end_when_the_main_process_says_so(make_loader) -> None:
    loader = make_loader(2)
    batches = iter(loader)
    _take(batches, 2)  # one of each worker
    workers = loader._iterator._workers
    for worker in workers:
        worker.terminate()

    _require_ended(workers)
    assert [worker.exitcode for worker in workers] == [0, 0]  # for torch, a signal would be an accident


def _signal_from_elsewhere(workers: Iterable[Process], *names: str) -> None:
    for name in names:
        subprocess.run(["sh", "-c", f"kill -{name} {' '.join(str(worker.pid) for worker in workers)}"], check=True)


def test_workers_end_with_the_loader(make_loader) -> None:
    loader = make_loader(2)
    next(iter(loader))
    workers = loader._iterator._workers
    del loader

    _require_ended(workers)


def test_workers_end_with_an_error(make_loader, files: ImageFiles) -> None:
    _destroy(files, 20)
    loader = make_loader(2)
    batches = iter(loader)
    kept = loader._iterator  # as a traceback or a debugger may
    with pytest.raises(DataError):
        list(batches)

    _require_ended(kept._workers)


def test_evaluation_has_no_place_to_save(files: ImageFiles) -> None:
    loader = evaluation_loader(files, PREPROCESSING, batch_size=4, num_workers=0)

    assert type(loader) is CheckedLoader
    assert not hasattr(loader, "state_dict")
