"""Settings that were changed for a resume: which take effect, and which cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cuelight.config import Config, paths
from cuelight.data.spec import DataSpec, saved_spec
from cuelight.errors import Problem
from cuelight.runs.defaults import with_defaults

_OPTIMIZER = "trainer.optimizer.params."
_SCHEDULER = "trainer.scheduler"
_LENGTHS = ("T_max", "total_steps", "total_iters", "epochs", "steps_per_epoch")
_ORDER_OF_BATCHES = (
    "trainer.batch_size",
    "trainer.seed",
    "trainer.accumulate_grad_batches",
    "trainer.devices",
    "trainer.num_nodes",
    "data.",
)


def changed_settings(config: Config, checkpoint: Mapping[str, Any]) -> list[str]:
    """Return the dot paths of the settings that differ from those of a checkpoint."""
    sections = ("model", "data", "trainer")
    saved = checkpoint.get("hyper_parameters", {})
    before = paths.flattened({name: saved[name] for name in sections if name in saved})
    if not before:
        return []
    given, full = ({k: v for k, v in tree.items() if k.startswith(sections)} for tree in _both(config))
    changed = [key for key, value in given.items() if before.get(key, _absent) != _plain(value)]
    return changed + [
        key for key, value in before.items() if key not in given and _plain(full.get(key, _absent)) != value
    ]


def changed_optimizer(changed: list[str]) -> frozenset[str]:
    """Return the parameters of the optimizer that were changed."""
    return frozenset(key.removeprefix(_OPTIMIZER).partition(".")[0] for key in changed if key.startswith(_OPTIMIZER))


def refused_changes(
    changed: list[str], config: Config, checkpoint: Mapping[str, Any], data: DataSpec
) -> Iterator[Problem]:
    """Yield a problem for each change that a resume cannot apply."""
    before = saved_spec(checkpoint)
    if before and before.class_names and data.class_names and before.class_names != data.class_names:
        yield Problem(
            f"the data has the classes {', '.join(data.class_names)}, but the model was trained with "
            f"{', '.join(before.class_names)}. A resume needs the same classes in the same order.",
            "data",
        )
    is_open = _is_in_the_middle_of_an_epoch(checkpoint)
    keys = {_reason(key, config, is_open): key for key in reversed(changed)}
    for reason, key in reversed(keys.items()):
        if reason:
            yield Problem(f"this cannot be changed for a resume: {reason} Start a new training instead.", key)


def _reason(key: str, config: Config, is_open: bool) -> str | None:
    last = key.rpartition(".")[2]
    if key in {"model.name", "trainer.optimizer.name"}:
        return "the saved state belongs to another class."
    if key == "model.params.pretrained":
        return "the weights of the checkpoint are used."
    if key.startswith(_OPTIMIZER + "lr") and config.trainer.scheduler is not None:
        return "the scheduler sets the learning rate, and its state is that of the checkpoint."
    if key.startswith(_SCHEDULER) and last not in _LENGTHS:
        return "the state of the scheduler is that of the checkpoint."
    if key.startswith(_ORDER_OF_BATCHES) and is_open:
        return "the checkpoint was saved in the middle of an epoch, whose other batches would be different ones."
    return None


def _is_in_the_middle_of_an_epoch(checkpoint: Mapping[str, Any]) -> bool:
    progress = checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {}).get("current", {})
    return bool(progress.get("started", 0) > progress.get("processed", 0))


def _both(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    return paths.flattened(config.to_dict()), paths.flattened(with_defaults(config).to_dict())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


_absent = object()
