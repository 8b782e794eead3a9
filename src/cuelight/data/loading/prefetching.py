"""Data loaders that go on where they were stopped, and say which file was at fault."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from cuelight.data.loading.samples import Batch
from cuelight.data.loading.sampling import EpochSampler
from cuelight.data.loading.worker_processes import START_METHOD, end_workers, leave_signals_to_main_process
from cuelight.data.reading import Unreadable, UnreadableImageError
from cuelight.errors import DataError

logger = logging.getLogger(__name__)

ImagesAndTargets = tuple[Tensor, Tensor]

_FILES_NAMED = 5


class SkippedFiles:
    """Counts the files that could not be read, and says so once for each file.

    Args:
        name: What they are files of, such as ``train``.
        total: Number of files there are.
    """

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.total = total
        self.reasons: dict[str, str] = {}
        self._reported = 0

    def add(self, unreadable: Unreadable) -> None:
        """Note a file.

        Args:
            unreadable: The file and the reason.
        """
        self.reasons.setdefault(unreadable.path, unreadable.reason)

    def none_left(self) -> str:
        """Say that nothing is left, with an example.

        Returns:
            The message.
        """
        path, reason = next(iter(self.reasons.items()))
        return f"{self.name}: no image can be read; the first is {path}: {reason}."

    def report(self) -> None:
        """Log a warning with the count and the first names, if there are files that were not reported yet."""
        if len(self.reasons) == self._reported:
            return
        named = list(self.reasons.items())[self._reported :][:_FILES_NAMED]
        first = "; ".join(f"{path} ({reason})" for path, reason in named)
        more = len(self.reasons) - self._reported - len(named)
        logger.warning(
            "%s: skipped %d of %d images that cannot be read: %s%s",
            self.name,
            len(self.reasons),
            self.total,
            first,
            f"; and {more} more" if more else "",
        )
        self._reported = len(self.reasons)


class CheckedLoader(DataLoader[Batch]):
    """A data loader of images that never draws from the global random generator.

    Batches are ``(images, targets)``: float32 ``(N, C, H, W)``, and int64 ``(N,)`` of classes or ``(N, H, W)`` of
    masks. An image that cannot be read raises an error that names the file, from a worker process too; or it is left
    out and counted.

    Args:
        *args: As for ``torch.utils.data.DataLoader``.
        skipped: Takes what cannot be read; an error is raised if left out.
        **kwargs: As for ``torch.utils.data.DataLoader``.
    """

    needs_every_batch = False

    def __init__(self, *args: Any, skipped: SkippedFiles | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("generator", torch.Generator())
        kwargs.setdefault("worker_init_fn", leave_signals_to_main_process)
        super().__init__(*args, **kwargs)
        if self.num_workers and self.multiprocessing_context is None:
            self.multiprocessing_context = START_METHOD
        self.skipped = skipped

    def __iter__(self) -> Iterator[ImagesAndTargets]:  # type: ignore[override]
        """One pass; the worker processes start at once.

        Raises:
            DataError: An image cannot be read, or none at all can; or, on several ranks, none of a batch.
        """
        return self._check(self._start(), 0)

    def _start(self) -> Iterator[Batch]:
        return super().__iter__()

    def _check(self, batches: Iterator[Batch], first: int) -> Iterator[ImagesAndTargets]:
        handed_out = 0
        try:
            for number, (images, targets, unreadable) in enumerate(batches, first + 1):
                self._note(unreadable)
                if number == len(self) and self.skipped is not None:
                    self.skipped.report()  # here, because a loop that knows the length asks for no more
                if images is not None:
                    handed_out += 1
                    yield images, targets
                elif self.needs_every_batch:
                    break
                else:
                    self._require_one_rank(unreadable)
            self._require_some(handed_out)
        except DataError:
            end_workers(batches)
            self._iterator = None
            raise

    def _require_some(self, handed_out: int) -> None:
        if handed_out == 0 and self.skipped is not None and self.skipped.reasons:
            raise DataError(self.skipped.none_left())

    def _require_one_rank(self, unreadable: tuple[Unreadable, ...]) -> None:
        if unreadable and isinstance(self.sampler, DistributedSampler) and self.sampler.num_replicas > 1:
            raise DataError(
                f"{unreadable[0].path}: neither this nor any other image of its batch can be read, and with several "
                "devices no batch can be skipped. Replace or remove the files, or raise batch_size."
            )

    def _note(self, unreadable: tuple[Unreadable, ...]) -> None:
        for each in unreadable:
            if self.skipped is None:
                raise UnreadableImageError(*each)
            self.skipped.add(each)


class Place(NamedTuple):
    """A place in the training.

    Args:
        epoch: Counted from 0.
        batches: Batches of this epoch that come before.
    """

    epoch: int
    batches: int


class ResumableLoader(CheckedLoader):
    """A loader for training whose place is saved in a checkpoint.

    ``state_dict`` and ``load_state_dict`` are what Lightning looks for. A pass that was resumed in the middle of an
    epoch begins at its batch without loading the earlier ones, and gives exactly the batches that were to come, for
    any number of workers. The epoch is set through the sampler's ``set_epoch``, as Lightning does.

    Args:
        *args: As for ``torch.utils.data.DataLoader``.
        used_batches: Tells how many batches of this epoch the training has used, where it knows better: a batch
            that was handed out just before an exception is then handed out again.
        **kwargs: As for :class:`CheckedLoader`; ``sampler`` is an :class:`EpochSampler`.
    """

    needs_every_batch = True

    def __init__(self, *args: Any, used_batches: Callable[[], int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.used_batches = used_batches
        self._resume_at: Place | None = None
        self._handed_out = Place(0, 0)

    def state_dict(self) -> dict[str, int]:
        """The place in the training.

        Returns:
            ``epoch``, and the number of its ``batches`` that are done.
        """
        place = self._resume_at or self._handed_out
        batches = place.batches
        if self.used_batches is not None and self._resume_at is None:
            batches = min(batches, self.used_batches())
        return {"epoch": place.epoch, "batches": batches}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on at a place in the training.

        Args:
            state: What :meth:`state_dict` gave.
        """
        place = Place(int(state["epoch"]), int(state["batches"]))
        if place.batches >= len(self):
            place = Place(place.epoch + 1, 0)
        self._resume_at = place
        _set_epoch(self.sampler, place.epoch)

    def __iter__(self) -> Iterator[ImagesAndTargets]:  # type: ignore[override]
        """One pass over an epoch, or what remains of it.

        Raises:
            DataError: An image cannot be read, or none at all can.
        """
        return _Pass(self)

    def next_place(self) -> Place:
        """Where a pass that begins now begins."""
        epoch = self.sampler.epoch if isinstance(self.sampler, EpochSampler) else 0
        resumed = self._resume_at
        return resumed if resumed is not None and resumed.epoch == epoch else Place(epoch, 0)

    def open_at(self, place: Place) -> Iterator[ImagesAndTargets]:
        """Start a pass.

        Args:
            place: Where it begins.

        Returns:
            Its batches.
        """
        if isinstance(self.sampler, EpochSampler):
            self.sampler.first_batch = place.batches
        return self._check(self._start(), place.batches)

    def begin(self, place: Place) -> None:
        """Forget the place to resume at: a pass draws its first batch.

        Args:
            place: Where it begins.
        """
        self._resume_at = None
        self._handed_out = place

    def count(self) -> None:
        """Note that a batch is handed out."""
        self._handed_out = Place(self._handed_out.epoch, self._handed_out.batches + 1)


class _Pass(Iterator[ImagesAndTargets]):
    """One pass, started ahead; Lightning may set the epoch between ``iter`` and the first batch."""

    def __init__(self, loader: ResumableLoader) -> None:
        self._loader = loader
        self._place = loader.next_place()
        self._batches = loader.open_at(self._place)
        self._begun = False

    def __next__(self) -> ImagesAndTargets:
        if not self._begun:
            self._begin()
        batch = next(self._batches)
        self._loader.count()
        return batch

    def _begin(self) -> None:
        self._begun = True
        place = self._loader.next_place()
        if place != self._place:
            self._batches = self._loader.open_at(place)
        elif isinstance(self._loader.sampler, EpochSampler):
            self._loader.sampler.first_batch = place.batches
        self._loader.begin(place)


def _set_epoch(sampler: Any, epoch: int) -> None:
    if isinstance(sampler, EpochSampler):
        sampler.set_epoch(epoch)
