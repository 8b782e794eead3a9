"""A configuration with the defaults of its parts."""

from __future__ import annotations

from typing import TypeVar

from cuelight import registry
from cuelight.config import Config, Part

_PartType = TypeVar("_PartType", bound=Part)


def with_defaults(config: Config) -> Config:
    """Return a configuration that names every parameter, so that a later change of a default does not change the run.

    Parameters that the run supplies, such as the length of a schedule, are left out.
    """
    trainer = config.trainer
    complete = trainer.model_copy(
        update={
            "optimizer": _complete("optimizer", trainer.optimizer),
            "scheduler": _complete("scheduler", trainer.scheduler) if trainer.scheduler else None,
            "callbacks": [_complete("callback", part) for part in trainer.callbacks],
        }
    )
    parts = {"model": _complete("model", config.model), "data": _complete("data", config.data)}
    return config.model_copy(update={"trainer": complete, **parts})


def _complete(kind: str, part: _PartType) -> _PartType:
    defaults = registry.registry_of(kind).defaults(part.name)
    return part.model_copy(update={"params": part.params | {k: v for k, v in defaults.items() if k not in part.params}})
