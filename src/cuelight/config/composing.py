"""Build plain data from YAML events: no tags, YAML 1.2 scalars, bounded size and depth."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from cuelight.config.paths import join
from cuelight.config.scalars import read_scalar

DEEPEST = 50
MOST_VALUES = 100_000

_Path = tuple[str, ...]


class TooLargeError(yaml.YAMLError):
    """A file that is too large or too deep when its aliases are expanded; ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass
class _Node:
    """A composed value, with its size and depth for aliases that repeat it."""

    value: Any
    line: int
    size: int = 1
    depth: int = 1
    merge: bool = False


class Composer:
    """Composes one YAML document.

    After :meth:`compose`, ``lines`` maps the path of each key and list entry to its line, and ``problems`` holds
    (line, path, message).
    """

    def __init__(self) -> None:
        self.lines: dict[_Path, int] = {}
        self.problems: list[tuple[int, str, str]] = []
        self._anchors: dict[str, _Node | None] = {}
        self._values = 0

    def compose(self, text: str) -> Any:
        """Parse a document into mappings, lists and scalars; None if it is empty.

        Raises ``yaml.YAMLError`` if the text is not YAML or expands to too much.
        """
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
                value = self._node(event, events, (), 1).value
            elif isinstance(event, (StreamStartEvent, StreamEndEvent)):
                continue
        return value

    def _node(self, event: NodeEvent, events: Iterator[Event], path: _Path, depth: int) -> _Node:
        line = _line(event)
        self._count(1, depth, line)
        if path:
            self.lines.setdefault(path, line)
        if isinstance(event, AliasEvent):
            return self._alias(event, path, depth)
        tag = getattr(event, "tag", None)
        if tag is not None:
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            self._problem(event, path, f"the tag {_short(tag)} is not allowed; expected plain values")
        if event.anchor is not None:
            if event.anchor in self._anchors:
                self._problem(event, path, f'the anchor "&{event.anchor}" is already used above')
            self._anchors[event.anchor] = None
        if isinstance(event, ScalarEvent):
            node = _Node(read_scalar(event.value) if event.implicit[0] else event.value, line)
            node.merge = event.implicit[0] and event.value == "<<"
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(events, path, depth, line)
        else:
            node = self._mapping(events, path, depth, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _sequence(self, events: Iterator[Event], path: _Path, depth: int, line: int) -> _Node:
        result = _Node([], line)
        for event in events:
            if isinstance(event, CollectionEndEvent):
                break
            assert isinstance(event, NodeEvent)  # noqa: S101 - the parser gives nothing else here
            child = self._node(event, events, (*path, str(len(result.value))), depth + 1)
            result.value.append(child.value)
            _grow(result, child)
        return result

    def _mapping(self, events: Iterator[Event], path: _Path, depth: int, line: int) -> _Node:
        result = _Node({}, line)
        first_line: dict[str | int, int] = {}
        merged: list[_Node] = []
        for event in events:
            if isinstance(event, CollectionEndEvent):
                break
            key = self._key(event, events, path, depth)
            below = (*path, str(key.value))
            if not key.merge:
                self.lines.setdefault(below, key.line)
            value_event = next(events)
            assert isinstance(value_event, NodeEvent)  # noqa: S101 - the parser gives nothing else here
            child = self._node(value_event, events, below, depth + 1)
            _grow(result, child)
            if key.merge:
                merged.append(child)
            elif key.value is None:
                continue  # already reported
            elif key.value in first_line:
                self.problems.append(
                    (key.line, join(below), f"this key is already set in line {first_line[key.value]}; keep one")
                )
            else:
                first_line[key.value] = key.line
                result.value[key.value] = child.value
        for node in merged:
            self._merge(result.value, node, path)
        return result

    def _key(self, event: Event, events: Iterator[Event], path: _Path, depth: int) -> _Node:
        assert isinstance(event, NodeEvent)  # noqa: S101 - the parser gives nothing else here
        key = self._node(event, events, (), depth + 1)
        if isinstance(key.value, bool) or not isinstance(key.value, (str, int)):
            collection = isinstance(key.value, (dict, list))
            shown = "a list or mapping" if collection else f'"{_short(getattr(event, "value", key.value))}"'
            self._problem(event, path, f"{shown} cannot be a key; expected text (in quotes if necessary)")
            key.value = None
        return key

    def _merge(self, target: dict[Any, Any], node: _Node, path: _Path) -> None:
        """Add the keys of a merge key ``<<``; keys that the mapping sets itself win."""
        for source in node.value if isinstance(node.value, list) else [node.value]:
            if not isinstance(source, dict):
                self.problems.append((node.line, join(path), "<< takes a mapping, such as << : *defaults"))
                continue
            for key, value in source.items():
                target.setdefault(key, value)

    def _alias(self, event: AliasEvent, path: _Path, depth: int) -> _Node:
        line = _line(event)
        if event.anchor not in self._anchors:
            message = f'"*{event.anchor}" refers to an anchor that is not defined above; put text with a * in quotes'
            self._problem(event, path, message)
            return _Node({}, line)
        node = self._anchors[event.anchor]
        if node is None:
            self._problem(event, path, f'"*{event.anchor}" refers to the value that it is part of')
            return _Node({}, line)
        self._count(node.size, depth + node.depth, line)
        # A copy, so that changing one use of an alias does not change another.
        return _Node(copy.deepcopy(node.value), line, node.size, node.depth)

    def _count(self, values: int, depth: int, line: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise TooLargeError(f"with its aliases the file has more than {MOST_VALUES} values", line)
        if depth > DEEPEST:
            raise TooLargeError(f"values are nested more than {DEEPEST} levels deep", line)

    def _problem(self, event: Event, path: _Path, message: str) -> None:
        self.problems.append((_line(event), join(path), message))


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _grow(node: _Node, child: _Node) -> None:
    node.size += child.size
    node.depth = max(node.depth, child.depth + 1)


def _short(text: object) -> str:
    return str(text) if len(str(text)) <= 60 else f"{str(text)[:57]}..."  # noqa: PLR2004
