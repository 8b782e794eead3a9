"""The best checkpoint sent to every tracker of a training that keeps its files elsewhere."""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from lightning.pytorch.loggers import Logger

from cuelight.errors import UploadError
from cuelight.tracking.logger_adapter import LoggerAdapter
from cuelight.tracking.outbox.sender import PAUSES
from cuelight.tracking.outbox.spool import Sent, Spool
from cuelight.tracking.outbox.uploader import Uploader
from cuelight.tracking.sending import adapters_of
from cuelight.utils.files import short_path
from cuelight.utils.locks import is_locked
from cuelight.utils.redaction import reason_of
from cuelight.weights.best import BestCheckpoint

logger = logging.getLogger(__name__)

SPOOL_FOLDER = "spool"
ARTIFACT_FOLDER = "checkpoints"
_CONFIG_FILE = "config.yaml"  # what every run directory of Cuelight's has
_SECONDS_BETWEEN_LOOKS = 0.1


class Uploads:
    """Sends the best checkpoint of a training to its trackers, to each in a thread of its own.

    Nothing is started, and nothing written, before there is a checkpoint to send.

    Args:
        directory: The run directory, in which the spool is.
        training: The id of the training.
        loggers: The loggers of the training.
        keep: How many of the checkpoints that were sent last stay at each tracker.
        pauses: Seconds before each further attempt when one has failed; the last one repeats.
    """

    def __init__(
        self, directory: Path, training: str, loggers: Iterable[Logger], keep: int = 1, pauses: Sequence[float] = PAUSES
    ) -> None:
        self._directory = directory
        self._training = training
        self._keep = keep
        folder = spool_folder(directory, training)
        self._uploaders = [
            Uploader(
                name,
                tracker,
                Spool(folder / re.sub(r"[^\w-]", "", name)),
                f"{ARTIFACT_FOLDER}/{training}" if tracker.is_shared else ARTIFACT_FOLDER,
                keep,
                pauses,
            )
            for name, tracker in _named(loggers)
        ]

    def reason_for_none(self, checkpoint: Path) -> str | None:
        """Return why no tracker needs a checkpoint, as a sentence; ``None`` if one needs it."""
        if not self._uploaders:
            return "no tracker takes files."
        if any(not _has(uploader, checkpoint) for uploader in self._uploaders):
            return None
        names = " and ".join(uploader.name for uploader in self._uploaders)
        keep = "keep their logs" if len(self._uploaders) > 1 else "keeps its logs"
        return f"{names} {keep} in the folder around the checkpoint, so it is there already and is not copied."

    def resume(self) -> None:
        """Send what an earlier process left in the spool."""
        for uploader in self._uploaders:
            uploader.resume()

    def offer(self, best: BestCheckpoint, step: int) -> None:
        """Send a checkpoint in place of those that wait; return at once.

        Its file may be deleted or replaced afterwards. Raises ``OSError`` if it cannot be put into the spool.
        """
        name = "best.ckpt" if self._keep == 1 else f"best-{step}.ckpt"
        for uploader in self._uploaders:
            if not _has(uploader, best.path):
                uploader.offer(best.path, name, step, best.score)

    def wait(self, limit: timedelta, show: Callable[[float, str], None], attempts: int | None = None) -> None:
        """Wait until everything was sent.

        Args:
            limit: For how long at most.
            show: Told the seconds that have passed and what is waited for, several times in a second.
            attempts: How many failed attempts are enough; no matter how many if left out.

        Raises:
            UploadError: If something was not sent.
        """
        began = time.monotonic()
        for uploader in self._uploaders:
            uploader.sender.hurry()
        waiting = [uploader for uploader in self._uploaders if not uploader.sender.wait(0)]
        while waiting and (passed := time.monotonic() - began) < limit.total_seconds():
            show(passed, "; ".join(_under_way(uploader) for uploader in waiting))
            waiting[0].sender.wait(_SECONDS_BETWEEN_LOOKS)
            waiting = [uploader for uploader in waiting if not uploader.sender.wait(0)]
            if attempts and waiting and all(uploader.sender.attempts >= attempts for uploader in waiting):
                break
        if waiting:
            too_late = f"not done after {limit.total_seconds():g} s"
            reasons = [
                f"{uploader.name}: {(uploader.sender.failure or too_late).removesuffix('.')}." for uploader in waiting
            ]
            raise UploadError(
                f"The best checkpoint was not sent. {' '.join(reasons)} It waits in "
                f"{spool_folder(self._directory, self._training)}. {how_to_send(self._directory)}"
            )

    def sent(self) -> dict[str, Sent]:
        """Return the checkpoint that was sent last, by the name of the tracker."""
        return {one.name: one.current for one in self._uploaders if one.current is not None}

    def close(self) -> None:
        """Stop sending; what waits stays in the spool."""
        for uploader in self._uploaders:
            uploader.sender.close()


def spool_folder(directory: Path, training: str) -> Path:
    """Return the folder with the files of a training."""
    return directory / SPOOL_FOLDER / training


def spooled_trainings(directory: Path) -> list[str]:
    """List the ids of the trainings of a run directory that have or had something to send, the latest one last."""
    return [folder.name for folder in sorted(_folders(directory / SPOOL_FOLDER), key=_last_change)]


def remove_spools(directory: Path) -> None:
    """Remove what earlier trainings of a run directory left, except where a process is sending it."""
    for folder in _folders(directory / SPOOL_FOLDER):
        if not any(is_locked(spool) for spool in _folders(folder)):
            shutil.rmtree(folder, ignore_errors=True)


def is_sending(directory: Path) -> bool:
    """Return whether a process is sending files of a run directory now."""
    return any(is_locked(spool) for folder in _folders(directory / SPOOL_FOLDER) for spool in _folders(folder))


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.glob("*") if path.is_dir()]


def how_to_send(directory: Path) -> str:
    """Return how to send what waits in a directory."""
    if (directory / _CONFIG_FILE).is_file():
        return f"Send it with: cuelight upload {shlex.quote(short_path(directory))}"
    return "It is sent when the training is resumed."  # in a Trainer of one's own, which no command can open again


def _last_change(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _named(loggers: Iterable[Logger]) -> Iterator[tuple[str, LoggerAdapter]]:
    seen: Counter[str] = Counter()
    for tracker in adapters_of(loggers):
        seen[tracker.name] += 1
        yield (tracker.name if seen[tracker.name] == 1 else f"{tracker.name}-{seen[tracker.name]}"), tracker


def _has(uploader: Uploader, file: Path) -> bool:
    try:
        return uploader.tracker.has(file)
    except Exception as error:  # noqa: BLE001 - a tracker may fail in any way; the thread will find out
        logger.debug("It is not known whether %s has %s: %s", uploader.name, file, reason_of(error))
        return False


def _under_way(uploader: Uploader) -> str:
    failure = uploader.sender.failure
    return f"{uploader.name} again, after {failure}" if failure else uploader.name
