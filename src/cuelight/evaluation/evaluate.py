"""Evaluation of a model on a split of the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from torchmetrics import Metric

from cuelight.data.protocols import LoadsWhole, NamesSplits
from cuelight.evaluation.evaluator import EvaluatorSettings, Split, evaluator

_STAGES = {"test": "test", "val": "validate", "train": "fit"}
_LOADERS = {"test": "test_dataloader", "val": "val_dataloader", "train": "train_dataloader"}


def evaluate(
    model: pl.LightningModule,
    data: pl.LightningDataModule,
    view: Split = "test",
    settings: EvaluatorSettings | None = None,
    callbacks: Sequence[pl.Callback] = (),
    loggers: Sequence[Logger] = (),
) -> dict[str, float]:
    """Evaluate a model on a split, with a trainer of its own.

    Args:
        model: A module that no trainer holds, with the weights to evaluate.
        data: The data; its ``trainer`` is restored afterwards.
        view: The split: ``test``; ``val``, by ``validation_step``; or ``train``, by ``test_step``. Training images
            come in order and without augmentation if the data supports that.
        settings: Device, precision and limits.
        callbacks: Such as a progress display.
        loggers: Loggers of the module.

    Returns:
        Each metric by its name, such as ``test/accuracy``; ``train/accuracy`` for the split ``train``.
    """
    model.configure_callbacks = list  # type: ignore[method-assign]  # for training only
    for part in model.modules():
        if isinstance(part, Metric):
            part.distributed_available_fn = _not_distributed  # not to wait for other processes of a training
    kept = data.trainer
    try:
        with evaluator(settings or EvaluatorSettings(), view, callbacks, loggers) as trainer:
            if view == "train":
                with set_up(data, view):
                    data.trainer = trainer
                    whole = data.whole_dataloader("train") if isinstance(data, LoadsWhole) else data.train_dataloader()
                    results = trainer.test(model, dataloaders=whole, verbose=False)
            else:
                run = trainer.test if view == "test" else trainer.validate
                results = run(model, datamodule=data, verbose=False)
    finally:
        data.trainer = kept
    return {_name(name, view): float(value) for result in results for name, value in result.items()}


def has_split(data: pl.LightningDataModule, view: Split) -> bool:
    """Return whether the data has a split."""
    if isinstance(data, NamesSplits):
        with set_up(data, view):
            return view in data.split_names
    return getattr(type(data), _LOADERS[view]) is not getattr(pl.LightningDataModule, _LOADERS[view])


@contextmanager
def set_up(data: pl.LightningDataModule, view: Split) -> Iterator[None]:
    """Set data up as a trainer would, and tear it down afterwards, unless a running fit has done so."""
    stage = _STAGES[view]
    if data.trainer is not None and data.trainer.state.fn == "fit" and stage != "test":
        yield
        return
    data.prepare_data()
    data.setup(stage)
    try:
        yield
    finally:
        data.teardown(stage)


def _name(metric: str, view: Split) -> str:
    return f"train/{metric.removeprefix('test/')}" if view == "train" and metric.startswith("test/") else metric


def _not_distributed() -> bool:
    return False
