"""Build plain data from YAML events: no tags, YAML 1.2 scalars, bounded size and depth."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from cuelight.config.scalars import read_scalar
from cuelight.utils.dot_paths import join

DEEPEST = 50
MOST_VALUES = 100_000

_Path = tuple[str, ...]
_UNFINISHED = object()  # the value of an anchor while it is read


class TooLargeError(yaml.YAMLError):
    """A file that is too large or too deep when its aliases are expanded; with its line and the message."""


class Composer:
    """Composes one YAML document.

    After :meth:`compose`, ``lines`` maps the path of each key and list entry to its line, and ``problems`` holds
    (line, path, message).
    """

    def __init__(self) -> None:
        self.lines: dict[_Path, int] = {}
        self.problems: list[tuple[int, str, str]] = []
        self._anchors: dict[str, Any] = {}
        self._values = 0

    def compose(self, text: str) -> Any:
        """Parse a document into mappings, lists and scalars; None if it is empty. Raises ``yaml.YAMLError``."""
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        value = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._problem(event, (), "a second document starts here (---); expected one per file")
                    break
            elif isinstance(event, NodeEvent):
                value = self._node(event, events, (), 1)
        return value

    def _node(self, event: NodeEvent, events: Iterator[Event], path: _Path, depth: int) -> Any:
        self._count(1, depth, event)
        if path:
            self.lines.setdefault(path, _line(event))
        if isinstance(event, AliasEvent):
            return self._alias(event, path, depth)
        tag = getattr(event, "tag", None)
        if tag is not None:
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            self._problem(event, path, f"the tag {_short(tag)} is not allowed; expected plain values")
        if event.anchor is not None:
            if event.anchor in self._anchors:
                self._problem(event, path, f'the anchor "&{event.anchor}" is already used above')
            self._anchors[event.anchor] = _UNFINISHED
        value: Any
        if isinstance(event, ScalarEvent):
            value = read_scalar(event.value) if event.implicit[0] else event.value
        elif isinstance(event, SequenceStartEvent):
            value = self._sequence(events, path, depth)
        else:
            value = self._mapping(events, path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _sequence(self, events: Iterator[Event], path: _Path, depth: int) -> list[Any]:
        entries: list[Any] = []
        while isinstance(event := next(events), NodeEvent):
            entries.append(self._node(event, events, (*path, str(len(entries))), depth + 1))
        return entries

    def _mapping(self, events: Iterator[Event], path: _Path, depth: int) -> dict[str | int, Any]:
        mapping: dict[str | int, Any] = {}
        first_line: dict[str | int, int] = {}
        merged: list[tuple[Any, Event]] = []
        while isinstance(event := next(events), NodeEvent):
            key = self._key(event, events, path, depth)
            is_merge = isinstance(event, ScalarEvent) and event.implicit[0] and event.value == "<<"
            below = (*path, str(key))
            if not is_merge:
                self.lines.setdefault(below, _line(event))
            value_event = next(events)
            assert isinstance(value_event, NodeEvent)  # noqa: S101 - the parser gives nothing else here
            value = self._node(value_event, events, below, depth + 1)
            if is_merge:
                merged.append((value, value_event))
            elif key is None:
                continue  # already reported
            elif key in first_line:
                self._problem(event, below, f"this key is already set in line {first_line[key]}; keep one")
            else:
                first_line[key] = _line(event)
                mapping[key] = value
        for value, value_event in merged:
            self._merge(mapping, value, value_event, path)
        return mapping

    def _key(self, event: NodeEvent, events: Iterator[Event], path: _Path, depth: int) -> str | int | None:
        key = self._node(event, events, (), depth + 1)
        if isinstance(key, (str, int)) and not isinstance(key, bool):
            return key
        collection = isinstance(key, (dict, list))
        shown = "a list or mapping" if collection else f'"{_short(getattr(event, "value", key))}"'
        self._problem(event, path, f"{shown} cannot be a key; expected text (in quotes if necessary)")
        return None

    def _merge(self, target: dict[str | int, Any], merged: Any, event: Event, path: _Path) -> None:
        """Add the keys of a merge key ``<<``; keys that the mapping sets itself win."""
        for source in merged if isinstance(merged, list) else [merged]:
            if not isinstance(source, dict):
                self._problem(event, path, "<< takes a mapping, such as << : *defaults")
                continue
            for key, value in source.items():
                target.setdefault(key, value)

    def _alias(self, event: AliasEvent, path: _Path, depth: int) -> Any:
        if event.anchor not in self._anchors:
            message = f'"*{event.anchor}" refers to an anchor that is not defined above; put text with a * in quotes'
            self._problem(event, path, message)
            return {}
        value = self._anchors[event.anchor]
        if value is _UNFINISHED:
            self._problem(event, path, f'"*{event.anchor}" refers to the value that it is part of')
            return {}
        size, levels = _extent(value)
        self._count(size, depth + levels, event)
        return copy.deepcopy(value)  # so that changing one use of an alias does not change another

    def _count(self, values: int, depth: int, event: Event) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            message = f"with its aliases the file has more than {MOST_VALUES} values"
        elif depth > DEEPEST:
            message = f"values are nested more than {DEEPEST} levels deep"
        else:
            return
        raise TooLargeError(_line(event), message)

    def _problem(self, event: Event, path: _Path, message: str) -> None:
        self.problems.append((_line(event), join(path), message))


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _extent(value: object) -> tuple[int, int]:
    """Return the number of values in a tree, and of its levels."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    extents = [_extent(child) for child in children]
    return 1 + sum(size for size, _ in extents), 1 + max((levels for _, levels in extents), default=0)


def _short(text: object) -> str:
    return str(text) if len(str(text)) <= 60 else f"{str(text)[:57]}..."  # noqa: PLR2004
