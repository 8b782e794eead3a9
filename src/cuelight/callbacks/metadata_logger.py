"""Record the provenance of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from cuelight.callbacks.base.check import others_before
from cuelight.config import Config
from cuelight.data.protocols import CountsRepeatedImages, HasFingerprint
from cuelight.errors import ConfigError, Problem
from cuelight.provenance.hyperparameters import look_up, missing_keys
from cuelight.provenance.own_code import own_folder
from cuelight.provenance.plain_values import as_plain
from cuelight.provenance.record import Provenance, collect, for_trackers, resumed_record
from cuelight.provenance.record_files import read_record, write_record
from cuelight.tracking.sending import send_artifact, send_hyperparams
from cuelight.utils.redaction import reason_of
from cuelight.utils.trainer_callbacks import callbacks_of, directory_of

logger = logging.getLogger(__name__)

CHECKPOINT_KEY = "run_metadata"


class MetadataLogger(pl.Callback):
    """Records the hyperparameters, code, packages, machine, data and seed of a run.

    The record is written to ``metadata.yaml`` in the run directory, into every checkpoint, and to the
    trackers as hyperparameters and as a file. It has the git hashes of the user's repository, of Cuelight and of
    luxonis-ml. A resumed run keeps its record and adds the changes since under ``resumed``. Secrets are replaced, and
    neither the command line nor the environment is recorded. Unknown values are recorded with the reason. A
    ``metadata.yaml`` of another kind is not overwritten. Images of val or test that are also in the training split are
    counted, if the data hashes its files for the fingerprint.

    Args:
        hyperparams: Keys of the configuration in dot notation, such as ``trainer.optimizer.params.lr``, that are logged
            under these names; a section stands for all its keys. In a Trainer of your own, keys of the ``hparams`` of
            the module.
        save_diff: Whether to save the uncommitted changes unredacted as ``diff.patch``. It goes to the trackers only if
            it has at most 5 MB and nothing in it looks like a secret.
    """

    def __init__(self, hyperparams: list[str] | None = None, save_diff: bool = False) -> None:
        self.hyperparams = hyperparams
        self.save_diff = save_diff
        self._record: dict[str, Any] | None = None
        self._before: dict[str, Any] | None = None
        self._step_before = 0

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find keys that do not exist, and a second MetadataLogger."""
        if config is not None:
            for position, reason in missing_keys(config.to_dict(), self.hyperparams or []).items():
                yield Problem(reason, f"params.hyperparams.{position}")
        if any(isinstance(other, MetadataLogger) for other in others_before(self, callbacks)):
            yield Problem("MetadataLogger is listed twice. List all keys in the first one, and remove this one.")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Raise a ``ConfigError`` before the training if a key does not exist."""
        if stage != "fit":
            return
        self._record = self._before = None
        known = self._known_to(pl_module)
        missing = missing_keys(known, self.hyperparams or [])
        if missing:
            advice = "" if known else " The module has no hparams: call save_hyperparameters() in its __init__."
            problems = [Problem(f"{reason}{advice}", where="MetadataLogger.hyperparams") for reason in missing.values()]
            raise ConfigError(problems)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Load the record of the resumed run."""
        self._before = checkpoint.get(CHECKPOINT_KEY)
        self._step_before = int(checkpoint.get("global_step", 0))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make, write and send the record.

        This comes after Lightning has sent the ``hparams`` of the module, because MLflow rejects a second, different
        spelling of the same value.
        """
        directory = directory_of(trainer)
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it by setattr
            return
        try:
            found = self._collect(trainer, pl_module)
            record = found.record
            if self._before is not None:
                record = resumed_record(_newest(self._before, directory), record, self._step_before)
        except Exception as error:  # noqa: BLE001 - training continues without a record
            logger.warning("MetadataLogger cannot collect the metadata: %s", reason_of(error))
            return
        self._record = record
        send_hyperparams(trainer.loggers, for_trackers(record))
        try:
            files = write_record(directory, record, found.diff if self.save_diff else b"")
        except OSError as error:
            logger.warning(
                "MetadataLogger cannot write to %s: %s. The metadata is only in the checkpoints and the trackers.",
                directory, error.strerror,
            )  # fmt: skip
            return
        for file in files:
            send_artifact(trainer.loggers, file)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the record into the checkpoint."""
        if self._record is not None:
            checkpoint[CHECKPOINT_KEY] = self._record

    def _collect(self, trainer: pl.Trainer, module: pl.LightningModule) -> Provenance:
        data = getattr(trainer, "datamodule", None)
        callbacks = callbacks_of(trainer)
        own = own_folder([module, data, *callbacks])
        values = look_up(self._known_to(module), self.hyperparams or [])
        seed = os.environ.get("PL_GLOBAL_SEED")  # where Lightning's seed_everything leaves it
        return collect(own, values, int(seed) if seed else "none: seed_everything was not called", lambda: _about(data))

    def _known_to(self, module: pl.LightningModule) -> dict[str, Any]:
        """Return the ``hparams`` of the module; empty, without reading them, if no key is to be logged."""
        known: dict[str, Any] = as_plain(module.hparams) if self.hyperparams else {}
        return known


def _about(data: object) -> dict[str, Any]:
    name = type(data).__name__ if data is not None else "loaders without a data module"
    if not isinstance(data, HasFingerprint):
        return {"name": name, "fingerprint": "not known: the data has no method fingerprint()"}
    about: dict[str, Any] = {"name": name, "fingerprint": str(data.fingerprint())}
    if isinstance(data, CountsRepeatedImages) and (repeated := dict(data.images_also_in_train)):
        counts = " and ".join(f"{count} images of {split}" for split, count in repeated.items())
        # Of large data, only a sample is read.
        found = f"at least {counts}" if "sampled" in about["fingerprint"] else counts
        logger.warning(
            "%s: %s are also in the training split, so results are better than on new images. Remove them from one of "
            "the splits.",
            name, found,
        )  # fmt: skip
        about["images_also_in_train"] = repeated
    return about


def _newest(saved: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return the record in the file if it is of the same run as the saved one, because it may have more resumes."""
    written = read_record(directory)
    return written if written and written["run"]["started"] == saved["run"]["started"] else saved
