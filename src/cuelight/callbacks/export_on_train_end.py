"""Export the best weights as ONNX after the training."""

from __future__ import annotations

from cuelight.callbacks.base.exporting_step import ExportingStep
from cuelight.train_end.exporting import export, onnx_path


class ExportOnTrainEnd(ExportingStep):
    """Exports the best weights as ``export/<name>.onnx`` after the training.

    A copy of the module is exported on the CPU, and ONNX Runtime compares the file with PyTorch on validation images.
    If the outputs differ, the step fails and the file is kept with ``.rejected`` in its name. Trackers
    that keep files elsewhere, such as MLflow, get the file. The options are in the
    section ``exporter`` of the configuration.

    Args:
        preferred_checkpoint: The best by the main metric, or by the validation loss; the other one if there is none.
        exporter: The options, in place of the section ``exporter`` that the module's ``hparams`` hold.
    """

    write = staticmethod(export)
    path_of = staticmethod(onnx_path)
