"""Save checkpoints, the best by a metric or at fixed intervals."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor

from cuelight.callbacks.base.check import others_before
from cuelight.config import Config
from cuelight.config.durations import read_duration
from cuelight.errors import ConfigError, ConfigWarning, Problem, did_you_mean
from cuelight.weights.best import LOSSES
from cuelight.weights.finite import in_words, not_finite_tensors

logger = logging.getLogger(__name__)


class ModelCheckpoint(callbacks.ModelCheckpoint):
    """Saves checkpoints, the best by a metric or at fixed intervals.

    A model is never the best if the monitored metric, a validation loss or its weights are NaN or infinite. The sanity
    check detects a monitored validation metric that is not logged. In a moved run directory the scores are kept;
    Lightning's ModelCheckpoint forgets them, and then takes the next model for the best.

    Args:
        dirpath: Folder for the files; the checkpoints folder of the run if left out.
        filename: Name with metrics in braces, such as "{epoch}-{step}", without .ckpt.
        monitor: The logged metric that selects the best, such as val/loss; without one the latest is kept.
        verbose: Whether to report each file.
        save_last: Also keep a copy named last.ckpt of the checkpoint saved latest; "link" makes a symbolic link.
        save_top_k: How many of the best to keep; -1 keeps all, 0 none.
        save_on_exception: Whether to save when training fails.
        save_weights_only: Whether to leave out the states that only a resume needs.
        mode: Whether a smaller or a larger value is better.
        auto_insert_metric_name: Whether to write metric=value into the name; set false if a metric has a slash.
        every_n_train_steps: Save after every n optimizer steps.
        train_time_interval: Save whenever this time has passed: "90m", "DD:HH:MM:SS" or {minutes: 90}.
        every_n_epochs: Save after every n epochs; 0 switches it off.
        save_on_train_epoch_end: Save at the end of a training epoch (true) or of a validation (false); if left out,
            at the end of the epoch where each epoch has exactly one validation.
        enable_version_counter: Whether to append -v1, -v2 to a name that exists, instead of replacing the file.
    """

    tie_breaker: str | None = None
    """A logged loss; of models with equal scores the one with the lower loss is kept."""

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = None,
        monitor: str | None = None,
        verbose: bool = False,
        save_last: bool | Literal["link"] | None = None,
        save_top_k: int = 1,
        save_on_exception: bool = False,
        save_weights_only: bool = False,
        mode: Literal["min", "max"] = "min",
        auto_insert_metric_name: bool = True,
        every_n_train_steps: int | None = None,
        train_time_interval: str | dict[str, float] | timedelta | None = None,
        every_n_epochs: int | None = None,
        save_on_train_epoch_end: bool | None = None,
        enable_version_counter: bool = True,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename=filename,
            monitor=monitor,
            verbose=verbose,
            save_last=save_last,
            save_top_k=save_top_k,
            save_on_exception=save_on_exception,
            save_weights_only=save_weights_only,
            mode=mode,
            auto_insert_metric_name=auto_insert_metric_name,
            every_n_train_steps=every_n_train_steps,
            train_time_interval=None if train_time_interval is None else read_duration(train_time_interval),
            every_n_epochs=every_n_epochs,
            save_on_train_epoch_end=save_on_train_epoch_end,
            enable_version_counter=enable_version_counter,
        )
        self._bad_weights: list[str] = []
        self._refused: str | None = None
        self._loss_of_best = math.inf

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem | ConfigWarning]:
        """Find files that would replace others, and files that are saved too early."""
        if config is not None:  # in a run, LastCheckpoint keeps last.ckpt
            for key, taken in (("save_last", self.save_last), ("filename", self.filename == "last")):
                if taken:
                    message = "last.ckpt is always saved, because a resume needs it. Remove this parameter."
                    yield Problem(message, f"params.{key}")
        filename = self.filename or ""
        if filename.startswith("/") or ".." in filename.split("/"):
            yield Problem(
                f'expected a file name inside the checkpoint folder, got "{filename}". Set dirpath for another folder.',
                "params.filename",
            )
        after = callbacks[len(others_before(self, callbacks)) :]
        if any(isinstance(callback, EarlyStopping) for callback in after):
            yield ConfigWarning(
                "ModelCheckpoint comes before EarlyStopping, so its checkpoints contain the EarlyStopping state of the "
                "previous epoch. To save the current state, list ModelCheckpoint after EarlyStopping."
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if this validation calls for it.

        Raises:
            ConfigError: In the sanity check, if the monitored metric was not logged.
        """
        if trainer.sanity_checking and self.monitor and self.monitor.startswith("val"):
            logged = sorted(trainer.callback_metrics)
            if self.monitor not in logged:
                raise ConfigError([Problem(_not_logged(type(pl_module).__name__, self.monitor, logged))])
        if not trainer.sanity_checking:
            self._bad_weights = not_finite_tensors(pl_module)
        super().on_validation_end(trainer, pl_module)

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        """Return whether the current model is one of the best."""
        if current is None:
            return False
        loss = float(trainer.callback_metrics.get(self.tie_breaker or "", math.inf))
        improves = super().check_monitor_top_k(trainer, current)
        if not improves and self.tie_breaker and self.save_top_k == 1:
            improves = trainer.strategy.reduce_boolean_decision(self._is_tie_with_lower_loss(current, loss))
        if improves and not self._is_finite(trainer, current):
            return False
        if improves:
            self._loss_of_best = loss
        return improves

    def _is_tie_with_lower_loss(self, current: Tensor, loss: float) -> bool:
        best = self.best_model_score
        return best is not None and bool(current == best) and loss < self._loss_of_best

    def _is_finite(self, trainer: pl.Trainer, current: Tensor) -> bool:
        logged = trainer.callback_metrics
        metrics = {name: logged[name] for name in LOSSES if name in logged} | {str(self.monitor): current}
        bad = [f"{name} is {float(value)}" for name, value in metrics.items() if not bool(value.isfinite())]
        bad += [f"there is {in_words(self._bad_weights)}"] if self._bad_weights else []
        if trainer.strategy.reduce_boolean_decision(not bad):
            return True
        reason = ", ".join(bad) or "its numbers are not finite in another process"
        if self._refused is None and trainer.is_global_zero:
            logger.warning("The model of step %d is not saved as the best: %s.", trainer.global_step, reason)
        self._refused = f"{reason} (step {trainer.global_step})"
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return the scores, and why a model was not saved."""
        return super().state_dict() | {"refused": self._refused, "loss_of_best": self._loss_of_best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the scores, with the paths changed to the current folder."""
        self._refused = state_dict.get("refused")
        self._loss_of_best = state_dict.get("loss_of_best", -math.inf)  # unknown in files of earlier versions
        super().load_state_dict(_in_folder(state_dict, Path(self.dirpath)) if self.dirpath else state_dict)


def _not_logged(model: str, metric: str, logged: Sequence[str]) -> str:
    return (
        f'{model} does not log "{metric}" in validation.{did_you_mean(metric, logged)} Logged metrics: '
        f"{', '.join(logged) or 'none'}. Log it, or configure a ModelCheckpoint that monitors a logged metric."
    )


def _in_folder(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Change the paths in a state to the folder where the files are now."""
    if not state.get("best_model_path") or not (folder / Path(state["best_model_path"]).name).is_file():
        return state

    def here(path: str) -> str:
        return str(folder / Path(path).name) if path else path

    paths = {key: here(state[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
    kept = {here(path): score for path, score in state["best_k_models"].items()}
    return state | paths | {"best_k_models": kept, "dirpath": str(folder)}
