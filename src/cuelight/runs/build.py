"""The data and the model of a configuration."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any, cast

import lightning.pytorch as pl

from cuelight import registry
from cuelight.config import Config
from cuelight.data.class_weights import BALANCED
from cuelight.data.protocols import CountsClasses
from cuelight.data.spec import DataSpec
from cuelight.training.optimization import Optimization

logger = logging.getLogger(__name__)


def build_data(config: Config) -> pl.LightningDataModule:
    """Build the data module, with the batch size, worker count and seed of the trainer section if it takes them."""
    trainer = config.trainer
    data: pl.LightningDataModule = registry.data.build(
        config.data, batch_size=trainer.batch_size, num_workers=trainer.num_workers, seed=trainer.seed
    )
    data.save_hyperparameters({}, logger=False)  # keeps those that it has, but does not log them
    return data


def with_class_counts(
    spec: DataSpec, config: Config, data: pl.LightningDataModule, saved: DataSpec | None = None
) -> DataSpec:
    """Add the number of training images of each class if the model is balanced by it: as ``saved``, or counted."""
    if config.model.params.get("class_weights") != BALANCED or spec.class_counts:
        return spec
    counts = saved.class_counts if saved else None
    if counts is None and isinstance(data, CountsClasses):
        counts = tuple(data.class_counts())
    return replace(spec, class_counts=counts)


def model_class(config: Config) -> type[pl.LightningModule]:
    """Return the class of the model."""
    return cast("type[pl.LightningModule]", registry.models.get(config.model.name))


def build_model(
    config: Config, data: DataSpec, fresh: bool = True, changed_optimizer: Collection[str] = ()
) -> pl.LightningModule:
    """Build the model, with the inputs and outputs that the data needs.

    The configuration becomes its ``hparams``, so that its checkpoints describe themselves. New weights are drawn from
    the global generator. ``fresh=False`` fetches no pretrained weights, for a model whose weights are then loaded.
    ``changed_optimizer``: the parameters of the optimizer that replace those of a loaded state.
    """
    trainer = config.trainer
    optimization = Optimization(trainer.optimizer, trainer.scheduler, trainer.max_steps, changed_optimizer)
    provided: dict[str, Any] = {"optimization": optimization}
    if data.class_names is not None:
        provided |= {"class_names": list(data.class_names), "num_classes": len(data.class_names)}
    if data.class_counts is not None:
        provided["class_counts"] = list(data.class_counts)
    if data.channels is not None:
        provided |= {"in_channels": data.channels, "input_size": data.size}
    if data.skeleton is not None:
        provided |= {"keypoint_names": list(data.skeleton.names), "skeleton": list(data.skeleton.edges)}
    part = config.model
    if not fresh and part.params.get("pretrained"):
        part = part.model_copy(update={"params": part.params | {"pretrained": False}})
    model: pl.LightningModule = registry.models.build(part, **provided)
    own = set(model.hparams)  # saved by the module, whose code may read them
    model.save_hyperparameters({key: value for key, value in config.to_dict().items() if key not in own}, logger=False)
    if trainer.compile:
        logger.info("torch compiles the network at its first step, and again for validation, which may take minutes.")
        compile_networks(model)
    return model


def compile_networks(model: pl.LightningModule) -> None:
    """Compile each network in a module in place, which keeps the names in its ``state_dict``."""
    for network in model.children():
        if any(True for _ in network.parameters()):
            network.compile()
