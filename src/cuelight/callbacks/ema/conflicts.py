"""Callbacks and strategies that do not work with averaged weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelPruning, StochasticWeightAveraging, WeightAveraging
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, Strategy

from cuelight.errors import CuelightError, Problem


def callback_conflicts(average: pl.Callback, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
    """Find callbacks that cannot work with an averaging callback.

    Several averages of the same type are reported once, by the first of them.
    """
    name = type(average).__name__
    first = next((callback for callback in callbacks if isinstance(callback, type(average))), average)
    for other in callbacks:
        same = isinstance(other, type(average))
        if other is average or (same and first is not average):
            continue
        if same or isinstance(other, (StochasticWeightAveraging, WeightAveraging)):
            second = f"another {name}" if same else type(other).__name__
            yield Problem(
                f"{name} and {second} both replace the weights with their average at the end of the training, but only "
                "one average can be tested. Remove one of them."
            )
        if isinstance(other, ModelPruning) and other._use_lottery_ticket_hypothesis:  # noqa: SLF001
            yield Problem(
                f"{name} cannot be used with a ModelPruning that resets the weights to their initial values: the "
                "average would mix trained and untrained weights. Set use_lottery_ticket_hypothesis: false."
            )


def require_known_sharding(strategy: Strategy) -> None:
    """Raise a ``CuelightError`` for a strategy that keeps the weights in flat buffers, which cannot be averaged."""
    if isinstance(strategy, (FSDPStrategy, DeepSpeedStrategy)):
        raise CuelightError(
            f"The weights of {type(strategy).__name__} cannot be averaged, because it keeps them in flat buffers. "
            "Use ddp or, with your own Trainer, ModelParallelStrategy (fully_shard), which shards the average like the "
            "weights."
        )
