"""The record of a run: where it comes from, as plain data without secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cuelight.provenance.git_command import NoRepositoryError
from cuelight.provenance.machine import command_name, describe_machine
from cuelight.provenance.packages import describe_package, installed_versions
from cuelight.provenance.repository import Repository, read_repository
from cuelight.utils import dot_paths
from cuelight.utils.redaction import redacted, redacted_text

METADATA_FILE = "metadata.yaml"
RESUMED = "resumed"

# They decide what a network computes and what is shipped. metadata.yaml has all packages.
_MAIN_PACKAGES = (
    "torch", "torchvision", "lightning", "torchmetrics", "timm", "numpy", "pillow", "onnx", "onnxruntime", "luxonis-ml",
)  # fmt: skip
_NOT_COMPARED = frozenset({"run.started", "run.command"})


@dataclass(frozen=True)
class Provenance:
    """Where a run comes from.

    Args:
        record: Sections by name, as plain data without secrets.
        diff: The uncommitted changes in the user's own repository, as ``git diff`` prints them.
    """

    record: dict[str, Any]
    diff: bytes = field(default=b"", repr=False)


def collect(
    folder: Path, hyperparameters: Mapping[str, Any], seed: Any, data: Callable[[], Mapping[str, Any]]
) -> Provenance:
    """Collect where a run comes from. This never raises: what cannot be found out is replaced by the reason.

    Args:
        folder: A folder in the user's own repository, if there is one.
        hyperparameters: Values by their key, without secrets.
        seed: The seed of the run.
        data: Returns a description of the data.
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
    """Add an entry under ``resumed`` to a record: time, command, step, and each changed value by its dot path.

    ``now_is`` is the record as it would be if the run began now.
    """
    before = last_state(first)
    after = dot_paths.flattened({key: value for key, value in now_is.items() if key != RESUMED})
    changed = {
        path: after.get(path, "none")
        for path in [*before, *(path for path in after if path not in before)]
        if before.get(path, "none") != after.get(path, "none") and path not in _NOT_COMPARED
    }
    entry = {"time": now_is["run"]["started"], "command": now_is["run"]["command"], "step": step, "changed": changed}
    return {**first, RESUMED: [*first.get(RESUMED, []), entry]}


def last_state(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values at the last start or resume of a run, by dot path."""
    state = dot_paths.flattened({key: value for key, value in record.items() if key != RESUMED})
    for entry in record.get(RESUMED, ()):
        state |= entry["changed"]
    return state


def for_trackers(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a record for trackers, where each value is a column in a table of runs.

    Hyperparameters keep their keys; the rest is under ``metadata``, with the main packages only.
    """
    packages = record["packages"] if isinstance(record["packages"], Mapping) else {}  # a text if they are not known
    main = {name: packages[name] for name in _MAIN_PACKAGES if name in packages}
    sections = {key: value for key, value in record.items() if key not in {"hyperparameters", "packages", RESUMED}}
    return {**record["hyperparameters"], "metadata": sections | {"packages": main}}


def now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _own_repository(folder: Path) -> Repository | str:
    try:
        return read_repository(folder)
    except NoRepositoryError:
        return "none: neither own code nor the working directory is in a git repository"


def _known(find: Callable[[], Any]) -> Any:
    try:
        return find()
    except Exception as error:  # noqa: BLE001 - a training goes on without it
        reason = " ".join(f"{error}".split()) or type(error).__name__
        return redacted_text(f"not known: {reason}")
