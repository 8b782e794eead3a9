"""Settings that were changed for a resume: which take effect, and which cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from cuelight.config import Config
from cuelight.config.plain import to_plain
from cuelight.data.spec import DataSpec, saved_spec
from cuelight.errors import CheckpointError, Problem
from cuelight.runs.defaults import default_settings, with_defaults
from cuelight.utils import dot_paths

_OPTIMIZER = "trainer.optimizer.params."
_SCHEDULER = "trainer.scheduler"
_LENGTHS = ("T_max", "total_steps", "total_iters", "epochs", "steps_per_epoch")
_OF_A_TRAINING = (
    "model.",
    "data.",
    "trainer.optimizer",
    "trainer.batch_size",
    "trainer.seed",
    "trainer.epochs",
    "trainer.max_steps",
)
_OTHER_CLASS = "the saved state belongs to another class."
_OTHER_GROUPS = "the saved state of the optimizer belongs to other groups of parameters."
_SAVED_WEIGHTS = "the weights of the checkpoint are used."
_OTHER_SPLITS = "the model would be measured on images that it was trained on."
_SPLITTING = (
    "split_seed", "val_split", "test_split", "group_by", "group_column", "folds", "fold",
    "files", "annotations", "columns", "label_column", "task_name", "classes", "keep_empty",
)  # fmt: skip
_NEVER = {
    "model.name": _OTHER_CLASS,
    "trainer.optimizer.name": _OTHER_CLASS,
    "model.freeze": _OTHER_GROUPS,
    "trainer.optimizer.groups": _OTHER_GROUPS,
    "trainer.optimizer.layer_decay": _OTHER_GROUPS,
    "trainer.optimizer.decay_norms": _OTHER_GROUPS,
    "model.params.pretrained": _SAVED_WEIGHTS,
    "model.init_from": _SAVED_WEIGHTS,
    **{f"data.params.{name}": _OTHER_SPLITS for name in _SPLITTING},
}
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
    sections, problems = ("model", "data", "trainer"), list[Problem]()
    saved = checkpoint.get("hyper_parameters", {})
    before = dot_paths.flattened(to_plain({name: saved[name] for name in sections if name in saved}, problems) or {})
    if problems:
        raise CheckpointError(f"hyper_parameters in the checkpoint are damaged: {problems[0]}. Use another checkpoint.")
    if not any(name in saved for name in sections):
        return []
    trees = (config.to_dict(), with_defaults(config).to_dict(), default_settings(config.to_dict()))
    given, complete, defaults = (
        {key: _plain(value) for key, value in dot_paths.flattened(tree).items() if key.startswith(sections)}
        for tree in trees
    )
    saved_or_default = defaults | before
    changed = [key for key, value in given.items() if saved_or_default.get(key, _absent) != value]
    return changed + [key for key, value in before.items() if key not in given and complete.get(key, _absent) != value]


def changed_optimizer_parameters(changed: list[str]) -> frozenset[str]:
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
    if before and before.skeleton and data.skeleton and before.skeleton.names != data.skeleton.names:
        yield Problem(
            f"the data has the points {', '.join(data.skeleton.names)}, but the model was trained with "
            f"{', '.join(before.skeleton.names)}. A resume needs the same points in the same order.",
            "data",
        )
    if before and before.preprocessing and data.preprocessing and before.preprocessing != data.preprocessing:
        yield Problem(
            "the images are prepared in another way (size, mean, std, color or resize) than those that the best model "
            "so far was measured on. A resume needs the same preprocessing.",
            "data",
        )
    without_effect = [key for key in changed if key.startswith(_OF_A_TRAINING)]
    if without_effect and _is_complete(config, checkpoint):
        yield Problem(
            "the training is complete, so this has no effect. Raise trainer.epochs or trainer.max_steps to train on.",
            without_effect[0],
        )
    is_open = _is_in_the_middle_of_an_epoch(checkpoint)
    keys = {_reason(key, config, is_open): key for key in reversed(changed)}
    for reason, key in reversed(keys.items()):
        if reason:
            yield Problem(f"this cannot be changed for a resume: {reason} Start a new training instead.", key)


def unfit_weights(changed: list[str], module: nn.Module, checkpoint: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem if parameters of the model were changed so that the saved weights do not fit."""
    keys = [key for key in changed if key.startswith("model.")]
    own, saved = module.state_dict(), checkpoint.get("state_dict", {})
    unfit = [name for name, value in own.items() if name not in saved or saved[name].shape != value.shape]
    if keys and unfit:
        yield Problem(
            f"this cannot be changed for a resume: the weights of the checkpoint do not fit the changed model, such as "
            f"{unfit[0]}. Start a new training instead.",
            keys[0],
        )


def _reason(key: str, config: Config, is_open: bool) -> str | None:
    last = key.rpartition(".")[2]
    for setting, reason in _NEVER.items():
        if key == setting or (key.startswith(f"{setting}.") and last != "until_epoch"):
            return reason
    if key == f"{_OPTIMIZER}lr" and config.trainer.scheduler is not None:
        return "the scheduler sets the learning rate, and its state is that of the checkpoint."
    if key.startswith(_SCHEDULER) and last not in _LENGTHS:
        return "the state of the scheduler is that of the checkpoint."
    if key.startswith(_ORDER_OF_BATCHES) and key != "data.params.path" and is_open:  # the data may have been moved
        return "the checkpoint was saved in the middle of an epoch, whose other batches would be different ones."
    return None


def _is_complete(config: Config, checkpoint: Mapping[str, Any]) -> bool:
    limit = config.trainer.max_steps
    epochs = _progress(checkpoint).get("processed", 0)
    return epochs >= config.trainer.epochs or (limit is not None and checkpoint.get("global_step", 0) >= limit)


def _is_in_the_middle_of_an_epoch(checkpoint: Mapping[str, Any]) -> bool:
    progress = _progress(checkpoint)
    return progress.get("started", 0) > progress.get("processed", 0)


def _progress(checkpoint: Mapping[str, Any]) -> Mapping[str, int]:
    found: Mapping[str, int] = (
        checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {}).get("current", {})
    )
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


_absent = object()
