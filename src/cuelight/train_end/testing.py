"""Measure the weights of a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import lightning.pytorch as pl
import numpy as np
from PIL import Image

from cuelight.data.protocols import HasFingerprint, HasSkeleton, LabelsByName, LoadsWhole, NamesClasses
from cuelight.errors import DataError
from cuelight.evaluation.confusion_matrix import NamesConfusionClasses, NamesConfusionUnit, confusion_matrix
from cuelight.evaluation.evaluate import evaluate, has_split, set_up
from cuelight.evaluation.evaluator import Split
from cuelight.evaluation.results import (
    EXAMPLES,
    DrawsResults,
    Measurement,
    ReportsTables,
    class_names,
    confusion_picture,
)
from cuelight.tracking.loggers.readonly import open_loggers, readonly
from cuelight.tracking.sending import send_image, send_metrics, send_table
from cuelight.train_end.examples import ExampleCollector
from cuelight.train_end.finished_training import FinishedTraining, StepSkipped
from cuelight.train_end.measured_weights import MeasuredWeights
from cuelight.utils.files import without_nan
from cuelight.utils.redaction import redacted_text


def measure(
    training: FinishedTraining, weights: MeasuredWeights, view: Split = "test", callbacks: Sequence[pl.Callback] = ()
) -> Measurement:
    """Measure the weights of a checkpoint on a split of the data.

    Raises:
        StepSkipped: If the data has no such split.
        CheckpointError: If the weights do not fit the model.
    """
    if training.data is None:
        raise StepSkipped("there is no data to test on.")
    if not has_split(training.data, view):
        raise StepSkipped(f"the data has no {view} split.")
    _use_classes_of(weights, training.data)
    module, described = weights.separate_module(training.settings.precision), training.describe(weights)
    loggers = open_loggers(training.loggers)
    examples = ExampleCollector(described)
    with readonly(loggers):
        metrics = evaluate(module, training.data, view, training.settings, [*callbacks, examples], loggers)
    return Measurement(
        checkpoint=weights.checkpoint,
        fingerprint=weights.fingerprint,
        view=view,
        metrics=metrics,
        confusion=confusion_matrix(module),
        class_names=tuple(
            module.confusion_classes if isinstance(module, NamesConfusionClasses) else described.class_names or ()
        )
        or None,
        unit=module.confusion_unit if isinstance(module, NamesConfusionUnit) else "images",
        tables=without_nan(module.result_tables(described.class_names)) if isinstance(module, ReportsTables) else {},
        pictures=_pictures(module, examples),
        data=_data_measured(training.data, view),
    )


def _pictures(module: pl.LightningModule, examples: ExampleCollector) -> dict[str, Image.Image]:
    own = dict(module.result_pictures()) if isinstance(module, DrawsResults) else {}
    drawn = examples.picture()
    return own | ({EXAMPLES: drawn} if drawn else {})


def _use_classes_of(weights: MeasuredWeights, data: pl.LightningDataModule) -> None:
    """Let the data number its classes as the model does. Raises ``DataError`` if it cannot, or has other points."""
    known, found = weights.data.skeleton, data.skeleton if isinstance(data, HasSkeleton) else None
    if known is not None and found is not None and known.names != found.names:
        raise DataError(
            f"{type(data).__name__}: the points of the data are {', '.join(found.names)}, but those of the model are "
            f"{', '.join(known.names)}. Expected the same ones in the same order."
        )
    trained, own = weights.data.class_names, tuple(data.class_names) if isinstance(data, NamesClasses) else None
    if trained is None or own is None or own == trained:
        return
    if not isinstance(data, LabelsByName):
        raise DataError(
            f"{type(data).__name__}: the classes of the data are {', '.join(own)}, but those of the model are "
            f"{', '.join(trained)}. Expected the same ones in the same order."
        )
    data.use_classes(trained)


def _data_measured(data: pl.LightningDataModule, view: Split) -> dict[str, Any]:
    """Return which data was measured, as far as it is known."""
    path = getattr(data, "path", None)
    facts: dict[str, Any] = {"path": redacted_text(str(path))} if path else {}
    if not isinstance(data, (HasFingerprint, LoadsWhole)):
        return facts
    with set_up(data, view):
        if isinstance(data, HasFingerprint):
            with suppress(DataError):  # of a file of another split, which was not measured
                facts["fingerprint"] = data.fingerprint()
        if isinstance(data, LoadsWhole):
            facts["images"] = len(getattr(data.whole_dataloader(view), "dataset", ()))
        if (taken := getattr(data, "taken_from_training", None)) is not None:
            facts["split_off"] = view in taken
    return facts


def send_measurement(training: FinishedTraining, measured: Measurement) -> None:
    """Send metrics, tables and pictures to the trackers, after :func:`write_results` has written the pictures.

    Metrics of other splits than ``test`` get the prefix ``best/``, because training logs under the same names.
    """
    view, loggers, step = measured.view, training.loggers, training.step
    prefix = "" if view == "test" else "best/"
    send_metrics(loggers, {f"{prefix}{name}": value for name, value in measured.metrics.items()}, step)
    if measured.confusion is not None:
        names = class_names(measured)
        rows = [[true, *counts] for true, counts in zip(names, measured.confusion.tolist(), strict=True)]
        send_table(loggers, f"{view}/confusion_matrix", ["true class", *names], rows, step)
        picture = Image.open(confusion_picture(training.directory, view)).convert("RGB")
        send_image(loggers, f"{view}/confusion_matrix", np.asarray(picture), step)
    for name, (columns, *table_rows) in measured.tables.items():
        send_table(loggers, f"{view}/{name}", columns, table_rows, step)
    for name, drawn in measured.pictures.items():
        send_image(loggers, f"{view}/{name}", np.asarray(drawn.convert("RGB")), step)


def not_finite(measured: Measurement) -> list[str]:
    """Return the names of the metrics that are NaN or infinite."""
    return [name for name, value in measured.metrics.items() if not math.isfinite(value)]
