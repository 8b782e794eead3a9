"""Data loaders that can be resumed and that name unreadable files."""

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
    """Collects the unreadable files of a split of ``total`` files, and reports each once."""

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.total = total
        self.reasons: dict[str, str] = {}
        self._reported = 0

    def add(self, unreadable: Unreadable) -> None:
        """Add a file."""
        self.reasons.setdefault(unreadable.path, unreadable.reason)

    def report(self) -> None:
        """Log a warning with the count and the first names, if there are new files since the last report."""
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
    masks. An unreadable image raises an error that names the file, also from a worker process, or it is left out and
    counted.

    Args:
        *args: As for ``torch.utils.data.DataLoader``.
        skipped: Collects unreadable files; without it they raise an error.
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
        """Start a pass, and its worker processes at once.

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
                    self.skipped.report()  # a loop that knows the length does not ask for more
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
            path, reason = next(iter(self.skipped.reasons.items()))
            raise DataError(f"{self.skipped.name}: no image can be read; the first is {path}: {reason}.")

    def _require_one_rank(self, unreadable: tuple[Unreadable, ...]) -> None:
        if unreadable and isinstance(self.sampler, DistributedSampler) and self.sampler.num_replicas > 1:
            raise DataError(
                f"{unreadable[0].path}: no image of its batch can be read, and with several devices a batch cannot "
                "be skipped. Replace or remove the files, or raise batch_size."
            )

    def _note(self, unreadable: tuple[Unreadable, ...]) -> None:
        for each in unreadable:
            if self.skipped is None:
                raise UnreadableImageError(*each)
            self.skipped.add(each)


class Place(NamedTuple):
    """A position in the training: the epoch, from 0, and the number of its batches that come before."""

    epoch: int
    batches: int


class ResumableLoader(CheckedLoader):
    """A loader for training whose position is saved in a checkpoint.

    Lightning calls ``state_dict`` and ``load_state_dict``. A pass that is resumed in the middle of an epoch starts at
    its batch without loading the earlier ones, and gives exactly the remaining batches, for any number of workers. The
    epoch is set through the sampler's ``set_epoch``, as Lightning does.

    Args:
        *args: As for ``torch.utils.data.DataLoader``.
        used_batches: Returns how many batches of this epoch the training has used, if it knows better: a batch that was
            handed out just before an exception is then handed out again.
        **kwargs: As for :class:`CheckedLoader`; ``sampler`` is an :class:`EpochSampler`.
    """

    needs_every_batch = True

    def __init__(self, *args: Any, used_batches: Callable[[], int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.used_batches = used_batches
        self._resume_at: Place | None = None
        self._handed_out = Place(0, 0)

    def state_dict(self) -> dict[str, int]:
        """Return the ``epoch`` and the number of its ``batches`` that are done."""
        place = self._resume_at or self._handed_out
        batches = place.batches
        if self.used_batches is not None and self._resume_at is None:
            batches = min(batches, self.used_batches())
        return {"epoch": place.epoch, "batches": batches}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue at the position that :meth:`state_dict` returned."""
        place = Place(int(state["epoch"]), int(state["batches"]))
        if place.batches >= len(self):
            place = Place(place.epoch + 1, 0)
        self._resume_at = place
        if isinstance(self.sampler, EpochSampler):
            self.sampler.set_epoch(place.epoch)

    def __iter__(self) -> Iterator[ImagesAndTargets]:  # type: ignore[override]
        """Start a pass over an epoch, or over the rest of it.

        Raises:
            DataError: An image cannot be read, or none at all can.
        """
        return _Pass(self)

    def next_place(self) -> Place:
        """Return where the next pass starts."""
        epoch = self.sampler.epoch if isinstance(self.sampler, EpochSampler) else 0
        resumed = self._resume_at
        return resumed if resumed is not None and resumed.epoch == epoch else Place(epoch, 0)

    def open_at(self, place: Place) -> Iterator[ImagesAndTargets]:
        """Start a pass at a position and return its batches."""
        if isinstance(self.sampler, EpochSampler):
            self.sampler.first_batch = place.batches
        return self._check(self._start(), place.batches)

    def begin(self, place: Place) -> None:
        """Forget the position to resume at, because a pass now draws its first batch, at ``place``."""
        self._resume_at = None
        self._handed_out = place

    def count(self) -> None:
        """Count a batch that is handed out."""
        self._handed_out = Place(self._handed_out.epoch, self._handed_out.batches + 1)


class _Pass(Iterator[ImagesAndTargets]):
    """One pass, started before its first batch is asked for; Lightning may set the epoch in between."""

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
