"""Comparison of two runs by their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuelight.config.loading import read_document
from cuelight.errors import ConfigError, CuelightError, NoSuchRunError
from cuelight.provenance.record import METADATA_FILE, last_state
from cuelight.runs.defaults import default_settings
from cuelight.train_end.outcomes import OUTCOMES_FILE
from cuelight.utils import dot_paths
from cuelight.utils.files import read_json
from cuelight.utils.redaction import redacted
from cuelight.utils.run_directory import CONFIG_FILE, refuse_special_files

NOT_SET = "(not set)"
_RESULTS_FILES = "test/results*.json"
_PASSING = frozenset({"run.started"})
_ORDER = "(order)"
_PASSING_SECTION = "hyperparameters."


@dataclass(frozen=True)
class Difference:
    """A value that differs between two runs.

    Args:
        key: Its path, in dot notation.
        first: The value in the first run; ``(not set)`` if it has none.
        second: The value in the second run; ``(not set)`` if it has none.
    """

    key: str
    first: Any
    second: Any

    @property
    def values(self) -> dict[str, Any]:
        """The values of the runs that have one, as ``first`` and ``second``."""
        return {side: value for side, value in (("first", self.first), ("second", self.second)) if value != NOT_SET}

    @property
    def change(self) -> float | None:
        """The second number minus the first; ``None`` if they are not numbers."""
        numbers = [value for value in (self.first, self.second) if isinstance(value, (int, float))]
        are_numbers = len(numbers) == 2 and not any(isinstance(value, bool) for value in numbers)  # noqa: PLR2004
        return numbers[1] - numbers[0] if are_numbers else None


@dataclass(frozen=True)
class Comparison:
    """The differences between two runs.

    Args:
        first: The first run directory.
        second: The second run directory.
        sections: The differences by section: results, outcomes, configuration and metadata. A default that one run
            has, and the other has no such setting, is no difference.
        missing: What could not be compared, because a run does not have it.
    """

    first: Path
    second: Path
    sections: Mapping[str, list[Difference]]
    missing: list[str]

    @property
    def is_same(self) -> bool:
        """Whether nothing that was compared differs."""
        return not any(self.sections.values())

    def to_dict(self) -> dict[str, Any]:
        """Return this as plain types, for JSON."""
        return {
            "first": str(self.first),
            "second": str(self.second),
            "same": self.is_same,
            "sections": {
                name: {entry.key: entry.values for entry in entries} for name, entries in self.sections.items()
            },
            "missing": self.missing,
        }


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two run directories.

    Raises:
        CuelightError: If one is not a run directory, or a file in it is damaged.
    """
    described = [_describe(directory) for directory in (first, second)]
    sections: dict[str, list[Difference]] = {}
    missing = []
    for name in described[0]:
        one, other = (entries[name] for entries in described)
        for directory, entries in ((first, one), (second, other)):
            if entries is None:
                missing.append(f"{directory} has no {name}")
        sections[name] = _differences(one, other) if one is not None and other is not None else []
    sections["configuration"] = _without_defaults(sections["configuration"], first, second)
    return Comparison(first, second, sections, missing)


def _describe(directory: Path) -> dict[str, dict[str, Any] | None]:
    """Return the values of each section by dot path; ``None`` for a section that the run does not have."""
    if not (directory / CONFIG_FILE).is_file():
        what = "this is not a run directory" if directory.exists() else "there is no such run directory"
        raise NoSuchRunError(f"{directory}: {what}. Expected a folder such as runs/<name>/<time>-<id>.")
    refuse_special_files(directory)
    return {
        "results": _results(directory) or None,
        "outcomes": _read(directory / OUTCOMES_FILE, _outcomes),
        "configuration": _read(directory / CONFIG_FILE, _configuration),
        "metadata": _read(directory / METADATA_FILE, _metadata),
    }


def _read(path: Path, values: Callable[[Any], dict[str, Any]]) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return values(read_json(path, "Delete it.") if path.suffix == ".json" else read_document(path).tree)
    except ConfigError as error:
        raise CuelightError("; ".join(map(str, error.problems))) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CuelightError(f"{path}: this file is damaged: {error}.") from error


def _configuration(tree: Mapping[str, Any]) -> dict[str, Any]:
    return dot_paths.flattened(_by_name(redacted(tree)))


def _metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of the last start or resume. Hyperparameters are already in the configuration."""
    state = last_state(record)
    return {key: value for key, value in state.items() if key not in _PASSING and not key.startswith(_PASSING_SECTION)}


def _outcomes(content: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for step in content["steps"]:
        shown = {key: step.get(key) for key in ("status", "reason", "checkpoint", "weights_fingerprint")}
        found |= {f"{step['step']}.{key}": redacted(value) for key, value in shown.items() if value}
    return found


def _results(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted(directory.glob(_RESULTS_FILES)):
        found |= _read(file, _measurements) or {}
    return found


def _measurements(content: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for view, entry in content.items():
        found |= entry["metrics"]
        found |= {f"{view}.{key}": entry[key] for key in ("checkpoint", "weights_fingerprint")}
    return found


def _by_name(node: Any) -> Any:
    """Replace lists of named parts by mappings, so that a new entry does not change the paths of all later ones."""
    if isinstance(node, Mapping):
        return {str(key): _by_name(value) for key, value in node.items()}
    if not isinstance(node, list):
        return node
    if not node or not all(isinstance(entry, Mapping) and isinstance(entry.get("name"), str) for entry in node):
        return [_by_name(entry) for entry in node]
    named: dict[str, Any] = {_ORDER: [entry["name"] for entry in node]}
    for entry in node:
        number = sum(key.partition(" ")[0] == entry["name"] for key in named) + 1
        key = entry["name"] if number == 1 else f"{entry['name']} ({number})"
        named[key] = _by_name({name: value for name, value in entry.items() if name != "name"})
    return named


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    keys = [*first, *(key for key in second if key not in first)]
    pairs = (Difference(key, first.get(key, NOT_SET), second.get(key, NOT_SET)) for key in keys)
    return [pair for pair in pairs if pair.first != pair.second and not _same_order(pair)]


def _without_defaults(differences: list[Difference], *runs: Path) -> list[Difference]:
    """Leave out the defaults of settings that only one run has, but not the name of a part or whether it is active."""
    if all(len(entry.values) == len(runs) for entry in differences):
        return differences  # without importing the parts
    defaults = [_read(run / CONFIG_FILE, lambda tree: _configuration(default_settings(tree))) or {} for run in runs]

    def is_default(entry: Difference) -> bool:
        known = defaults[0] if entry.second == NOT_SET else defaults[1]
        return known.get(entry.key, NOT_SET) in entry.values.values()

    def is_shown(entry: Difference) -> bool:
        return len(entry.values) == len(runs) or entry.key.endswith((".name", ".active")) or not is_default(entry)

    return [entry for entry in differences if is_shown(entry)]


def _same_order(pair: Difference) -> bool:
    """Return whether the names in both lists have the same order; names in only one are reported on their own."""
    if not pair.key.endswith(_ORDER) or NOT_SET in {str(pair.first), str(pair.second)}:
        return False
    in_first = [name for name in pair.first if name in pair.second]
    return in_first == [name for name in pair.second if name in pair.first]
