"""Write the best weights as NN Archive after the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning.pytorch as pl

from cuelight.callbacks.base.exporting_step import ExportingStep
from cuelight.config import Config
from cuelight.errors import ConfigWarning, Problem
from cuelight.export.archive.schema import archive_problem
from cuelight.train_end.exporting import archive, archive_path


class ArchiveOnTrainEnd(ExportingStep):
    """Writes the best weights as ``archive/<name>.tar`` after the training.

    An NN Archive holds the model as ONNX and describes its inputs, the preprocessing of the images and the decoding of
    its outputs. The ONNX file of an earlier ``ExportOnTrainEnd`` is used if it holds the same weights. Trackers
    that keep files elsewhere, such as MLflow, get the file. Needs the extra ``archive``.

    Args:
        preferred_checkpoint: The best by the main metric, or by the validation loss; the other one if there is none.
        exporter: The options, in place of the section ``exporter`` that the module's ``hparams`` hold.
    """

    write = staticmethod(archive)
    path_of = staticmethod(archive_path)

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem | ConfigWarning]:
        """Also find out whether luxonis-ml is installed."""
        yield from super().check(config, callbacks)
        if problem := archive_problem():
            yield Problem(problem, on_this_machine=True)
