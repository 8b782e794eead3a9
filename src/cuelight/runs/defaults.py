"""The defaults of a configuration and of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

from cuelight import registry
from cuelight.config import Config, Part
from cuelight.errors import CuelightError

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


def default_settings(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of the same parts with all defaults; a part that is not known has no parameters."""

    def bare(kind: str, part: Mapping[str, Any]) -> dict[str, Any]:
        params: dict[str, Any] = {}
        with suppress(CuelightError):
            params = registry.registry_of(kind).defaults(part["name"])
        return {"name": part["name"], "params": params}

    trainer = tree.get("trainer") or {}
    parts: dict[str, Any] = {
        kind: bare(kind, trainer[kind]) for kind in ("optimizer", "scheduler") if trainer.get(kind)
    }
    parts["callbacks"] = [bare("callback", part) for part in trainer.get("callbacks") or ()]
    models = {kind: bare(kind, tree.get(kind) or {"name": kind}) for kind in ("model", "data")}
    return Config.model_validate({**models, "trainer": parts}).to_dict()


def _complete(kind: str, part: _PartType) -> _PartType:
    defaults = registry.registry_of(kind).defaults(part.name)
    return part.model_copy(update={"params": part.params | {k: v for k, v in defaults.items() if k not in part.params}})
