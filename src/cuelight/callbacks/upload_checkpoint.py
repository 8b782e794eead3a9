"""Upload the best checkpoint to the trackers during the training."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from operator import is_
from typing import Annotated, Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from pydantic import Field
from rich.console import Console
from torch import Tensor

from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.config import Config
from cuelight.config.durations import read_duration
from cuelight.errors import CheckpointError, ConfigWarning, ParameterError, Problem
from cuelight.registry.checking import misfits
from cuelight.tracking.outbox.sender import PAUSES
from cuelight.tracking.outbox.uploads import Uploads
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.outcomes import Outcome
from cuelight.train_end.running import StepResult
from cuelight.train_end.uploading import TRAINING, is_uploaded, training_id, upload
from cuelight.utils import dot_paths
from cuelight.utils.redaction import reason_of, redacted
from cuelight.utils.trainer_callbacks import directory_of
from cuelight.weights.best import Preference, best_checkpoint, from_callbacks, main_metric
from cuelight.weights.reading import load_checkpoint

logger = logging.getLogger(__name__)

ATTEMPTS_LATER = 3  # outside of a training a user waits, and can try again


class UploadCheckpoint(TrainEndStep):
    """Uploads the best checkpoint, by validation loss, to where the trackers keep their files.

    Each new best checkpoint is sent in the background, and the training does not wait; of several waiting checkpoints
    only the newest is sent. A failed upload is retried. After the training, the last upload is awaited. Checkpoints
    that cannot be sent stay in the folder ``spool`` of the run directory, for ``cuelight upload``.

    Args:
        keep: How many uploaded checkpoints stay at the tracker; with more than one, each has its step in its name.
        timeout: How long to wait for the last upload after the training: "10m", "DD:HH:MM:SS" or {minutes: 10}.

    Raises:
        ValueError: If ``keep`` is less than 1, or ``timeout`` is not a duration.
    """

    preferred_checkpoint: Preference = "loss"
    pauses: Sequence[float] = PAUSES

    def __init__(
        self, keep: Annotated[int, Field(ge=1)] = 1, timeout: str | dict[str, float] | timedelta = "10m"
    ) -> None:
        if messages := misfits(UploadCheckpoint, {"keep": keep}):
            raise ParameterError("UploadCheckpoint", messages)
        self.keep = keep
        self.timeout = read_duration(timeout)
        self._training: str | None = None
        self._uploads: Uploads | None = None
        self._scores: list[Tensor | None] = []

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem | ConfigWarning]:
        """Find out whether a tracker takes uploads, and whether secrets would be uploaded."""
        yield from super().check(config, callbacks)
        if config is None:
            return
        if not config.tracker.senders:
            yield ConfigWarning(
                "UploadCheckpoint has nowhere to upload to: TensorBoard and CSV write to the run directory, which "
                "already contains the checkpoint. Set tracker.mlflow, tracker.wandb or tracker.tensorboard.dir, or "
                "remove UploadCheckpoint."
            )
        elif secrets_of := _secret_keys(config.to_dict()):
            yield ConfigWarning(
                "UploadCheckpoint uploads the whole configuration inside the checkpoint, and these values look like "
                f"secrets in plain text: {', '.join(secrets_of)}. Write ${{env:NAME}} instead."
            )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Create an id for a new training; a resumed one loads its id from the checkpoint."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._training = secrets.token_hex(4)

    def state_dict(self) -> dict[str, Any]:
        """Return the id of the training, which names its files in the spool and at the trackers."""
        return {TRAINING: self._training}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the id of the training."""
        self._training = state_dict[TRAINING]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the checkpoints that an interrupted training left in the spool."""
        directory = directory_of(trainer)
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by setattr
            self._uploads = Uploads(directory, str(self._training), trainer.loggers, self.keep, self.pauses)
            self._scores = []
            self._uploads.resume()
            self._look(trainer, pl_module, saved_before=True)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for a new best checkpoint."""
        self._look(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Look for a new best checkpoint."""
        self._look(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for a new best checkpoint."""
        self._look(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for a new best checkpoint."""
        self._look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for a new best checkpoint."""
        self._look(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Keep unsent checkpoints in the spool."""
        try:
            self._look(trainer, pl_module)
        except Exception as error:  # noqa: BLE001 - after a GPU failure even reading a score may fail
            logger.warning("The best checkpoint cannot be put into the spool: %s", reason_of(error))
        finally:
            self._close()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep unsent checkpoints in the spool."""
        self._close()
        super().teardown(trainer, pl_module, stage)

    def work(self, training: FinishedTraining, report: Callable[[str], None], console: Console | None) -> StepResult:
        """Wait for the last upload; outside of a training, send the unsent checkpoints."""
        if self._uploads is not None:
            return upload(training, self._uploads, self.timeout, console)
        training_of = training_id(training, self.state_key)
        uploads = Uploads(training.directory, training_of, training.loggers, self.keep, self.pauses)
        try:
            return upload(training, uploads, self.timeout, console, ATTEMPTS_LATER)
        finally:
            uploads.close()

    def is_done(self, training: FinishedTraining, outcome: Outcome) -> bool:
        """Return whether every tracker has the current best checkpoint."""
        return is_uploaded(training, outcome)

    def _look(self, trainer: pl.Trainer, module: pl.LightningModule, saved_before: bool = False) -> None:
        """Upload the best checkpoint if a new one was saved since the last call.

        A new best has another score tensor. Tensors are compared by identity: reading them would wait for the GPU. With
        ``saved_before`` (on a resume) the step is read from the file.
        """
        if self._uploads is None:
            return
        checkpoints = [one for one in trainer.checkpoint_callbacks if isinstance(one, ModelCheckpoint) and one.monitor]
        scores = [one.best_model_score for one in checkpoints]
        if len(scores) == len(self._scores) and all(map(is_, scores, self._scores)):
            return
        self._scores = scores
        best = best_checkpoint(from_callbacks(checkpoints), "loss", main_metric(module))
        if best is None:
            return
        try:
            step = load_checkpoint(best.path, mmap=True).get("global_step") if saved_before else None
            self._uploads.offer(best, trainer.global_step if step is None else int(step))
        except (OSError, CheckpointError) as error:
            logger.warning("%s cannot be put into the spool, so it is not uploaded yet: %s", best.path.name, error)

    def _close(self) -> None:
        if self._uploads is not None:
            self._uploads.close()
            self._uploads = None


def _secret_keys(tree: dict[str, Any]) -> list[str]:
    written = dot_paths.flattened(tree)
    return [key for key, value in dot_paths.flattened(redacted(tree)).items() if str(written.get(key)) != str(value)]
