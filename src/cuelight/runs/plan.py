"""The callbacks of a run, with their order and origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint, Timer

from cuelight import registry
from cuelight.callbacks.added.last_checkpoint import LastCheckpoint
from cuelight.callbacks.added.seed_each_batch import SeedEachBatch
from cuelight.callbacks.added.step_on_plateau import StepOnPlateau
from cuelight.callbacks.added.stop_after_steps import StopAfterSteps
from cuelight.callbacks.added.unfreeze import Unfreeze
from cuelight.callbacks.added.watch_loss import WatchLoss
from cuelight.callbacks.lightning.model_checkpoint import ModelCheckpoint as ResumableModelCheckpoint
from cuelight.callbacks.test_on_train_end import TestOnTrainEnd
from cuelight.config.durations import read_duration
from cuelight.config.schema import Config
from cuelight.errors import ConfigError, CuelightError, Problem
from cuelight.runs.build import model_class
from cuelight.weights.best import Mode, main_metric, main_metric_mode

LOSS_MONITOR = "val/loss"
_ENTRIES = "trainer.callbacks."

# In the order in which a fit, and then a test, calls them.
HOOKS = (
    "setup", "on_fit_start", "on_sanity_check_start", "on_sanity_check_end", "on_train_start",
    "on_train_epoch_start", "on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step", "on_train_batch_end",
    "on_validation_start", "on_validation_epoch_start", "on_validation_batch_start", "on_validation_batch_end",
    "on_validation_epoch_end", "on_validation_end",
    "on_train_epoch_end", "on_save_checkpoint", "on_load_checkpoint", "on_exception", "on_train_end", "on_fit_end",
    "on_test_start", "on_test_epoch_start", "on_test_batch_start", "on_test_batch_end", "on_test_epoch_end",
    "on_test_end", "on_predict_start", "on_predict_epoch_start", "on_predict_batch_start", "on_predict_batch_end",
    "on_predict_epoch_end", "on_predict_end", "teardown",
)  # fmt: skip


@dataclass(frozen=True)
class PlannedCallback:
    """A callback and where it comes from.

    Args:
        callback: The callback itself.
        origin: The key path of its entry in the file, or why Cuelight added it.
        at_end: Whether Cuelight adds it after all others.
    """

    callback: pl.Callback
    origin: str
    at_end: bool = False

    @property
    def name(self) -> str:
        """The name of its class."""
        return type(self.callback).__name__

    @property
    def path(self) -> str:
        """The key path of its entry in the file; empty if it has none."""
        return self.origin if self.origin.startswith(_ENTRIES) else ""


def plan_callbacks(config: Config) -> tuple[list[PlannedCallback], list[Problem]]:
    """Return all callbacks in order: added before, active entries of the file, added after.

    Callbacks that reject their parameters are missing; their problems come second.
    """
    from_file, problems = _from_file(config)
    before = [PlannedCallback(SeedEachBatch(config.trainer.seed), "added: makes a resumed run reproducible")]
    before.append(PlannedCallback(WatchLoss(), "added: warns of a loss that is NaN or infinite"))
    scheduler = config.trainer.scheduler
    if scheduler is not None and scheduler.name == "ReduceLROnPlateau":
        before.append(PlannedCallback(StepOnPlateau(), "added: steps ReduceLROnPlateau before checkpoints are saved"))
    if any(entry.until_epoch for entry in config.model.freeze):
        before.append(PlannedCallback(Unfreeze(config.model.freeze), "added: model.freeze with until_epoch"))
    planned = [*before, *from_file, *_added_after(config, [planned.callback for planned in from_file])]
    return planned, problems


def with_display(planned: Sequence[PlannedCallback], display: pl.Callback | None) -> list[PlannedCallback]:
    """Insert the callback that shows the progress, if any, right after the seed."""
    shown = [PlannedCallback(display, "added: shows the progress")] if display is not None else []
    return [*planned[:1], *shown, *planned[1:]]


def place_model_callbacks(planned: Sequence[PlannedCallback], brought: Sequence[pl.Callback]) -> list[PlannedCallback]:
    """Insert the callbacks of ``configure_callbacks`` after those of the file.

    They come before those that Cuelight adds at the end, so that checkpoints hold their states too.
    """
    own = [PlannedCallback(callback, "added by the model") for callback in brought]
    end = next(index for index, entry in enumerate(planned) if entry.at_end)
    return [*planned[:end], *own, *planned[end:]]


def hook_order(callbacks: Sequence[pl.Callback], model: type[pl.LightningModule]) -> dict[str, list[str]]:
    """Return, for each hook that is implemented, the class names in the order of their calls.

    The model comes after the callbacks. Lightning makes two exceptions: in ``on_train_epoch_end`` the model comes
    before those that monitor a metric, so that they see what it logs there, and in ``on_load_checkpoint`` it is first.
    """
    order = {}
    for hook in HOOKS:
        users = [callback for callback in callbacks if _implements(callback, hook)]
        late = [callback for callback in users if _comes_after_model(callback, hook)]
        early = [callback for callback in users if callback not in late]
        names = [type(callback).__name__ for callback in early]
        if _model_implements(model, hook):
            names.append(f"{model.__name__} (the model)")
        names += [type(callback).__name__ for callback in late]
        if names:
            order[hook] = names
    return order


def _from_file(config: Config) -> tuple[list[PlannedCallback], list[Problem]]:
    planned: list[PlannedCallback] = []
    problems: list[Problem] = []
    for index, part in enumerate(config.trainer.callbacks):
        if not part.active:
            continue
        path = f"{_ENTRIES}{index}"
        try:
            planned.append(PlannedCallback(registry.callbacks.build(part), path))
        except ConfigError as error:
            problems += [problem._replace(path=f"{path}.{problem.path or 'params'}") for problem in error.problems]
        except MisconfigurationException as error:
            problems.append(Problem(f"invalid parameters for {part.name}: {error}", f"{path}.params"))
    return planned, problems


def _added_after(config: Config, from_file: Sequence[pl.Callback]) -> list[PlannedCallback]:
    added: list[tuple[pl.Callback, str]] = []
    if not any(isinstance(callback, ModelCheckpoint) for callback in from_file):
        added.append((_best(LOSS_MONITOR, "min"), f"added: keeps the lowest {LOSS_MONITOR}"))
        model = _known_model(config)
        metric = main_metric(model)
        if metric is not None:
            added.append((_best(metric, main_metric_mode(model)), f"added: keeps the best {metric}"))
    if not any(part.name == "TestOnTrainEnd" for part in config.trainer.callbacks):
        added.append((TestOnTrainEnd(), "added: tests the best checkpoint; to disable it, add it with active: false"))
    if config.trainer.max_steps is not None:
        added.append((StopAfterSteps(config.trainer.max_steps), "added: trainer.max_steps"))
    if config.trainer.max_time is not None:
        added.append((Timer(duration=read_duration(config.trainer.max_time)), "added: trainer.max_time"))
    added.append((LastCheckpoint(), "added: saves last.ckpt, also on Ctrl-C and SIGTERM"))
    return [PlannedCallback(callback, origin, at_end=True) for callback, origin in added]


def _known_model(config: Config) -> type[pl.LightningModule] | None:
    """Return the class of the model; ``None`` if there is no such name, which the check of the model reports."""
    try:
        return model_class(config)
    except CuelightError:
        return None


def _best(monitor: str, mode: Mode) -> ModelCheckpoint:
    checkpoint = ResumableModelCheckpoint(
        monitor=monitor,
        mode=mode,
        filename=f"best_{monitor.rpartition('/')[2]}",
        auto_insert_metric_name=False,
        enable_version_counter=False,
    )
    checkpoint.tie_breaker = LOSS_MONITOR
    return checkpoint


def _implements(callback: pl.Callback, hook: str) -> bool:
    return getattr(type(callback), hook) is not getattr(pl.Callback, hook)


def _model_implements(model: type[pl.LightningModule], hook: str) -> bool:
    inherited = getattr(pl.LightningModule, hook, None)
    return inherited is not None and getattr(model, hook) is not inherited


def _comes_after_model(callback: pl.Callback, hook: str) -> bool:
    monitors = isinstance(callback, Checkpoint | EarlyStopping)
    return hook == "on_load_checkpoint" or (hook == "on_train_epoch_end" and monitors)
