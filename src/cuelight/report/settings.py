"""Settings of a run: its callbacks, metadata, configuration and files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cuelight.config.dumping import to_yaml
from cuelight.provenance.record import METADATA_FILE
from cuelight.report.numbers import number, size
from cuelight.report.reading import files_in, read_yaml
from cuelight.utils.dot_paths import flattened
from cuelight.utils.environment import fill_in
from cuelight.utils.files import TEMPORARY_SUFFIX
from cuelight.utils.redaction import redacted
from cuelight.utils.run_directory import CONFIG_FILE

_MOST_ROWS = 500
_MOST_FILES = 10  # of a folder that are listed one by one

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Files:
    """The files of a run: path, number of files if it is a folder, and size of each; their number and total size."""

    rows: Sequence[tuple[str, str, str]] = ()
    total: int = 0
    size: str = ""


def read_callbacks(directory: Path, record: Mapping[str, Any]) -> Rows:
    """Return names and origins of the recorded callbacks, in order; without a record, those of the configuration."""
    if "callbacks" in record:
        return [(str(entry["name"]), str(entry["origin"])) for entry in record["callbacks"]]
    config = read_yaml(directory / CONFIG_FILE) or {}
    entries = (config.get("trainer") or {}).get("callbacks") or []
    origins = [
        f"trainer.callbacks.{index}{'' if entry.get('active', True) else ', switched off by active: false'}"
        for index, entry in enumerate(entries)
    ]
    return [(str(entry["name"]), origin) for entry, origin in zip(entries, origins, strict=True)]


def read_metadata(directory: Path) -> list[tuple[str, Rows]]:
    """Return the sections of ``metadata.yaml``, each with keys in dot notation and values."""
    tree = read_yaml(directory / METADATA_FILE) or {}
    general = {key: value for key, value in tree.items() if not isinstance(value, Mapping)}
    sections = [("general", general)] if general else []
    sections += [(str(key), dict(value)) for key, value in tree.items() if isinstance(value, Mapping)]
    return [(name, _rows_of(value)) for name, value in sections]


def read_config(directory: Path) -> str:
    """Return the configuration as YAML, without secrets because reports are shared; empty if there is none."""
    tree = read_yaml(directory / CONFIG_FILE)
    return "" if tree is None else to_yaml(redacted(tree))


def hide_variables(directory: Path) -> None:
    """Hide the values of the environment variables that the configuration names: earlier files may show them."""
    fill_in(read_yaml(directory / CONFIG_FILE))


def read_name(directory: Path) -> str:
    """Return the name of a run: that of its configuration, or of its folder if there is none."""
    config = read_yaml(directory / CONFIG_FILE)
    return str(config["name"]) if config else directory.name


def read_trackers(directory: Path) -> str:
    """Return the names and settings of the trackers, without secrets; empty if they are not known."""
    trackers = (read_yaml(directory / CONFIG_FILE) or {}).get("tracker") or {}
    used = {name: settings for name, settings in redacted(trackers).items() if settings}
    return ", ".join(
        f"{name} ({'; '.join(': '.join(row) for row in _rows_of(settings))})" if isinstance(settings, dict) else name
        for name, settings in used.items()
    )


def list_files(directory: Path, page: Path) -> Files:
    """List the files of a run, those at the top first, without the report itself."""
    found = [
        (file.relative_to(directory).as_posix(), status.st_size)
        for file, status in files_in(directory)
        if file != page and not file.name.endswith(TEMPORARY_SUFFIX)
    ]
    folders: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for path, count in sorted(found):
        folders[path.rpartition("/")[0]].append((path, count))
    rows: list[tuple[str, str, str]] = []
    for folder, files in sorted(folders.items()):
        if folder and len(files) > _MOST_FILES:
            rows.append((folder, f"{len(files)} files", size(sum(count for _, count in files))))
        else:
            rows += [(path, "", size(count)) for path, count in files]
    return Files(rows, len(found), size(sum(count for _, count in found)))


def _rows_of(tree: Any) -> list[tuple[str, str]]:
    return [(path, _as_text(value)) for path, value in islice(flattened(tree).items(), _MOST_ROWS)]


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_as_text, value)) or "none"
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)
