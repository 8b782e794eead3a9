"""A tracker of a test: it keeps files in a folder, and fails or waits as it is told."""

import contextlib
import threading
from pathlib import Path

from lightning.pytorch.loggers import Logger

from cuelight.tracking.logger_adapter import adapter_of

LONGEST = 60  # seconds that a test waits for what has to come


class KeepingTracker:
    """Keeps files in a folder.

    Attributes:
        failures: Raised one after another, before it takes files.
        sent: The names of the files that it took, in their order, with their contents.
        entered: Set when a transfer has begun.
        gate: A transfer waits for it; set from the start.
    """

    name = "Keeping"

    def __init__(self, folder, shared=False):
        self.folder = Path(folder)
        self.place = str(folder)
        self.is_shared = shared
        self.failures = []
        self.sent = []
        self.aliases = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def log_artifact(self, file, folder="", aliases=(), *, wait=True):
        content = file.read_bytes()
        self.entered.set()
        assert self.gate.wait(LONGEST)
        if self.failures:
            raise self.failures.pop(0)
        target = self.folder / folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.sent.append((file.name, content))
        self.aliases.append(list(aliases))
        return str(target)

    def delete_artifact(self, name, folder=""):
        (self.folder / folder / name).unlink()

    def has(self, file):
        return file.is_relative_to(self.folder)

    def names(self):
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


class KeepingLogger(Logger):
    """A logger whose tracker is given."""

    def __init__(self, tracker):
        super().__init__()
        self.tracker = tracker

    @property
    def name(self):
        return ""

    @property
    def version(self):
        return ""

    def log_metrics(self, metrics, step=None):
        pass

    def log_hyperparams(self, params):
        pass


adapter_of.register(KeepingLogger, lambda logger: logger.tracker)


@contextlib.contextmanager
def ended_as_by_lightning(end):
    """End a logger while the error that ended the training is handled."""
    try:
        yield
    except BaseException:
        end()
        raise
