"""The common base of export and archive: options, and whether the file is up to date."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.config.checking import check_section
from cuelight.config.schema import ExporterConfig
from cuelight.errors import ParameterError
from cuelight.train_end.exporting import is_up_to_date
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.outcomes import Outcome
from cuelight.weights.best import Preference


class ExportingStep(TrainEndStep):
    """A step that exports the best weights to one file."""

    def __init__(self, preferred_checkpoint: Preference = "metric", exporter: Mapping[str, Any] | None = None) -> None:
        self.preferred_checkpoint = preferred_checkpoint
        self.exporter = None if exporter is None else self._checked(exporter)

    @abstractmethod
    def path(self, training: FinishedTraining) -> Path:
        """Return the path of the file to write."""

    def options(self, training: FinishedTraining) -> ExporterConfig:
        """Return the step's own options, or those of the training."""
        return self.exporter or training.exporter

    def _checked(self, exporter: Mapping[str, Any]) -> ExporterConfig:
        options, problems = check_section("exporter", exporter)
        if problems:
            raise ParameterError(type(self).__name__, {problem.path: problem.message for problem in problems})
        return cast("ExporterConfig", options)

    def is_done(self, training: FinishedTraining, outcome: Outcome) -> bool:
        """Return whether the current best weights were written, with the current options."""
        weights = training.load_best(self.preferred_checkpoint)
        return is_up_to_date(outcome, training, self.path(training), self.options(training), weights)
