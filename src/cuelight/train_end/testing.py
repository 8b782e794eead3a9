"""The best weights measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
from PIL import Image

from cuelight.evaluation.confusion_matrix import confusion_matrix
from cuelight.evaluation.evaluate import evaluate, has_split
from cuelight.evaluation.evaluator import View
from cuelight.evaluation.results import Measurement
from cuelight.tracking.sending import send_image, send_metrics, send_table
from cuelight.tracking.silenced import silenced_if_open
from cuelight.train_end.finished_training import FinishedTraining, StepSkipped


def measure(
    training: FinishedTraining, checkpoint: Path, view: View = "test", callbacks: Sequence[pl.Callback] = ()
) -> Measurement:
    """Measure the weights of a checkpoint.

    Args:
        training: The training that they are from.
        checkpoint: The file.
        view: Which split of the data.
        callbacks: What shows the progress.

    Returns:
        What was measured.

    Raises:
        StepSkipped: If the data has no such split.
        CheckpointError: If the file is missing, damaged or of another model.
    """
    if training.data is None:
        raise StepSkipped("there is no data to measure on.")
    if not has_split(training.data, view):
        raise StepSkipped(f"the data has no {view} split.")
    weights = training.load(checkpoint)
    loggers = list(silenced_if_open(training.loggers))
    metrics = evaluate(weights.module, training.data, view, training.settings, callbacks, loggers)
    return Measurement(
        checkpoint=checkpoint,
        fingerprint=weights.fingerprint,
        view=view,
        metrics=metrics,
        confusion=confusion_matrix(weights.module),
        class_names=training.describe(weights).class_names,
    )


def send_measurement(training: FinishedTraining, measured: Measurement, files: Sequence[Path]) -> None:
    """Send what was measured to the trackers: metrics, and the confusion matrix as table and as picture.

    Args:
        training: The training.
        measured: What was measured. Results of other views than ``test`` get the prefix ``best/``, because the
            curves of the training have their names.
        files: What was written of it, the picture among them.
    """
    prefix = "" if measured.view == "test" else "best/"
    metrics = {f"{prefix}{name}": value for name, value in measured.metrics.items()}
    send_metrics(training.loggers, metrics, training.step)
    if measured.confusion is None:
        return
    name = f"{measured.view}/confusion_matrix"
    names = list(measured.class_names or map(str, range(len(measured.confusion))))
    rows = [[true, *counts] for true, counts in zip(names, measured.confusion.tolist(), strict=True)]
    send_table(training.loggers, name, ["true class", *names], rows, training.step)
    for file in files:
        if file.suffix == ".png":
            send_image(training.loggers, name, np.asarray(Image.open(file).convert("RGB")), training.step)


def not_finite(measured: Measurement) -> list[str]:
    """Name the metrics that are no numbers.

    Args:
        measured: What was measured.

    Returns:
        The names of those that are NaN or infinite.
    """
    return [name for name, value in measured.metrics.items() if not math.isfinite(value)]
