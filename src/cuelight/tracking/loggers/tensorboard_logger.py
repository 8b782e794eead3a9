"""TensorBoard files in the run directory, copied elsewhere in the background."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from cuelight.tracking.logger_adapter import adapter_of
from cuelight.tracking.loggers.folder import Folder
from cuelight.tracking.loggers.resumable_tensorboard import EVENT_FILES, ResumableTensorBoardLogger
from cuelight.tracking.loggers.tensorboard_adapter import TensorBoardAdapter
from cuelight.tracking.outbox.deadline import Deadline
from cuelight.tracking.outbox.outbox import Outbox
from cuelight.utils.journal import Entry
from cuelight.utils.redaction import redacted_text, without_secrets

_SECONDS_BETWEEN_COPIES = 30.0
_EVENTS = "events"  # kind of entry
_COPIED_AS_OFTEN = 16e6  # bytes; larger event files are copied less often


class MirroredTensorBoardLogger(ResumableTensorBoardLogger):
    """A ``ResumableTensorBoardLogger`` with a background thread that copies its files to ``mirror``, a folder or URL.

    Everything is logged again from the step ``resumed_from`` on. The time limit at the end may be shared with other
    trackers.
    """

    def __init__(
        self, directory: Path, mirror: str, resumed_from: int | None = None, deadline: Deadline | None = None
    ) -> None:
        super().__init__(directory, resumed_from)
        self.mirror = mirror
        self.outbox = Outbox(
            directory, "tensorboard", without_secrets(mirror), f"TensorBoard at {self.page}", self._send
        )
        self._copied_at = time.monotonic()
        self._copied: dict[str, int] = {}
        self._deadline = deadline or Deadline()

    @rank_zero_only
    def begin(self) -> None:
        """Write the first copy."""
        self.experiment.flush()
        self.copy_files()
        self.outbox.send_waiting()

    @property
    def page(self) -> str:
        """The folder or URL of the copies, without secrets."""
        return redacted_text(self.mirror)

    @rank_zero_only
    def save(self) -> None:
        """Write what was logged, and queue a copy if the last one is old enough."""
        super().save()
        if time.monotonic() - self._copied_at >= _pause(sum(self._copied.values())):
            self._copied_at = time.monotonic()
            self._queue_events()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file, and wait for the last copy for a limited time."""
        super().finalize(status)
        self.outbox.add("event files", _EVENTS, {})  # also if an earlier copy is under way: it lacks the last events
        self.outbox.drain(self._deadline.seconds_for("tensorboard"))

    def copy_files(self) -> None:
        """Copy the files that have grown."""
        folder = Folder(self.mirror)
        for file in [*Path(self.log_dir).glob(EVENT_FILES), Path(self.log_dir) / self.NAME_HPARAMS_FILE]:
            if file.is_file() and self._copied.get(file.name) != file.stat().st_size:
                with tempfile.TemporaryDirectory() as still:  # the file grows while it is sent
                    copy = Path(shutil.copy(file, still))
                    folder.log_artifact(copy)
                    self._copied[file.name] = copy.stat().st_size

    def _queue_events(self) -> None:
        if self.outbox.waits(_EVENTS):
            self.outbox.send_waiting()
        else:
            self.outbox.add("event files", _EVENTS, {})

    def _send(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.file is not None:
                Folder(self.mirror).log_artifact(entry.file, entry.payload["folder"])
            else:
                self.copy_files()


def _pause(copied: int) -> float:
    """Seconds between two copies; more for large files, because a file is always copied as a whole."""
    return _SECONDS_BETWEEN_COPIES * max(1.0, copied / _COPIED_AS_OFTEN)


class MirroredTensorBoardAdapter(TensorBoardAdapter):
    """Sends files to the folder of the copies."""

    is_shared = False  # the folder has the name of the run directory

    def __init__(self, logger: MirroredTensorBoardLogger) -> None:
        super().__init__(logger)
        self.place = logger.mirror
        self._outbox = logger.outbox

    def log_artifact(self, file: Path, folder: str = "", aliases: Sequence[str] = (), *, wait: bool = True) -> str:
        """Send a file, or queue it."""
        if wait:
            return super().log_artifact(file, folder, aliases)
        payload = {"folder": folder, "file": file.name}
        self._outbox.add(f"file {file.name}", "artifact", payload, lambda copy: shutil.copyfile(file, copy))
        return "/".join(part for part in (self.place.rstrip("/"), folder.strip("/"), file.name) if part)


adapter_of.register(MirroredTensorBoardLogger, MirroredTensorBoardAdapter)
