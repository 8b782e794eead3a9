"""The file that stores which tracker runs belong to a run directory, so that a resume continues them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cuelight.utils.files import read_json, write_json
from cuelight.utils.redaction import identity_of

TRACKERS_FILE = "trackers.json"
_NAMES = "metric names"
_Entry = str | dict[str, str]
_WRITING = threading.Lock()


def remembered_run(directory: Path, tracker: str, at: str) -> str | None:
    """Return the stored run id of a tracker ``at`` a place, such as a server or project; ``None`` if there is none."""
    return _runs(directory, tracker).get(identity_of(at))


def is_elsewhere(directory: Path, tracker: str, at: str) -> bool:
    """Return whether a tracker has runs of this run directory, but none at this place."""
    runs = _runs(directory, tracker)
    return bool(runs) and identity_of(at) not in runs


def remember_run(directory: Path, tracker: str, at: str, run: str) -> None:
    """Store the run id of a tracker, one for each place."""
    _write(directory, {tracker: {"runs": {**_runs(directory, tracker), identity_of(at): run}}})


def remembered_names(directory: Path) -> dict[str, str]:
    """Return the stored metric for each name at a tracker that does not accept all names."""
    return dict(_read(directory).get(_NAMES, {}))


def remember_names(directory: Path, names: Mapping[str, str]) -> None:
    """Store the metric for each name at a tracker."""
    _write(directory, {_NAMES: dict(names)})


def _runs(directory: Path, tracker: str) -> dict[str, str]:
    entry = _read(directory).get(tracker, {})
    earlier = {entry["at"]: entry["run"]} if "run" in entry else {}  # as version 0.1 stored it
    return {identity_of(str(at)): str(run) for at, run in {**earlier, **entry.get("runs", {})}.items()}


def _write(directory: Path, entries: Mapping[str, Any]) -> None:
    with _WRITING:  # background threads write too
        write_json(directory / TRACKERS_FILE, {**_read(directory), **entries})


def _read(directory: Path) -> dict[str, Any]:
    remedy = "Restore it from a backup, or delete it."
    content: dict[str, Any] = read_json(directory / TRACKERS_FILE, remedy, dict[str, dict[str, _Entry]]) or {}
    return content
