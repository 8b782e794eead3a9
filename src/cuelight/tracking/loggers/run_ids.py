"""Which run of a tracker belongs to a run directory, so that a resume goes on in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cuelight.utils.files import write_json

TRACKERS_FILE = "trackers.json"
_NAMES = "metric names"
_WRITING = threading.Lock()


def remembered_run(directory: Path, tracker: str, at: str) -> str | None:
    """Read the id of the run that a tracker has for a run directory.

    Args:
        directory: The run directory.
        tracker: The name of the tracker.
        at: Where the tracker is: its server, project or the like.

    Returns:
        The id; ``None`` if there is none, or if it is of a tracker elsewhere.
    """
    entry = _read(directory).get(tracker, {})
    return str(entry["run"]) if entry.get("at") == at else None


def remember_run(directory: Path, tracker: str, at: str, run: str) -> None:
    """Keep the id of the run that a tracker has for a run directory."""
    _write(directory, {tracker: {"at": at, "run": run}})


def remembered_names(directory: Path) -> dict[str, str]:
    """Read which metric of a run directory has which name at a tracker that does not take all names."""
    return dict(_read(directory).get(_NAMES, {}))


def remember_names(directory: Path, names: Mapping[str, str]) -> None:
    """Keep which metric has which name at a tracker.

    Args:
        directory: The run directory.
        names: The metric for each name at the tracker.
    """
    _write(directory, {_NAMES: dict(names)})


def _write(directory: Path, entries: Mapping[str, Any]) -> None:
    with _WRITING:  # a run may be found by a thread beside the training
        write_json(directory / TRACKERS_FILE, {**_read(directory), **entries})


def _read(directory: Path) -> dict[str, Any]:
    path = directory / TRACKERS_FILE
    content: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return content
