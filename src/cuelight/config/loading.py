"""Read a YAML file into plain mappings, lists and scalars, with the line of every key.

Tags are an error, scalars follow YAML 1.2, and the expanded size and depth are bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from cuelight.config.composing import Composer
from cuelight.config.syntax import explain
from cuelight.errors import ConfigError, ConfigWarning, Problem
from cuelight.utils.hidden_values import without_hidden_values

Message = TypeVar("Message", bound=Problem | ConfigWarning)

COMMAND_LINE = "command line"
OVERRIDE = "override"
_LARGEST_FILE = 1024 * 1024


class Location(NamedTuple):
    """A place in what a user wrote.

    ``source`` is a file, ``command line`` or ``override``; empty for a value from Python. ``line`` counts from 1 and is
    0 where there are no lines.
    """

    source: str
    line: int = 0

    def __str__(self) -> str:
        """Return the place as ``file.yaml:12``."""
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass
class Document:
    """A tree of plain data, and where each key and list entry was written. Paths in ``locations`` are all text.

    All documents are equal, because configurations are compared without them.
    """

    tree: Any = field(compare=False)
    locations: dict[tuple[str, ...], Location] = field(default_factory=dict, compare=False)
    source: str = field(default="", compare=False)

    def locate(self, path: tuple[str, ...]) -> Location:
        """Return the place of a path, or of the nearest key above it."""
        for length in range(len(path), 0, -1):
            if (location := self.locations.get(path[:length])) is not None:
                return location
        return Location(self.source, 1 if self.locations else 0)

    def add_places(self, messages: Iterable[Message]) -> list[Message]:
        """Add places to messages. Returns each once, in the order of the file; those about overrides come last."""
        placed = dict.fromkeys(self._add_place(message) for message in messages)
        ranked = sorted(placed, key=lambda pair: (pair[0].source in {COMMAND_LINE, OVERRIDE}, pair[0].line))
        return [message for _, message in ranked]

    def _add_place(self, message: Message) -> tuple[Location, Message]:
        location = Location(message.where)
        if not message.where:
            location = self.locate(tuple(message.path.split(".")) if message.path else ())
        text, path = printable(without_hidden_values(message.message)), printable(message.path)
        placed: Any = message._replace(message=text, path=path, where=str(location))
        return location, placed


def read_document(path: Path | str) -> Document:
    """Read a YAML file. Raises ConfigError if it cannot be read or is not YAML that Cuelight accepts."""
    file, source = Path(path), str(path)
    try:
        if file.is_dir():
            inside = sorted(entry.name for entry in file.iterdir() if entry.suffix in {".yaml", ".yml"})
            found = f"; it contains {', '.join(inside[:5])}" if inside else ""
            raise _refused(source, f"this is a folder; expected a YAML file{found}")
        if file.exists() and not file.is_file():
            raise _refused(source, "this is not a regular file; expected a YAML file")
        if file.stat().st_size > _LARGEST_FILE:
            raise _refused(source, "the file is larger than 1 MiB; expected a configuration file")
        content = file.read_bytes()
    except FileNotFoundError:
        raise _refused(source, f"there is no such file{_other_files(file)}") from None
    except OSError as error:
        raise _refused(source, f"the file cannot be read: {error.strerror or error}") from error
    return parse_document(_decoded(content, source), source)


def parse_document(text: str, source: str) -> Document:
    """Parse YAML text that holds one mapping; ``source`` names it in messages. Raises ConfigError."""
    composer, tree = _composed(text, source)
    if tree is None:
        raise _refused(
            source, "the file is empty; expected at least model: and data: (cuelight init writes a starter file)"
        )
    if not isinstance(tree, dict):
        kind = "a list" if isinstance(tree, list) else "a single text or number"
        hint = "; a key needs a colon and a space after it" if isinstance(tree, str) and ":" in tree else ""
        message = f"the file contains {kind}; expected keys such as model: and data: at the top level{hint}"
        raise _refused(f"{source}:1", message)
    locations = {path: Location(source, line) for path, line in composer.lines.items()}
    return Document(tree, locations, source)


def parse_value(text: str, source: str) -> Any:
    """Parse a single value, as written after ``key=`` on the command line. Raises ConfigError."""
    return _composed(text, source, with_lines=False)[1]


def printable(text: str) -> str:
    """Escape control characters, so that a file cannot control the terminal that shows a message about it."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _composed(text: str, source: str, *, with_lines: bool = True) -> tuple[Composer, Any]:
    composer = Composer()
    try:
        tree = composer.compose(text)
    except yaml.YAMLError as error:
        line, message = explain(error, text)
        composer.problems = [(line, "", message)]
        tree = None
    if composer.problems:
        raise ConfigError(
            [
                Problem(printable(message), printable(path), str(Location(source, line if with_lines else 0)))
                for line, path, message in sorted(composer.problems)
            ]
        )
    return composer, tree


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _refused(f"{source}:{line}", "this is not UTF-8 text; save the file with the encoding UTF-8") from None


def _other_files(file: Path) -> str:
    """Name the YAML files beside a missing one, for the message."""
    folder = file.parent
    if not folder.is_dir():
        return f", because the folder {folder} does not exist"
    others = sorted(entry.name for entry in folder.iterdir() if entry.suffix in {".yaml", ".yml"})
    return f'; the folder "{folder.resolve().name}" contains {", ".join(others[:5])}' if others else ""


def _refused(where: str, message: str) -> ConfigError:
    return ConfigError([Problem(message, where=where)])
