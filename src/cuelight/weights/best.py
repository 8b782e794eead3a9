"""The best checkpoint of a run."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.callbacks import ModelCheckpoint

logger = logging.getLogger(__name__)

Preference = Literal["metric", "loss"]
LATEST = ""  # the monitor of a ModelCheckpoint that keeps the latest checkpoint
LOSSES = ("val/loss", "val_loss")  # names of the validation loss
Mode = Literal["min", "max"]


def main_metric(module: object) -> str | None:
    """Return the logged name of the metric that chooses the best weights, such as ``val/accuracy``.

    ``None`` if the module (or its class) has no attribute such as ``main_metric = "accuracy"``.
    """
    name = getattr(module, "main_metric", None)
    return f"val/{name}" if name else None


def main_metric_mode(module: object) -> Mode:
    """Return whether a smaller or a larger value of the main metric is better; ``max`` by default."""
    return "min" if getattr(module, "main_metric_mode", "max") == "min" else "max"


@dataclass(frozen=True)
class BestCheckpoint:
    """A checkpoint that was kept because of its score.

    Args:
        path: The file.
        monitor: Name of the monitored metric, such as ``val/accuracy``; ``LATEST`` for the latest checkpoint.
        mode: ``min`` or ``max``.
        score: Value of the metric.
    """

    path: Path
    monitor: str
    mode: str
    score: float

    @property
    def by_loss(self) -> bool:
        """Whether it is the best by a loss: ``loss`` is in the name of the metric, and lower is better."""
        return self.mode == "min" and "loss" in self.monitor.lower()


def best_checkpoint(
    kept: Sequence[BestCheckpoint], prefer: Preference = "metric", main_metric: str | None = None
) -> BestCheckpoint | None:
    """Choose among the best checkpoints of a run.

    Args:
        kept: All of them, in the order of their callbacks.
        prefer: ``metric`` for the best by a metric, ``loss`` for the best by the validation loss.
        main_metric: Name of the metric that is preferred to others, such as ``val/accuracy``.

    Returns:
        The preferred one; if there is none, the other one; ``None`` if there is no checkpoint.
    """
    by_loss = prefer == "loss"
    order = [
        (best.monitor == LATEST, best.by_loss != by_loss, best.monitor != main_metric, best.monitor not in LOSSES)
        for best in kept
    ]
    return kept[order.index(min(order))] if kept else None


def not_preferred(best: BestCheckpoint, prefer: Preference) -> str | None:
    """Return a warning if a checkpoint was selected because there is none by the preferred metric."""
    if best.monitor == LATEST:
        return f"No ModelCheckpoint monitors a metric; using the latest checkpoint: {best.path.name}."
    if best.by_loss == (prefer == "loss"):
        return None
    preferred = "the validation loss" if prefer == "loss" else "the main metric"
    return f"No ModelCheckpoint monitors {preferred}; using the best by {best.monitor}: {best.path.name}."


def from_callbacks(callbacks: Iterable[ModelCheckpoint]) -> list[BestCheckpoint]:
    """List the checkpoints that the callbacks keep as the best in this run, or as the latest without a metric."""
    kept = (_existing(callback.state_dict(), callback.mode, Path(callback.dirpath or "")) for callback in callbacks)
    return [best for best in kept if best is not None]


def from_states(callback_states: Mapping[str, Mapping[str, Any]], folder: Path) -> list[BestCheckpoint]:
    """List the best checkpoints as :func:`from_callbacks`, from ``checkpoint["callbacks"]`` of a saved checkpoint.

    Files of a run that was moved are found in ``folder``, its checkpoint folder.
    """
    kept = (_existing_of(key, state, folder) for key, state in callback_states.items() if isinstance(state, Mapping))
    return [best for best in kept if best is not None]


def why_none(states: Iterable[Mapping[str, Any]]) -> str | None:
    """Return why a ModelCheckpoint with one of these states did not save a model as the best; ``None`` if it did."""
    known = (one for one in states if isinstance(one, Mapping))
    return next((str(one["refused"]) for one in known if one.get("refused") and not one.get("best_model_path")), None)


def _existing_of(key: str, state: Mapping[str, Any], folder: Path) -> BestCheckpoint | None:
    try:
        return _existing(state, _mode_of(key), folder)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        logger.warning("Its best checkpoint is not known: the state of %s is damaged: %s.", key, error)
        return None


def _existing(state: Mapping[str, Any], mode: str | None, folder: Path) -> BestCheckpoint | None:
    monitor, score = state.get("monitor") or LATEST, state.get("best_model_score")
    if not state.get("best_model_path") or (monitor and score is None):
        return None
    recorded = Path(state["best_model_path"])
    saved_in = Path(state.get("dirpath") or folder)
    if not recorded.is_relative_to(saved_in):
        return None  # of the run from which this one was resumed
    own = [recorded]
    if saved_in.name == folder.name:  # the checkpoint folder of the run, which may have been moved or copied
        own.insert(0, folder / recorded.relative_to(saved_in))
    path = next((path for path in own if path.is_file()), None)
    value = math.nan if score is None else float(score)
    return BestCheckpoint(path, monitor, mode or _usual_mode(monitor), value) if path else None


def _mode_of(state_key: str) -> str | None:
    """Return the mode in a key such as ``ModelCheckpoint{'monitor': 'val/loss', 'mode': 'min', ...}``."""
    found = re.search(r"'mode': '(min|max)'", state_key)
    return found.group(1) if found else None


def _usual_mode(monitor: str) -> str:
    return "min" if "loss" in monitor.lower() else "max"
