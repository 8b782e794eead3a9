"""Whether ``finish`` has nothing left to do in a run directory, known without importing torch."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cuelight.errors import CuelightError
from cuelight.train_end.outcomes import OUTCOMES_FILE, Outcome, read_outcomes
from cuelight.utils.files import read_json, write_json
from cuelight.utils.journal import lacking
from cuelight.utils.run_directory import CHECKPOINT_FOLDER, CONFIG_FILE
from cuelight.version import __version__

if TYPE_CHECKING:  # it needs pydantic's models of a file
    from cuelight.config import Config

_KEY = "settled"


def settle(directory: Path, config: Config, state: str) -> None:
    """Record that all steps of a run are done, in ``outcomes.json``: the next outcome removes the record.

    ``state`` is that of :func:`state_of` before the steps: another process may have changed the run since. Nothing is
    recorded if it depends on more than files: on the address of a tracker, on an environment variable, or on a
    ``config`` that is not the one in the run directory.
    """
    text = config.to_yaml()
    if not state or config.tracker.senders or "${env:" in text:
        return
    with suppress(OSError, ValueError, CuelightError):
        path = directory / OUTCOMES_FILE
        if (directory / CONFIG_FILE).read_text(encoding="utf-8") == text:
            write_json(path, (read_json(path, "") or {"steps": []}) | {_KEY: state})


def settled_outcomes(directory: Path) -> list[Outcome] | None:
    """Return the outcomes of a run in which nothing has changed since all steps were done; else ``None``."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, CuelightError):
        content = read_json(directory / OUTCOMES_FILE, "") or {}
        outcomes = list(read_outcomes(directory).values())
        whole = all(one.status == "ok" and one.is_intact(directory) for one in outcomes)
        if content[_KEY] == state_of(directory) != "" and whole and not lacking(directory):
            return outcomes
    return None


def state_of(directory: Path) -> str:
    """Return a hash that changes with the configuration, a checkpoint, or the version of Cuelight; empty if unknown."""
    with suppress(OSError):
        files = [(file.name, file.stat()) for file in sorted((directory / CHECKPOINT_FOLDER).rglob("*.ckpt"))]
        checkpoints = [(name, state.st_size, state.st_mtime_ns) for name, state in files]
        config = (directory / CONFIG_FILE).read_text(encoding="utf-8")
        return sha256(json.dumps([__version__, config, checkpoints]).encode()).hexdigest()
    return ""
