"""The best weights as an ONNX file, when the training is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from cuelight.callbacks.train_end_step import TrainEndStep
from cuelight.config.schema import ExporterConfig
from cuelight.train_end.exporting import export, is_made_so, onnx_path
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.outcomes import Outcome
from cuelight.train_end.running import StepResult
from cuelight.weights.best import Preference
from cuelight.weights.fingerprint import fingerprint_of_file


class ExportOnTrainEnd(TrainEndStep):
    """Exports the best weights as ``export/<name>.onnx`` when the training is over.

    The file is made of a copy of the module on the CPU, and compared with PyTorch on validation images by ONNX
    Runtime; if it does something else, the step fails and the file is kept with ``.rejected`` in its name. How it is
    made stands in the section ``exporter`` of the configuration.

    Args:
        preferred_checkpoint: The best by the main metric, or by the validation loss; the other one if there is none.
        exporter: The options, in place of the section ``exporter`` that the module's ``hparams`` hold.
    """

    def __init__(self, preferred_checkpoint: Preference = "metric", exporter: Mapping[str, Any] | None = None) -> None:
        self.preferred_checkpoint = preferred_checkpoint
        self.exporter = ExporterConfig(**exporter) if exporter is not None else None

    def work(self, training: FinishedTraining, report: Callable[[str], None], console: Console | None) -> StepResult:
        """Export and check."""
        best, training = training.best(self.preferred_checkpoint), training.with_exporter(self.exporter)
        exported = export(training, best.path, onnx_path(training), report)
        return StepResult(best.path, exported.fingerprint, [exported.path], exported.details)

    def is_done(self, training: FinishedTraining, outcome: Outcome) -> bool:
        """Tell whether the weights that would be exported now were exported, with the same options."""
        best, training = training.best(self.preferred_checkpoint), training.with_exporter(self.exporter)
        return is_made_so(outcome, training, onnx_path(training), fingerprint_of_file(best.path))
