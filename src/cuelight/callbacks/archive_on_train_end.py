"""Write the best weights as NN Archive after the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lightning.pytorch as pl
from rich.console import Console

from cuelight.callbacks.base.exporting_step import ExportingStep
from cuelight.config import Config
from cuelight.errors import ConfigWarning, Problem
from cuelight.export.archive.schema import archive_problem
from cuelight.train_end.exporting import archive, archive_path
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.running import StepResult


class ArchiveOnTrainEnd(ExportingStep):
    """Writes the best weights as ``archive/<name>.tar`` after the training.

    An NN Archive holds the model as ONNX and describes its inputs, the preprocessing of the images and the decoding of
    its outputs. The ONNX file of an earlier ``ExportOnTrainEnd`` is used if it holds the same weights. Needs the extra
    ``archive``.

    Args:
        preferred_checkpoint: The best by the main metric, or by the validation loss; the other one if there is none.
        exporter: The options, in place of the section ``exporter`` that the module's ``hparams`` hold.
    """

    def work(self, training: FinishedTraining, report: Callable[[str], None], console: Console | None) -> StepResult:
        """Export the weights, unless a current ONNX file exists, and write the archive."""
        weights, options = training.load_best(self.preferred_checkpoint), self.options(training)
        return archive(training, weights, archive_path(training, options), options, report)

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem | ConfigWarning]:
        """Also find out whether luxonis-ml is installed."""
        yield from super().check(config, callbacks)
        if problem := archive_problem():
            yield Problem(problem, on_this_machine=True)

    def path(self, training: FinishedTraining) -> Path:
        """Return the path of the archive."""
        return archive_path(training, self.options(training))
