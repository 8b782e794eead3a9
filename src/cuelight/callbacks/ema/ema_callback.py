"""Exponential moving average of the weights, used in validation, checkpoints and export."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any

import lightning.pytorch as pl
from pydantic import Field
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from cuelight.callbacks.base.check import require_no_problem
from cuelight.callbacks.ema.advice import training_warning
from cuelight.callbacks.ema.checkpoint_entries import (
    LIGHTNINGS_CALLBACK,
    OWN_STATE,
    RAW_STATE,
    dump_average,
    load_average,
    save_progress,
)
from cuelight.callbacks.ema.conflicts import callback_conflicts, require_known_sharding
from cuelight.callbacks.ema.parameters import require_ranges
from cuelight.config import Config
from cuelight.errors import Problem
from cuelight.utils.trainer_callbacks import callbacks_of
from cuelight.utils.wrap_method import wrap_method
from cuelight.weights.accumulated_gradients import restore_gradients, save_gradients, saved_gradients
from cuelight.weights.averaging import AveragedWeights, decay_at
from cuelight.weights.finite import in_words, not_finite_tensors
from cuelight.weights.pruned_names import zero_what_is_pruned

_VERY_LONG = 10**6

logger = logging.getLogger(__name__)


class EMACallback(pl.Callback):
    """Keeps an exponential moving average of the weights, which is validated, tested, saved and exported.

    After every optimizer step, average = d * average + (1 - d) * weights, with d = decay * (1 - exp(-t / decay_tau))
    at the t-th update. The average starts with the weights at the start of the training.

    Validation and everything after the training use the average. Checkpoints hold it as state_dict, and the trained
    weights as current_model_state. These are the keys of Lightning's EMAWeightAveraging, so each can resume from a
    checkpoint of the other. The position among the callbacks makes no difference.

    Args:
        decay: Share of the old average in the new (0.0 up to, not including, 1.0). The default follows the weights so
            closely that it averages next to nothing; 0.99 to 0.9999 are usual.
        use_dynamic_decay: Whether the decay grows from 0 to its value, so that the first weights are soon forgotten.
        decay_tau: Number of updates after which a growing decay has reached 63 % of its value.
        update_every_n_steps: Optimizer steps from one update to the next.
        update_starting_at_step: Optimizer steps before the average starts, with the weights at that step.
        average_buffers: Whether floating-point buffers such as the statistics of BatchNorm are averaged too; or
            patterns with * and ? for the names of buffers.
        skip_nonfinite: Whether to skip updates while the weights hold NaN or infinity. The check takes about half as
            long as the update.
        device: Where the average is kept, such as cpu to save GPU memory; with the model if left out.

    Raises:
        ValueError: If a parameter is out of its range.
        CuelightError: When training starts, if another callback or the strategy cannot work with an average.
    """

    def __init__(
        self,
        decay: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        use_dynamic_decay: bool = True,
        decay_tau: Annotated[float, Field(gt=0)] = 2000,
        update_every_n_steps: Annotated[int, Field(ge=1)] = 1,
        update_starting_at_step: Annotated[int, Field(ge=0)] = 0,
        average_buffers: bool | str | list[str] = True,
        skip_nonfinite: bool = True,
        device: str | None = None,
    ) -> None:
        require_ranges(EMACallback, locals())
        self.decay = decay
        self.use_dynamic_decay = use_dynamic_decay
        self.decay_tau = decay_tau
        self.update_every_n_steps = update_every_n_steps
        self.update_starting_at_step = update_starting_at_step
        self.average_buffers = [average_buffers] if isinstance(average_buffers, str) else average_buffers
        self.skip_nonfinite = skip_nonfinite
        self.device = device
        self.weights: AveragedWeights | None = None
        self._steps = 0
        self._updated_at = 0
        self._ended = False
        self._skipping = False
        self._gradients_to_restore: dict[str, Tensor] = {}
        self._watches: list[Callable[[], None]] = []
        self._trainer: weakref.ref[pl.Trainer] | None = None
        self._attached_to: list[weakref.ref[pl.Trainer]] = []

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find callbacks that cannot work with an average."""
        return callback_conflicts(self, callbacks)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the state of one training, so that a copy starts without an average."""
        return {**self.__dict__, "weights": None, "_trainer": None, "_attached_to": [], "_watches": []}

    @property
    def state_key(self) -> str:
        """The key of the callback's state in checkpoints: that of Lightning's ``EMAWeightAveraging``."""
        return LIGHTNINGS_CALLBACK

    @property
    def updates(self) -> int:
        """The number of updates of the average."""
        return self.weights.updates if self.weights else 0

    @property
    def skipped(self) -> int:
        """The number of updates that were skipped because the weights held NaN or infinity."""
        return self.weights.skipped if self.weights else 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Reset the state: training and average start from the current weights of the model."""
        if stage != "fit":
            return
        require_no_problem(self, trainer)
        require_known_sharding(trainer.strategy)
        self.weights, self._steps, self._ended, self._skipping = None, -1, False, False
        self._gradients_to_restore = {}
        self._attach(trainer)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the average, which Lightning has loaded into the module, and load the trained weights instead."""
        self.weights = None
        if trainer.state.fn != "fit":
            return  # an evaluation uses the loaded weights
        self._gradients_to_restore = saved_gradients(checkpoint)
        own: dict[str, Any] = checkpoint.get(OWN_STATE, {})
        self._steps = own.get("steps", -1)
        if RAW_STATE not in checkpoint:
            if own.get("steps", checkpoint["global_step"]) > self.update_starting_at_step:
                self._warn(trainer, "The checkpoint has no averaged weights: the average starts from its weights.")
            return
        self.weights = self._average_of(pl_module)
        load_average(checkpoint, self.weights, pl_module)
        self._updated_at = own.get("updated_at", checkpoint["global_step"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Watch the optimizers, and warn if the average has little effect."""
        if self._steps < 0:
            self._steps = trainer.global_step
        if self.weights:
            self.weights.refresh()  # the module may have gone to another device since it was loaded
        restore_gradients(pl_module, self._gradients_to_restore)
        self._gradients_to_restore = {}
        self._ended = False
        self._stop_watching()  # the optimizers of a trial run, such as that of LearningRateFinder
        # Torch's step hooks miss the first step of some optimizers and every step of others.
        self._watches = [
            wrap_method(optimizer, "step", partial(self._around_step, trainer, optimizer))
            for optimizer in trainer.optimizers
        ]
        self._advise(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for added and removed parameters."""
        if self.weights:
            self.weights.refresh()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the average, from the weights before the first step."""
        self._begin_if_due(pl_module)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Start the average of a module with lazy parameters, which exist since the first forward pass."""
        self._begin_if_due(pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the trained weights in the model, unless the training had ended."""
        if self.weights and not self._ended:
            self.weights.take_from_model()
        self._stop_watching()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop watching the optimizers."""
        self._stop_watching()

    def _stop_watching(self) -> None:
        while self._watches:
            self._watches.pop()()

    def _attach(self, trainer: pl.Trainer) -> None:
        """Wrap four methods of the trainer, once; the wrappers do nothing when this callback is not at work in it.

        Hooks run callback by callback, so a swap in a hook would show some callbacks the other weights. Instead:

        - ``val_loop.run``: all callbacks and the module validate with the average.
        - ``fit_loop.on_run_end``: the average is in the model before the first ``on_train_end``.
        - ``fit_loop.run``: also if a resume has nothing left to train, which skips ``on_run_end``.
        - ``dump_checkpoint``: whoever saves; ``on_save_checkpoint`` comes after the weights have been collected.

        ``on_train_start`` wraps ``step`` of the optimizers, too: no hook says whether a gradient scaler skipped a step.
        """
        self._trainer = weakref.ref(trainer)
        if any(attached() is trainer for attached in self._attached_to):
            return
        wrap_method(trainer.fit_loop.epoch_loop.val_loop, "run", partial(self._while_validating, trainer))
        wrap_method(trainer.fit_loop, "on_run_end", partial(self._before_run_end, trainer))
        wrap_method(trainer.fit_loop, "run", partial(self._around_run, trainer))
        saving = trainer._checkpoint_connector  # noqa: SLF001 - every way of saving goes through it
        wrap_method(saving, "dump_checkpoint", partial(self._while_saving, trainer))
        self._attached_to.append(self._trainer)

    def _is_at_work_in(self, trainer: pl.Trainer) -> bool:
        return self in callbacks_of(trainer) and self._trainer is not None and self._trainer() is trainer

    def _average_for(self, trainer: pl.Trainer) -> AveragedWeights | None:
        """Return the average, if it belongs to the trainer's current model."""
        if self.weights is None or not self._is_at_work_in(trainer):
            return None
        return self.weights if self.weights.module is trainer.lightning_module else None

    def _while_validating(self, trainer: pl.Trainer, validate: Callable[[], Any]) -> Any:
        average = self._average_for(trainer)
        if average is None:
            return validate()
        with average.in_model():
            return validate()

    def _before_run_end(self, trainer: pl.Trainer, end: Callable[[], Any]) -> Any:
        """Leave the average in the model before the callbacks' ``on_train_end``."""
        self._leave_average(trainer)
        return end()

    def _around_run(self, trainer: pl.Trainer, run: Callable[[], Any]) -> Any:
        """Leave the average in the model also if ``on_run_end`` was skipped."""
        result = run()
        self._leave_average(trainer)
        return result

    def _leave_average(self, trainer: pl.Trainer) -> None:
        average = self._average_for(trainer)
        if average and not average.is_in_model:
            if self._skipping:
                self._warn(
                    trainer,
                    f"The average was not updated after step {self._updated_at}: until the end of the training, there "
                    f"was {_where_not_finite(trainer)}. What was validated, saved and is exported is the average of "
                    f"step {self._updated_at}.",
                )
            zero_what_is_pruned(trainer.lightning_module)  # ModelPruning applies its masks next, to the average only
            average.put_in_model()
        self._ended = True

    def _while_saving(self, trainer: pl.Trainer, dump: Callable[..., dict[str, Any]], *args: Any, **kwargs: Any) -> Any:
        average = self._average_for(trainer)
        if average is not None:
            checkpoint = dump_average(trainer, average, partial(dump, *args, **kwargs))
        else:
            checkpoint = dump(*args, **kwargs)
        if average is not None or (trainer.state.fn == "fit" and self._is_at_work_in(trainer)):
            save_progress(checkpoint, trainer.global_step, self._progress(average))
            if "optimizer_states" in checkpoint:
                save_gradients(trainer, trainer.lightning_module, checkpoint)
        return checkpoint

    def _progress(self, average: AveragedWeights | None) -> dict[str, Any]:
        exact = average.exact_averages() if average else {}
        own = {"steps": self._steps, "skipped": self.skipped, "updated_at": self._updated_at}
        return {**own, "exact_averages": exact}

    def _begin_if_due(self, pl_module: pl.LightningModule) -> None:
        due = self.weights is None and self._steps >= self.update_starting_at_step
        if due and not any(is_lazy(parameter) for parameter in pl_module.parameters()):
            self.weights = self._average_of(pl_module)
            self._updated_at = self._steps

    def _average_of(self, pl_module: pl.LightningModule) -> AveragedWeights:
        return AveragedWeights(pl_module, self.average_buffers, self.skip_nonfinite, self.device)

    def _around_step(
        self, trainer: pl.Trainer, optimizer: Optimizer, step: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        result = step(*args, **kwargs)
        if _has_stepped(optimizer):
            self._steps += 1
            if self.weights is not None and self._steps % self.update_every_n_steps == 0:
                self._update(trainer, self.weights)
        return result

    def _update(self, trainer: pl.Trainer, average: AveragedWeights) -> None:
        agree = trainer.strategy.reduce_boolean_decision if average.is_sharded else None
        tau = self.decay_tau if self.use_dynamic_decay else None
        updated = average.update(decay_at(average.updates + 1, self.decay, tau), agree)
        if updated:
            self._updated_at = self._steps
        elif not self._skipping:
            self._warn(
                trainer,
                f"After step {self._steps}, there is {_where_not_finite(trainer)}. The average is not updated until "
                "all weights are finite again.",
            )
        self._skipping = not updated

    def _advise(self, trainer: pl.Trainer) -> None:
        steps = trainer.estimated_stepping_batches  # negative or infinite if unknown
        known = int(min(steps, _VERY_LONG)) if steps > 0 else _VERY_LONG
        every, begins = self.update_every_n_steps, max(self.update_starting_at_step, self._steps)
        updates = self.updates + max(0, known // every - begins // every)
        tau = self.decay_tau if self.use_dynamic_decay else None
        warning = training_warning(updates, self.decay, tau)
        if warning and not trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it by setattr
            self._warn(trainer, f"EMACallback {warning}")

    def _warn(self, trainer: pl.Trainer, message: str) -> None:
        if trainer.is_global_zero:
            logger.warning(message)


def _has_stepped(optimizer: Optimizer) -> bool:
    """Whether a step changed anything: there were gradients, and the gradient scaler did not skip it."""
    found_inf = getattr(optimizer, "found_inf", None)  # set by the scaler for optimizers that handle it themselves
    if found_inf is not None and bool(found_inf):
        return False
    groups = getattr(optimizer, "param_groups", None)
    return groups is None or any(parameter.grad is not None for group in groups for parameter in group["params"])


def _where_not_finite(trainer: pl.Trainer) -> str:
    return in_words(not_finite_tensors(trainer.lightning_module) or ["weights of another process"], shown=6)
