"""Which checkpoint of a run is the best one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Preference = Literal["metric", "loss"]


@dataclass(frozen=True)
class BestCheckpoint:
    """A checkpoint that was kept because of its score.

    Args:
        path: The file.
        monitor: The name of what was monitored, such as ``val/accuracy``.
        mode: ``min`` or ``max``.
        score: The value that was reached.
    """

    path: Path
    monitor: str
    mode: str
    score: float

    @property
    def by_loss(self) -> bool:
        """Whether it is the best by a loss: something named so, the lower the better."""
        return self.mode == "min" and "loss" in self.monitor.lower()


def best_checkpoint(
    callback_states: Mapping[str, Mapping[str, Any]],
    folder: Path,
    prefer: Preference = "metric",
    main_metric: str | None = None,
) -> BestCheckpoint | None:
    """Choose among the checkpoints that the ``ModelCheckpoint`` callbacks of a run kept.

    Args:
        callback_states: The state of each callback by its ``state_key``: ``checkpoint["callbacks"]`` of a file, or
            the same collected from a live trainer.
        folder: The checkpoint folder of the run; a run directory that was moved is found there.
        prefer: ``metric`` for the best by a metric, ``loss`` for the best by the validation loss.
        main_metric: The name of the metric that comes before others, such as ``val/accuracy``.

    Returns:
        The preferred one; the other where that does not exist; ``None`` if no file exists at all.
    """
    found = list(_existing(callback_states, folder))
    found.sort(key=lambda best: best.monitor != main_metric)
    preferred = [best for best in found if best.by_loss == (prefer == "loss")]
    return next(iter(preferred or found), None)


def _existing(states: Mapping[str, Mapping[str, Any]], folder: Path) -> Iterable[BestCheckpoint]:
    for key, state in states.items():
        monitor, score = state.get("monitor"), state.get("best_model_score")
        if not monitor or score is None or not state.get("best_model_path"):
            continue
        recorded = Path(state["best_model_path"])
        moved = folder / recorded.name
        path = moved if moved.is_file() else recorded
        if path.is_file():
            yield BestCheckpoint(path=path, monitor=monitor, mode=_mode_of(key), score=float(score))


def _mode_of(state_key: str) -> str:
    """Read the mode out of a key such as ``ModelCheckpoint{'monitor': 'val/loss', 'mode': 'min', ...}``."""
    found = re.search(r"'mode': '(min|max)'", state_key)
    return found.group(1) if found else "min"
