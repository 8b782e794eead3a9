"""Export the best weights as ONNX after the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from cuelight.callbacks.base.exporting_step import ExportingStep
from cuelight.train_end.exporting import export, onnx_path
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.running import StepResult


class ExportOnTrainEnd(ExportingStep):
    """Exports the best weights as ``export/<name>.onnx`` after the training.

    A copy of the module is exported on the CPU, and ONNX Runtime compares the file with PyTorch on validation images.
    If the outputs differ, the step fails and the file is kept with ``.rejected`` in its name. The options are in the
    section ``exporter`` of the configuration.

    Args:
        preferred_checkpoint: The best by the main metric, or by the validation loss; the other one if there is none.
        exporter: The options, in place of the section ``exporter`` that the module's ``hparams`` hold.
    """

    def work(self, training: FinishedTraining, report: Callable[[str], None], console: Console | None) -> StepResult:
        """Export the weights and check the file."""
        weights, options = training.load_best(self.preferred_checkpoint), self.options(training)
        return export(training, weights, onnx_path(training, options), options, report)

    def path(self, training: FinishedTraining) -> Path:
        """Return the path of the ONNX file."""
        return onnx_path(training, self.options(training))
