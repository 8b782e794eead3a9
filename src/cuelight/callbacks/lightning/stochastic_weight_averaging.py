"""Stochastic weight averaging, with functions by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim.swa_utils import get_ema_avg_fn

from cuelight.config import Config
from cuelight.errors import ConfigWarning
from cuelight.utils.run_directory import CHECKPOINT_FOLDER
from cuelight.utils.trainer_callbacks import directory_of

SWA_CHECKPOINT = "swa.ckpt"
AVERAGING_FUNCTIONS = {"average": None, "ema": get_ema_avg_fn()}  # type: ignore[no-untyped-call]


class StochasticWeightAveraging(callbacks.StochasticWeightAveraging):
    """Averages the weights of the last epochs, which have a learning rate of their own.

    The average replaces the weights when training ends (P. Izmailov et al., 2018, "Averaging Weights Leads to Wider
    Optima and Better Generalization"), and is saved as ``swa.ckpt`` in ``checkpoints`` of the run directory or
    of that of the first logger, if checkpoints are saved at all. Earlier checkpoints hold the trained weights.

    Args:
        swa_lrs: Learning rate while averaging; one for all parameter groups, or a list with one for each.
        swa_epoch_start: Epoch (from 1) in which averaging starts, or as a fraction of all epochs.
        annealing_epochs: Epochs in which the learning rate changes to swa_lrs.
        annealing_strategy: Whether it changes along a cosine or a line.
        avg_fn: "average" weights all epochs equally; "ema" is an exponential moving average with a decay of 0.999.
        device: Where the average is kept, such as cpu; null keeps it beside the model.
    """

    def __init__(
        self,
        swa_lrs: float | list[float],
        swa_epoch_start: int | float = 0.8,  # noqa: PYI041 - 1 is an epoch, 1.0 a fraction
        annealing_epochs: int = 10,
        annealing_strategy: Literal["cos", "linear"] = "cos",
        avg_fn: Literal["average", "ema"] = "average",
        device: str | None = "cpu",
    ) -> None:
        super().__init__(
            swa_lrs=[float(rate) for rate in swa_lrs] if isinstance(swa_lrs, list) else float(swa_lrs),
            swa_epoch_start=swa_epoch_start,
            annealing_epochs=annealing_epochs,
            annealing_strategy=annealing_strategy,
            avg_fn=AVERAGING_FUNCTIONS[avg_fn],
            device=device,
        )
        self._loaded: dict[str, Any] | None = None

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[ConfigWarning]:
        """Warn that the average may be lost, and is not validated."""
        if any(isinstance(callback, EarlyStopping) for callback in callbacks):
            yield ConfigWarning(
                "StochasticWeightAveraging copies its average to the model after the last planned epoch; if "
                "EarlyStopping ends the training earlier, the average is lost."
            )
        yield ConfigWarning(
            "StochasticWeightAveraging does not use its average during the training: validation, the best checkpoints "
            "and the test use the weights that are being trained. The average is saved at the end, as "
            "checkpoints/swa.ckpt: evaluate it with cuelight test."
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Continue averaging within an epoch, where Lightning would wait for the next one."""
        if self._loaded is not None and trainer.fit_loop.restarted_mid_epoch:
            self.on_train_epoch_start(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average into the model, and save it, because all other checkpoints were saved before."""
        super().on_train_end(trainer, pl_module)
        folder = directory_of(trainer) / CHECKPOINT_FOLDER
        last_epoch = self.swa_end + int(bool(self._model_contains_batch_norm))  # one more updates the statistics
        ended = self._max_epochs == -1 or trainer.current_epoch - 1 == last_epoch
        if ended and self.n_averaged is not None and trainer.checkpoint_callbacks and not trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it by setattr
            trainer.save_checkpoint(folder / SWA_CHECKPOINT)

    def state_dict(self) -> dict[str, Any]:
        """Return the state; until averaging continues after a resume, this is the loaded state."""
        if self._loaded is not None and self.n_averaged is None:
            return self._loaded
        state: dict[str, Any] = super().state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state."""
        super().load_state_dict(state_dict)
        self._loaded = state_dict
