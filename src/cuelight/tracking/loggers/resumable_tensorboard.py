"""Event files of TensorBoard that are continued after a resume."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from cuelight.tracking.loggers.error_tolerant import no_experiment_on_error
from cuelight.tracking.loggers.measured_names import is_measurement, is_picture_of_measurement
from cuelight.utils.run_directory import is_first_process

EVENT_FILES = "events.out.tfevents.*"


class ResumableTensorBoardLogger(TensorBoardLogger):
    """Lightning's ``TensorBoardLogger``, except that a resume hides only what is logged again.

    TensorBoard can hide all events from a step on, but not by name. So this hides none if the training has logged
    nothing from that step on, and else writes the results of tests once more.

    Args:
        directory: The run directory, where the files are written.
        resumed_from: The step at which training continues; nothing is hidden if left out.
    """

    def __init__(self, directory: Path, resumed_from: int | None = None) -> None:
        self._written_again: list[Event] = []
        purge_step = resumed_from  # TensorBoard takes the first of a run for its start, and hides from the others on
        if resumed_from is not None and is_first_process() and any(directory.glob(EVENT_FILES)):
            hides, self._written_again = _events_from(directory, resumed_from)
            purge_step = resumed_from if hides else None
        super().__init__(directory, name="", version="", default_hp_metric=False, purge_step=purge_step)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of the file, created at the first use."""
        with no_experiment_on_error(self.save_dir):
            if self._experiment is None:
                Path(self.log_dir).mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=self.log_dir).close()  # the thread that writes would fail with a traceback
            writer = super().experiment
        again, self._written_again = self._written_again, []
        for event in again:
            writer.file_writer.add_event(event, walltime=event.wall_time)
        return writer


def _events_from(folder: Path, step: int) -> tuple[bool, list[Event]]:
    """Return whether the training has logged anything from a step on, and what tests have logged there."""
    hides, kept = False, {}
    for event in _events(folder):
        if event.step < step or not event.summary.value:
            continue
        values = [value for value in event.summary.value if _stays(value, event.step == step)]
        hides |= len(values) < len(event.summary.value)
        if values:
            again = Event(step=event.step, wall_time=event.wall_time, summary=Summary(value=values))
            same = (event.step, event.wall_time, tuple(value.tag for value in values))
            kept[same] = again  # once, after several resumes
    return hides, list(kept.values()) if hides else []


def _events(folder: Path) -> Iterator[Event]:
    for file in sorted(folder.glob(EVENT_FILES)):  # they have the time in their name
        yield from LegacyEventFileLoader(str(file)).Load()


def _stays(value: Summary.Value, at_resumed_step: bool) -> bool:
    """Return whether a value is not logged again. Pictures at the resumed step are of the validation before it."""
    if value.HasField("simple_value"):
        return is_measurement(value.tag)
    return at_resumed_step or is_picture_of_measurement(value.tag)
