"""A configuration in the making, and what became of each setting of the one that it is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cuelight.config.dumping import to_yaml
from cuelight.utils import dot_paths

Verdict = Literal["kept", "approximated", "dropped"]


@dataclass(frozen=True)
class Converted:
    """What became of a setting: its dot path, whether it was kept, and how it was changed or why it was dropped."""

    key: str
    verdict: Verdict
    note: str = ""


class Conversion:
    """Takes settings from one configuration and puts them into another.

    Args:
        tree: The configuration to convert.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.rows: list[Converted] = []
        self.config: dict[str, Any] = {}
        self._tree = dict(tree)
        self._left = dict.fromkeys(dot_paths.flattened(self._tree))

    def has(self, key: str) -> bool:
        """Return whether the configuration sets a key, or one below it, that was not taken yet."""
        return bool(self._below(key)) and dot_paths.exists(self._tree, key)  # a key may contain dots itself

    def take(self, key: str, default: Any = None) -> Any:
        """Remove a setting, or a section, and return it; ``default`` if it is not set. No verdict is given."""
        if not self.has(key):
            return default
        for name in self._below(key):
            del self._left[name]
        return dot_paths.get(self._tree, key)

    def take_entries(self, key: str) -> list[Mapping[str, Any]]:
        """Remove a list of mappings and return it; other entries are left out, and noted as dropped."""
        taken = self.take(key, [])
        entries = taken if isinstance(taken, list) else [taken]
        for index, entry in enumerate(entries):
            if not isinstance(entry, Mapping):
                self.say(f"{key}.{index}", "dropped", "this is no mapping with a name.")
        return [entry for entry in entries if isinstance(entry, Mapping)]

    def put(self, path: str, value: Any) -> None:
        """Set a key of the new configuration; ``path`` is its dot path."""
        dot_paths.put(self.config, path, value)

    def keep(self, key: str, path: str, default: Any = None) -> None:
        """Copy a setting, or the default that it had, if that is not ``None``."""
        is_set = self.has(key)
        value = self.take(key)
        value = default if value is None else value
        if value is not None:
            self.put(path, value)
        if is_set:
            self.say(key, "kept", "" if path == key else path)

    def say(self, key: str, verdict: Verdict, note: str = "") -> None:
        """Note what became of a setting."""
        self.rows.append(Converted(key, verdict, note))

    def drop(self, reasons: Mapping[str, str]) -> None:
        """Note for each key that is set, or that has set keys below it, why it was dropped."""
        for key, reason in reasons.items():
            for name in self._below(key):
                del self._left[name]
                self.say(name, "dropped", reason)

    def drop_the_rest(self) -> None:
        """Note what nothing was said about."""
        for name in self._left:
            self.say(name, "dropped", "there is no such setting here.")
        self._left = {}

    def _below(self, key: str) -> list[str]:
        return [name for name in self._left if name == key or name.startswith(f"{key}.")]

    def to_yaml(self, source: str) -> str:
        """Return the new configuration, with what was not kept as comments above it."""
        changed = [row for row in self.rows if row.verdict != "kept"]
        comments = [f"# {' '.join(f'{row.key}: {row.verdict}: {row.note}'.split())}" for row in changed]
        return "\n".join([f"# Converted from {source}.", *comments, to_yaml(self.config)])


def params_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an entry with a name and parameters."""
    params = entry.get("params")
    return dict(params) if isinstance(params, Mapping) else {}
