"""What cannot work beside averaged weights, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelPruning, StochasticWeightAveraging, WeightAveraging
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, Strategy


def conflicts(average: pl.Callback, callbacks: Sequence[pl.Callback]) -> Iterator[str]:
    """Find callbacks that cannot work beside one that averages the weights.

    Args:
        average: The callback that averages the weights.
        callbacks: All callbacks of the trainer.

    Returns:
        For each that cannot, why, and what to do.
    """
    name = type(average).__name__
    for other in callbacks:
        if other is average:
            continue
        if isinstance(other, (type(average), StochasticWeightAveraging, WeightAveraging)):
            second = f"another {name}" if isinstance(other, type(average)) else type(other).__name__
            yield (
                f"{name} and {second} would each put its own average into the model at the end, and only one can be "
                "what was measured. Leave one of them out."
            )
        if isinstance(other, ModelPruning) and other._use_lottery_ticket_hypothesis:  # noqa: SLF001
            yield (
                f"{name} cannot average over a ModelPruning that takes the weights back to their first values: the "
                "average would mix trained with untrained weights. Set use_lottery_ticket_hypothesis: false."
            )


def unknown_sharding(strategy: Strategy) -> Iterator[str]:
    """Find out whether a strategy keeps the weights where an average cannot follow.

    Args:
        strategy: The strategy of the trainer.

    Returns:
        Why, and what to do, if it does.
    """
    if isinstance(strategy, (FSDPStrategy, DeepSpeedStrategy)):
        yield (
            f"The weights of {type(strategy).__name__} cannot be averaged, because it keeps them in flat buffers of "
            "its own. Use ddp, or, in a Trainer of your own, ModelParallelStrategy (fully_shard): there the average is "
            "sharded like the weights."
        )
