"""The entries of a checkpoint in which an average is saved, with the keys of Lightning's ``EMAWeightAveraging``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelPruning

from cuelight.utils.trainer_callbacks import callbacks_of
from cuelight.weights.averaging import AveragedWeights
from cuelight.weights.pruned_names import with_plain_names
from cuelight.weights.sharded_state import gather_state, scatter_state

RAW_STATE = "current_model_state"
OWN_STATE = "ema_state"
LIGHTNINGS_CALLBACK = EMAWeightAveraging.__qualname__
_AVERAGING_STATE = "averaging_state"
_UPDATES = "n_averaged"


def dump_average(trainer: pl.Trainer, average: AveragedWeights, dump: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Dump a checkpoint with the average as its weights, and with the trained weights beside it."""
    module = trainer.lightning_module
    pruned = any(isinstance(callback, ModelPruning) for callback in callbacks_of(trainer))
    with average.in_model():
        checkpoint = dump()
        checkpoint["state_dict"] = _to_keep(checkpoint["state_dict"], average.is_sharded, pruned)
    with average.out_of_model():
        raw = gather_state(module) if average.is_sharded else trainer.strategy.lightning_module_state_dict()
        checkpoint[RAW_STATE] = _to_keep(raw, average.is_sharded, pruned)
    checkpoint[_AVERAGING_STATE] = {_UPDATES: torch.tensor(average.updates)}
    return checkpoint


def load_average(checkpoint: Mapping[str, Any], average: AveragedWeights, module: pl.LightningModule) -> None:
    """Restore an average, which Lightning has loaded into the module, and load the trained weights instead."""
    own: Mapping[str, Any] = checkpoint.get(OWN_STATE, {})
    average.load_exact_averages(own.get("exact_averages", {}))
    average.updates = int(checkpoint.get(_AVERAGING_STATE, {}).get(_UPDATES, 0))
    average.skipped = own.get("skipped", 0)
    if average.is_sharded:
        scatter_state(module, checkpoint[RAW_STATE], module.strict_loading)
    else:
        module.load_state_dict(checkpoint[RAW_STATE], strict=module.strict_loading)


def save_progress(checkpoint: dict[str, Any], step: int, own: Mapping[str, Any]) -> None:
    """Add the state of the callback, and the step for Lightning's, which would count the last step again."""
    checkpoint[OWN_STATE] = dict(own)
    if "callbacks" in checkpoint:
        checkpoint["callbacks"][LIGHTNINGS_CALLBACK] = {"latest_update_step": step}


def _to_keep(state: Mapping[str, Any], sharded: bool, pruned: bool) -> dict[str, Any]:
    """Copy a state dict. The tensors of a sharded module are cloned, because the next swap overwrites them."""
    plain = with_plain_names(state) if pruned else dict(state)
    return {name: value.clone() for name, value in plain.items()} if sharded else plain
