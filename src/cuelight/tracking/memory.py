"""Which run of a tracker belongs to a run directory, so that a resume goes on in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cuelight.files import write_json

TRACKERS_FILE = "trackers.json"


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
    """Keep the id of the run that a tracker has for a run directory.

    Args:
        directory: The run directory.
        tracker: The name of the tracker.
        at: Where the tracker is, without passwords.
        run: The id.
    """
    write_json(directory / TRACKERS_FILE, _read(directory) | {tracker: {"at": at, "run": run}})


def _read(directory: Path) -> dict[str, Any]:
    path = directory / TRACKERS_FILE
    content: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return content
