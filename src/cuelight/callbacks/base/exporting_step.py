"""The common base of export and archive: options, and whether the file is up to date."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.config.checking import check_section
from cuelight.config.schema import ExporterConfig
from cuelight.errors import ParameterError
from cuelight.tracking.sending import send_artifact
from cuelight.train_end.exporting import is_up_to_date
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.measured_weights import MeasuredWeights
from cuelight.train_end.outcomes import Outcome
from cuelight.train_end.running import StepResult
from cuelight.weights.best import Preference


class ExportingStep(TrainEndStep):
    """A step that exports the best weights to one file."""

    def __init__(self, preferred_checkpoint: Preference = "metric", exporter: Mapping[str, Any] | None = None) -> None:
        self.preferred_checkpoint = preferred_checkpoint
        self.exporter = None if exporter is None else self._checked(exporter)

    @staticmethod
    @abstractmethod
    def write(
        training: FinishedTraining,
        weights: MeasuredWeights,
        path: Path,
        options: ExporterConfig,
        report: Callable[[str], None],
    ) -> StepResult:
        """Write the file."""

    @staticmethod
    @abstractmethod
    def path_of(training: FinishedTraining, options: ExporterConfig) -> Path:
        """Return the path of the file for these options."""

    def work(self, training: FinishedTraining, report: Callable[[str], None], console: Console | None) -> StepResult:
        """Write the file, and queue it for the trackers."""
        weights = training.load_best(self.preferred_checkpoint)
        result = self.write(training, weights, self.path(training), self.options(training), report)
        for file in result.files:
            send_artifact(training.loggers, file, file.parent.name, to_folders=False)
        return result

    def path(self, training: FinishedTraining) -> Path:
        """Return the path of the file to write."""
        return self.path_of(training, self.options(training))

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
