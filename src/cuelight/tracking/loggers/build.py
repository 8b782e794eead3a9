"""Creating and starting the Lightning loggers of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from cuelight.config.schema import Config
from cuelight.config.tracker import MLflowConfig, TensorBoardConfig, WandbConfig
from cuelight.errors import TrackerError
from cuelight.tracking.loggers.error_tolerant import error_tolerant
from cuelight.tracking.loggers.mlflow_logger import BackgroundMLFlowLogger
from cuelight.tracking.loggers.resumable_csv import ResumableCSVLogger
from cuelight.tracking.loggers.resumable_tensorboard import ResumableTensorBoardLogger
from cuelight.tracking.loggers.tabular import as_text
from cuelight.tracking.loggers.tensorboard_logger import MirroredTensorBoardLogger
from cuelight.tracking.loggers.wandb_logger import OwnRunWandbLogger
from cuelight.tracking.outbox.deadline import Deadline
from cuelight.tracking.outbox.time_limit import run_with_timeout
from cuelight.utils.redaction import reason_of, redacted

logger = logging.getLogger(__name__)

_START_LIMIT = 60.0  # seconds
_UPLOAD_LIMIT = 600.0  # a tracker that fails ends it much earlier
_REMEDIES = {
    "mlflow": "Start it, or correct tracker.mlflow.",
    "tensorboard": "Check that it is writable, or correct tracker.tensorboard.dir.",
    "wandb": "Log in (wandb login), or save the run locally and upload it later: tracker.wandb.mode=offline.",
}
MLFLOW_URI_VARIABLE = "MLFLOW_TRACKING_URI"


def build_loggers(config: Config, directory: Path, resumed_from: int | None = None) -> list[Logger]:
    """Create a logger for each enabled tracker, which neither raises its errors nor sends anything before it is used.

    ``resumed_from`` is the step at which training continues, 0 if it restarts in its directory: what the training has
    logged from that step on is replaced; nothing if left out.
    """
    return [error_tolerant(one) for one in _loggers(config, directory, resumed_from)]


def reopen_loggers(config: Config, directory: Path) -> list[Logger]:
    """Return the loggers of a run that was trained before, with what waits for them queued.

    A tracker that has the run at another address is left out: it would get a part of the run alone.
    """
    loggers = []
    for one in build_loggers(config, directory):
        if getattr(one, "is_elsewhere", False):
            logger.warning("%s has this run at another address: nothing is sent to this one.", type(one).__name__)
            continue
        if isinstance(one, BackgroundMLFlowLogger | MirroredTensorBoardLogger):
            one.outbox.send_waiting(is_awaited=True)
        loggers.append(one)
    return loggers


def start_trackers(loggers: Sequence[Logger]) -> None:
    """Start or continue the run of each tracker outside the run directory, and log where it is; or TrackerError."""
    begun: list[Logger] = []
    for one in loggers:
        try:
            if isinstance(one, BackgroundMLFlowLogger):
                _start("mlflow", f"MLflow at {one.shown_uri}", one)
            elif isinstance(one, OwnRunWandbLogger):
                _start("wandb", "W&B", one)
            elif isinstance(one, MirroredTensorBoardLogger):
                _start("tensorboard", one.page, one)
            else:
                continue
        except BaseException:  # also Ctrl-C while a tracker does not respond
            for other in begun:
                other.finalize("failed")
            raise
        begun.append(one)


def leave_trackers(loggers: Sequence[Logger], *, complete: bool) -> list[str]:
    """Wait until all is sent, and close the W&B run that this has reopened, as one that is ``complete`` or failed.

    Returns what trackers lack then, as sentences.
    """
    lacking = []
    for one in loggers:
        if isinstance(one, BackgroundMLFlowLogger | MirroredTensorBoardLogger):
            lacking.append(one.outbox.drained(_UPLOAD_LIMIT))
        if isinstance(one, OwnRunWandbLogger):  # any use makes it a running one
            one.finalize("success" if complete else "failed")
    return list(filter(None, lacking))


def _loggers(config: Config, directory: Path, resumed_from: int | None) -> Iterator[Logger]:
    tracker = config.tracker
    deadline = Deadline()
    run_name = directory.absolute().name
    if isinstance(tracker.tensorboard, TensorBoardConfig) and tracker.tensorboard.dir:
        mirror = "/".join([str(tracker.tensorboard.dir).rstrip("/"), config.name, run_name])
        yield MirroredTensorBoardLogger(directory, mirror, resumed_from, deadline)
    elif tracker.tensorboard is not False:
        yield ResumableTensorBoardLogger(directory, resumed_from)
    if tracker.csv:
        yield ResumableCSVLogger(directory, resumed_from)
    if tracker.mlflow is not False:
        options = tracker.mlflow if isinstance(tracker.mlflow, MLflowConfig) else MLflowConfig()
        yield BackgroundMLFlowLogger(
            directory,
            str(options.tracking_uri or os.environ[MLFLOW_URI_VARIABLE]),
            str(options.experiment or config.name),
            str(options.run_name or run_name),
            {name: as_text(value) for name, value in redacted(options.tags).items()},
            deadline,
        )
    if tracker.wandb is not False:
        run = tracker.wandb if isinstance(tracker.wandb, WandbConfig) else WandbConfig()
        entity = str(run.entity) if run.entity else None
        yield OwnRunWandbLogger(
            directory, str(run.project or config.name), entity, str(run.name or run_name), run.mode, run.tags, deadline
        )


@rank_zero_only
def _start(key: str, name: str, one: BackgroundMLFlowLogger | OwnRunWandbLogger | MirroredTensorBoardLogger) -> None:
    try:
        run_with_timeout(_START_LIMIT, one.begin)
    except Exception as error:
        reason = reason_of(error).rstrip(".")
        raise TrackerError(
            f"{name} cannot be used: {reason}. {_REMEDIES[key]} To train without it: tracker.{key}=false"
        ) from error
    logger.info("%s: %s", key, one.page)
