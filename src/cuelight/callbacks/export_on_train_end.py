"""The best weights as an ONNX file, when the training is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from cuelight.callbacks.base.exporting_step import ExportingStep
from cuelight.train_end.exporting import export, onnx_path
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.running import StepResult


class ExportOnTrainEnd(ExportingStep):
    """Exports the best weights as ``export/<name>.onnx`` when the training is over.

    The file is made of a copy of the module on the CPU, and compared with PyTorch on validation images by ONNX
    Runtime; if it does something else, the step fails and the file is kept with ``.rejected`` in its name. How it is
    made stands in the section ``exporter`` of the configuration.

    Args:
        preferred_checkpoint: The best by the main metric, or by the validation loss; the other one if there is none.
        exporter: The options, in place of the section ``exporter`` that the module's ``hparams`` hold.
    """

    def work(self, training: FinishedTraining, report: Callable[[str], None], console: Console | None) -> StepResult:
        """Export and check."""
        weights, options = training.load_best(self.preferred_checkpoint), self.options(training)
        return export(training, weights, onnx_path(training, options), options, report)

    def path(self, training: FinishedTraining) -> Path:
        """Return where the file belongs."""
        return onnx_path(training, self.options(training))
