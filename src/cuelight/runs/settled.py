"""Whether a command has nothing left to do in a run directory, known without importing torch."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Literal

from cuelight.errors import CuelightError
from cuelight.train_end.outcomes import OUTCOMES_FILE, Outcome, read_outcomes
from cuelight.utils.files import write_json
from cuelight.utils.journal import lacking
from cuelight.utils.run_directory import CHECKPOINT_FOLDER, CONFIG_FILE
from cuelight.version import __version__

Command = Literal["finish", "upload"]

_KEY = "settled"


def settle(directory: Path, config: str, *commands: Command) -> None:
    """Record that these commands have nothing left to do, unless ``config`` is not that of the run.

    The record is part of ``outcomes.json``: the next outcome removes it.
    """
    with suppress(OSError, ValueError):
        path = directory / OUTCOMES_FILE
        if (directory / CONFIG_FILE).read_text(encoding="utf-8") == config:
            content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"steps": []}
            content[_KEY] = content.get(_KEY, {}) | dict.fromkeys(commands, _state(directory))
            write_json(path, content)


def settled_outcomes(directory: Path, command: Command) -> list[Outcome] | None:
    """Return the outcomes of a run in which a command has nothing left to do; ``None`` if that is not known."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, CuelightError):
        content = json.loads((directory / OUTCOMES_FILE).read_text(encoding="utf-8"))
        outcomes = list(read_outcomes(directory).values())
        whole = all(one.status == "skipped" or (one.status == "ok" and one.is_intact(directory)) for one in outcomes)
        if content[_KEY][command] == _state(directory) and whole and not lacking(directory):
            return outcomes
    return None


def _state(directory: Path) -> str:
    """Return a hash that changes with the configuration, a checkpoint, or the version of Cuelight."""
    files = [(file.name, file.stat()) for file in sorted((directory / CHECKPOINT_FOLDER).rglob("*.ckpt"))]
    checkpoints = [(name, state.st_size, state.st_mtime_ns) for name, state in files]
    config = (directory / CONFIG_FILE).read_text(encoding="utf-8")
    return sha256(json.dumps([__version__, config, checkpoints]).encode()).hexdigest()
