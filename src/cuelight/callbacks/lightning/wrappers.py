"""Lightning's own callbacks, with parameters that a YAML file can express.

Names, parameters and defaults are Lightning's, and each is a subclass of Lightning's class or that class itself. What
is documented here in one line is documented at length by Lightning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor

from cuelight.callbacks.lightning.model_pruning import ModelPruning
from cuelight.callbacks.lightning.stochastic_weight_averaging import StochasticWeightAveraging
from cuelight.config.durations import read_duration
from cuelight.errors import ConfigError, Problem, did_you_mean

__all__ = [
    "DeviceStatsMonitor",
    "EarlyStopping",
    "GradientAccumulationScheduler",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelPruning",
    "RichModelSummary",
    "StochasticWeightAveraging",
    "Timer",
]


class EarlyStopping(callbacks.EarlyStopping):
    """Stops training when a metric no longer improves.

    Args:
        monitor: The logged metric to watch, such as val/loss.
        min_delta: Smallest change that counts as an improvement.
        patience: Checks without improvement before training stops; one check comes after each validation.
        verbose: Whether to report each improvement.
        mode: Whether a smaller or a larger value is better.
        strict: Whether it is an error if the metric is not logged.
        check_finite: Whether to stop when the metric is NaN or infinite.
        stopping_threshold: Stop at once when the metric is better than this.
        divergence_threshold: Stop at once when the metric is worse than this.
        check_on_train_epoch_end: Check at the end of a training epoch (true) or of a validation (false); if left out,
            at the end of the epoch where each epoch has exactly one validation.
        log_rank_zero_only: Whether only the first process reports.
    """

    def __init__(
        self,
        monitor: str,
        min_delta: float = 0.0,
        patience: int = 3,
        verbose: bool = False,
        mode: Literal["min", "max"] = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None,
        log_rank_zero_only: bool = False,
    ) -> None:
        super().__init__(
            monitor=monitor,
            min_delta=min_delta,
            patience=patience,
            verbose=verbose,
            mode=mode,
            strict=strict,
            check_finite=check_finite,
            stopping_threshold=stopping_threshold,
            divergence_threshold=divergence_threshold,
            check_on_train_epoch_end=check_on_train_epoch_end,
            log_rank_zero_only=log_rank_zero_only,
        )


class ModelCheckpoint(callbacks.ModelCheckpoint):
    """Saves checkpoints, the best by a metric or at fixed intervals.

    The sanity check finds a monitored metric of the validation that is never logged. In a run directory that was
    moved it goes on with its scores; Lightning's own forgets them, and then takes the next model for the best.

    Args:
        dirpath: Folder for the files; the checkpoints folder of the run if left out.
        filename: Name with metrics in braces, such as "{epoch}-{step}", without .ckpt.
        monitor: The logged metric by which the best is chosen, such as val/loss; without one the latest is kept.
        verbose: Whether to report each file.
        save_last: Also keep a copy named last.ckpt of the checkpoint saved latest; "link" makes a symbolic link.
        save_top_k: How many of the best to keep; -1 keeps all, 0 none.
        save_on_exception: Whether to save when training fails.
        save_weights_only: Whether to leave out what only a resume needs.
        mode: Whether a smaller or a larger value is better.
        auto_insert_metric_name: Whether to write metric=value into the name; set false if a metric has a slash.
        every_n_train_steps: Save after every n optimizer steps.
        train_time_interval: Save whenever this time has passed: "90m", "DD:HH:MM:SS" or {minutes: 90}.
        every_n_epochs: Save after every n epochs; 0 switches it off.
        save_on_train_epoch_end: Save at the end of a training epoch (true) or of a validation (false); if left out,
            at the end of the epoch where each epoch has exactly one validation.
        enable_version_counter: Whether to append -v1, -v2 to a name that exists, instead of replacing the file.
    """

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
            train_time_interval=_duration(train_time_interval),
            every_n_epochs=every_n_epochs,
            save_on_train_epoch_end=save_on_train_epoch_end,
            enable_version_counter=enable_version_counter,
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
        super().on_validation_end(trainer, pl_module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the scores of a checkpoint.

        Args:
            state_dict: What ``state_dict`` gave, perhaps in another place.
        """
        super().load_state_dict(_in_folder(state_dict, Path(self.dirpath)) if self.dirpath else state_dict)


class RichModelSummary(callbacks.RichModelSummary):
    """Shows the layers of the model with their numbers of parameters when training starts.

    Args:
        max_depth: How deep nested layers are shown; 0 shows nothing, -1 everything.
        header_style: Style of the table's header, in the words of rich.
    """

    def __init__(self, max_depth: int = 1, header_style: str = "bold magenta") -> None:
        super().__init__(max_depth=max_depth, header_style=header_style)


class GradientAccumulationScheduler(callbacks.GradientAccumulationScheduler):
    """Changes over how many batches gradients are accumulated, from epoch to epoch.

    Args:
        scheduling: Number of batches per optimizer step, by the first epoch for which it holds: {0: 8, 4: 4}.

    Raises:
        ValueError: If an epoch is no whole number of at least 0, or a number of batches none of at least 1.
    """

    def __init__(self, scheduling: dict[int, int]) -> None:
        expected = "expected whole numbers of batches (at least 1) by whole numbers of epochs (from 0): {0: 8, 4: 4}"
        try:
            checked = {int(epoch): factor for epoch, factor in scheduling.items()}
        except ValueError as error:
            raise ValueError(f"{expected}, got {scheduling}") from error
        numbers = [*checked, *checked.values()]
        if not checked or not all(type(number) is int for number in numbers) or min(checked) < 0:
            raise ValueError(f"{expected}, got {scheduling}")
        if min(checked.values()) < 1:
            raise ValueError(f"{expected}, got {scheduling}")
        super().__init__(scheduling=checked)


class Timer(callbacks.Timer):
    """Stops training when a time has passed; the time before a resume counts.

    Args:
        duration: Time to train: "90m", "1h30m", "DD:HH:MM:SS" or {hours: 12}; without one, time is only measured.
        interval: Whether training may stop after any step, or only after a whole epoch.
        verbose: Whether to report that the time is over.

    Raises:
        ValueError: If the duration is none of these.
    """

    def __init__(
        self,
        duration: str | dict[str, float] | timedelta | None = None,
        interval: Literal["step", "epoch"] = "step",
        verbose: bool = True,
    ) -> None:
        super().__init__(duration=_duration(duration), interval=interval, verbose=verbose)


def _duration(value: str | Mapping[str, float] | timedelta | None) -> timedelta | None:
    return read_duration(value) if isinstance(value, (str, Mapping)) else value


def _not_logged(model: str, metric: str, logged: Sequence[str]) -> str:
    return (
        f'{model} logs no metric "{metric}" in validation.{did_you_mean(metric, logged)} It logged: '
        f"{', '.join(logged) or 'nothing'}. Log it, or configure a ModelCheckpoint that monitors what is logged."
    )


def _in_folder(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Rewrite the paths in a state to the folder where the files now are."""
    if not state.get("best_model_path") or not (folder / Path(state["best_model_path"]).name).is_file():
        return state

    def here(path: str) -> str:
        return str(folder / Path(path).name) if path else path

    paths = {key: here(state[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
    kept = {here(path): score for path, score in state["best_k_models"].items()}
    return state | paths | {"best_k_models": kept, "dirpath": str(folder)}
