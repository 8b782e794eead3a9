"""The best weights measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl

from cuelight.evaluation.confusion_matrix import confusion_matrix
from cuelight.evaluation.evaluate import evaluate, has_split
from cuelight.evaluation.evaluator import View
from cuelight.evaluation.results import Measurement
from cuelight.tracking.silenced import silenced
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
    loggers = [silenced(logger) for logger in training.loggers]
    metrics = evaluate(weights.module, training.data, view, training.settings, callbacks, loggers)
    return Measurement(
        checkpoint=checkpoint,
        fingerprint=weights.fingerprint,
        view=view,
        metrics=metrics,
        confusion=confusion_matrix(weights.module),
        class_names=training.describe(weights).class_names,
    )


def send_metrics(training: FinishedTraining, measured: Measurement) -> None:
    """Send what was measured to the trackers.

    Args:
        training: The training.
        measured: What was measured. Results of other views than ``test`` get the prefix ``best/``, because the
            curves of the training have their names.
    """
    prefix = "" if measured.view == "test" else "best/"
    metrics = {f"{prefix}{name}": value for name, value in measured.metrics.items()}
    for tracker in training.loggers:
        tracker.log_metrics(metrics, training.step)
        tracker.save()


def not_finite(measured: Measurement) -> list[str]:
    """Name the metrics that are no numbers.

    Args:
        measured: What was measured.

    Returns:
        The names of those that are NaN or infinite.
    """
    return [name for name, value in measured.metrics.items() if not math.isfinite(value)]
