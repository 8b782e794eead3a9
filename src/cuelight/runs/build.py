"""The data and the model of a configuration, made to fit each other."""

from __future__ import annotations

from typing import Any, cast

import lightning.pytorch as pl

from cuelight import registry
from cuelight.config import Config
from cuelight.data.spec import DataSpec
from cuelight.training.optimization import Optimization


def build_data(config: Config) -> pl.LightningDataModule:
    """Make the data module that a configuration names.

    Args:
        config: A checked configuration.

    Returns:
        The data module, with the batch size, worker count and seed of the trainer section if it takes them.
    """
    trainer = config.trainer
    data: pl.LightningDataModule = registry.data.build(
        config.data, batch_size=trainer.batch_size, num_workers=trainer.num_workers, seed=trainer.seed
    )
    data.save_hyperparameters({}, logger=False)  # those that it has stay, but are not logged beside the configuration
    return data


def model_class(config: Config) -> type[pl.LightningModule]:
    """Look up the class of the model."""
    return cast("type[pl.LightningModule]", registry.models.get(config.model.name))


def build_model(config: Config, data: DataSpec, fresh: bool = True) -> pl.LightningModule:
    """Make the module that a configuration names, with as many inputs and outputs as the data asks for.

    Args:
        config: A checked configuration; it becomes the ``hparams`` of the module, so that its checkpoints describe
            themselves.
        data: What the data tells of itself.
        fresh: False if the weights are replaced anyway: then no pretrained ones are fetched.

    Returns:
        The module; its weights are drawn from the global generator unless it starts from pretrained ones.
    """
    trainer = config.trainer
    optimization = Optimization(trainer.optimizer, trainer.scheduler, trainer.max_steps)
    provided: dict[str, Any] = {"optimization": optimization}
    if data.class_names is not None:
        provided |= {"class_names": list(data.class_names), "num_classes": len(data.class_names)}
    if data.channels is not None:
        provided |= {"in_channels": data.channels, "input_size": data.size}
    part = config.model
    if not fresh and part.params.get("pretrained"):
        part = part.model_copy(update={"params": part.params | {"pretrained": False}})
    model: pl.LightningModule = registry.models.build(part, **provided)
    own = set(model.hparams)  # a module may have saved hyperparameters of its own, which its code reads
    model.save_hyperparameters({key: value for key, value in config.to_dict().items() if key not in own}, logger=False)
    if trainer.compile:
        compile_networks(model)
    return model


def compile_networks(model: pl.LightningModule) -> None:
    """Compile each network that a module holds, in place; the names in its ``state_dict`` stay.

    Args:
        model: The module; its children with parameters are compiled at their first forward pass.
    """
    for network in model.children():
        if any(True for _ in network.parameters()):
            network.compile()
