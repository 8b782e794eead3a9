"""The best weights as an NN Archive, when the training is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from cuelight.callbacks.train_end_step import TrainEndStep
from cuelight.config.schema import ExporterConfig
from cuelight.deploy.archive_schema import archive_problem
from cuelight.train_end.exporting import archive, archive_path, is_made_so
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.outcomes import Outcome, read_outcomes
from cuelight.train_end.running import StepResult
from cuelight.weights.best import Preference
from cuelight.weights.fingerprint import fingerprint_of_file


class ArchiveOnTrainEnd(TrainEndStep):
    """Writes the best weights as ``archive/<name>.tar`` when the training is over.

    An NN Archive holds the model as ONNX and says what it takes, how images are prepared, and how its outputs are
    decoded. The ONNX file of an ``ExportOnTrainEnd`` before it is used where it holds the same weights. Needs the
    extra ``archive``.

    Args:
        preferred_checkpoint: The best by the main metric, or by the validation loss; the other one if there is none.
        exporter: The options, in place of the section ``exporter`` that the module's ``hparams`` hold.
    """

    def __init__(self, preferred_checkpoint: Preference = "metric", exporter: Mapping[str, Any] | None = None) -> None:
        self.preferred_checkpoint = preferred_checkpoint
        self.exporter = ExporterConfig(**exporter) if exporter is not None else None

    def work(self, training: FinishedTraining, report: Callable[[str], None], console: Console | None) -> StepResult:
        """Export if it was not done, and write the archive around it."""
        best, training = training.best(self.preferred_checkpoint), training.with_exporter(self.exporter)
        before = read_outcomes(training.directory).get("ExportOnTrainEnd")
        written = archive(training, best.path, archive_path(training), report, before)
        return StepResult(best.path, written.fingerprint, [written.path], written.details)

    def problem(self) -> str | None:
        """Tell whether luxonis-ml is missing."""
        return archive_problem()

    def is_done(self, training: FinishedTraining, outcome: Outcome) -> bool:
        """Tell whether the weights that would be archived now were archived, with the same options."""
        best, training = training.best(self.preferred_checkpoint), training.with_exporter(self.exporter)
        return is_made_so(outcome, training, archive_path(training), fingerprint_of_file(best.path))
