"""What the export and the archive have in common: options, and when there is nothing new to write."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.config.schema import ExporterConfig
from cuelight.train_end.exporting import is_up_to_date
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.outcomes import Outcome
from cuelight.weights.best import Preference


class ExportingStep(TrainEndStep):
    """A step that writes a file of the best weights.

    Args:
        preferred_checkpoint: The best by the main metric, or by the validation loss; the other one if there is none.
        exporter: The options, in place of the section ``exporter`` that the module's ``hparams`` hold.
    """

    def __init__(self, preferred_checkpoint: Preference = "metric", exporter: Mapping[str, Any] | None = None) -> None:
        self.preferred_checkpoint = preferred_checkpoint
        self.exporter = ExporterConfig(**exporter) if exporter is not None else None

    @abstractmethod
    def path(self, training: FinishedTraining) -> Path:
        """Return where the file belongs."""

    def options(self, training: FinishedTraining) -> ExporterConfig:
        """Return the options of this step; those of the training if it has none of its own."""
        return self.exporter or training.exporter

    def is_done(self, training: FinishedTraining, outcome: Outcome) -> bool:
        """Return whether the weights that would be written now were written, with the same options."""
        weights = training.load_best(self.preferred_checkpoint)
        return is_up_to_date(outcome, training, self.path(training), self.options(training), weights)
