"""The record of a run: everything that is known of where it comes from, as plain data without secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cuelight.config import paths
from cuelight.provenance.git_command import NoRepositoryError
from cuelight.provenance.machine import command_name, describe_machine
from cuelight.provenance.packages import describe_package, installed_versions
from cuelight.provenance.repository import Repository, read_repository
from cuelight.utils.redaction import redacted, redacted_text

METADATA_FILE = "metadata.yaml"
RESUMED = "resumed"

# Those that decide what a network computes and what is shipped; the file has all.
_MAIN_PACKAGES = (
    "torch", "torchvision", "lightning", "torchmetrics", "timm", "numpy", "pillow", "onnx", "onnxruntime", "luxonis-ml",
)  # fmt: skip
_NOT_COMPARED = frozenset({"run.started", "run.command"})


@dataclass(frozen=True)
class Provenance:
    """Where a run comes from.

    Args:
        record: Sections by name, as plain data without secrets.
        diff: What differs from the commit in the user's own repository, as ``git diff`` prints it.
    """

    record: dict[str, Any]
    diff: bytes = field(default=b"", repr=False)


def collect(
    folder: Path, hyperparameters: Mapping[str, Any], seed: Any, data: Callable[[], Mapping[str, Any]]
) -> Provenance:
    """Collect what is known of where a run comes from.

    Nothing here raises: what cannot be found out says so, and why.

    Args:
        folder: A folder in the user's own repository, if there is one.
        hyperparameters: Values by their key, without secrets.
        seed: What the random numbers begin with.
        data: Tells what is known of the data.

    Returns:
        The record, and the difference to the commit.
    """
    own = _known(lambda: _own_repository(folder))
    repository = own if isinstance(own, Repository) else None
    record = {
        "run": {"command": redacted_text(command_name()), "started": now(), "seed": seed},
        "hyperparameters": dict(hyperparameters),
        "git": {
            "repository": repository.to_dict() if repository else own,
            "cuelight": _known(lambda: describe_package("cuelight", "cuelight")),
            "luxonis-ml": _known(lambda: describe_package("luxonis-ml", "luxonis_ml")),
        },
        "data": _known(lambda: redacted(data())),
        "machine": _known(describe_machine),
        "packages": _known(installed_versions),
    }
    return Provenance(record, (repository and repository.diff) or b"")


def resumed_record(first: Mapping[str, Any], now_is: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Add to a record that the run goes on, and what has changed since.

    Args:
        first: The record of the run, with every time that it was resumed before.
        now_is: The record as it would be if the run began now.
        step: The optimizer step at which it goes on.

    Returns:
        The first record with one more entry under ``resumed``: time, command, step, and each value that changed by its
        dot path.
    """
    before = last_state(first)
    after = paths.flattened({key: value for key, value in now_is.items() if key != RESUMED})
    changed = {
        path: after.get(path, "none")
        for path in [*before, *(path for path in after if path not in before)]
        if before.get(path, "none") != after.get(path, "none") and path not in _NOT_COMPARED
    }
    entry = {"time": now_is["run"]["started"], "command": now_is["run"]["command"], "step": step, "changed": changed}
    return {**first, RESUMED: [*first.get(RESUMED, []), entry]}


def last_state(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was true when a run was begun or resumed last.

    Args:
        record: Its record.

    Returns:
        Each value by its dot path.
    """
    state = paths.flattened({key: value for key, value in record.items() if key != RESUMED})
    for entry in record.get(RESUMED, ()):
        state |= entry["changed"]
    return state


def for_trackers(record: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what of a record goes to trackers, where each value is a column of a table of runs.

    Args:
        record: The record of a run.

    Returns:
        The hyperparameters by their keys, and under ``metadata`` the rest without most of the packages.
    """
    packages = record["packages"] if isinstance(record["packages"], Mapping) else {}  # a text if they are not known
    main = {name: packages[name] for name in _MAIN_PACKAGES if name in packages}
    sections = {key: value for key, value in record.items() if key not in {"hyperparameters", "packages", RESUMED}}
    return {**record["hyperparameters"], "metadata": sections | {"packages": main}}


def now() -> str:
    """Return the time.

    Returns:
        As ISO 8601, in UTC, to the second.
    """
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _own_repository(folder: Path) -> Repository | str:
    try:
        return read_repository(folder)
    except NoRepositoryError:
        return "none: neither own code nor the working directory is in a git repository"


def _known(find: Callable[[], Any]) -> Any:
    try:
        return find()
    except Exception as error:  # noqa: BLE001 - whatever cannot be found out, a training goes on without it
        reason = " ".join(f"{error}".split()) or type(error).__name__
        return redacted_text(f"not known: {reason}")
