"""The record in the run directory: ``metadata.yaml``, and the uncommitted changes as patch files."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cuelight.config.dumping import to_yaml
from cuelight.config.loading import read_document
from cuelight.errors import ConfigError
from cuelight.provenance.record import METADATA_FILE, RESUMED, last_state
from cuelight.utils import dot_paths
from cuelight.utils.files import atomic_write, sha256_of, write_text
from cuelight.utils.redaction import redacted_text

logger = logging.getLogger(__name__)

LARGEST_SENT = 5 * 1000**2  # bytes; the training waits a second while this much is searched for secrets

_DIGEST = "git.repository.diff"


def read_record(directory: Path) -> dict[str, Any] | None:
    """Read the record of a run; ``None`` if there is none, or the file is not a record."""
    try:
        record: dict[str, Any] = read_document(directory / METADATA_FILE).tree
        return record if record["run"]["started"] and last_state(record) else None
    except (ConfigError, LookupError, TypeError, ValueError, AttributeError):
        return None


def write_record(directory: Path, record: Mapping[str, Any], diff: bytes) -> list[Path]:
    """Write the record of a run, and its uncommitted changes.

    A new record replaces that of an earlier run and its patch files. Files of another origin stay as they are.

    Args:
        directory: The folder of the run.
        record: The record.
        diff: The uncommitted changes, as ``git diff`` prints them; empty to keep none.

    Returns:
        The files that may be sent to trackers. A large diff, or one that may hold a secret, is not among them.

    Raises:
        OSError: If a file cannot be written, or ``metadata.yaml`` exists and is not a record.
    """
    path = directory / METADATA_FILE
    before = read_record(directory)
    if before is None and path.is_file():
        raise FileExistsError(
            errno.EEXIST, f"existing {METADATA_FILE} is not the record of a run and was not changed", path
        )
    if before is not None and (RESUMED not in record or before["run"]["started"] != record["run"]["started"]):
        for name, digest in _differences(before).items():
            if _holds(directory / name, digest):
                (directory / name).unlink()
    write_text(path, to_yaml(record))
    return [path, *_written_difference(directory, record, diff)]


def _written_difference(directory: Path, record: Mapping[str, Any], diff: bytes) -> list[Path]:
    """Write a diff that the record did not have before; return the file if it may be sent."""
    name, digest = list(_differences(record).items())[-1]
    if not diff or digest is None:
        return []
    path = directory / name
    if path.exists() and not _holds(path, digest):
        logger.warning("%s is not from this run. It was not changed, and the diff of this run is not saved.", path)
        return []
    with atomic_write(path) as file:
        file.write(diff)
    if len(diff) > LARGEST_SENT:
        size = f"{len(diff) / 1000**2:.0f} MB"
        logger.warning("%s has %s. It is saved, but neither searched for secrets nor sent to any tracker.", path, size)
        return []
    text = diff.decode(errors="replace")
    if redacted_text(text) != text:
        logger.warning("%s seems to contain a secret. It is saved unchanged, but not sent to any tracker.", path)
        return []
    return [path]


def _differences(record: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the digest of each diff by its file name; ``None`` if a resume has changed nothing."""
    begun = dot_paths.flattened({key: value for key, value in record.items() if key != RESUMED})
    resumes = [entry["changed"] for entry in record.get(RESUMED, ())]
    later = {f"diff-resumed-{number}.patch": changed.get(_DIGEST) for number, changed in enumerate(resumes, start=1)}
    return {"diff.patch": begun.get(_DIGEST), **later}


def _holds(path: Path, digest: str | None) -> bool:
    return path.is_file() and digest == f"sha256:{sha256_of(path)}"
