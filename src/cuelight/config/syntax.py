"""Explain in plain words why a text is not YAML."""

from __future__ import annotations

import re

import yaml
from yaml.reader import ReaderError

from cuelight.config.composing import TooLargeError

_ADVICE = (
    (
        "mapping values are not allowed here",
        'unexpected colon: a line has no colon or is indented too far, or text with ": " needs quotes',
    ),
    ("sequence entries are not allowed here", "a list entry (- ...) must start on a line of its own"),
    ("expected ',' or ']'", "the list that starts with [ has no ] or lacks a comma"),
    ("expected ',' or '}'", "the mapping that starts with { has no } or lacks a comma"),
    ("unexpected end of stream", "the quotation mark opened here is never closed"),
    ("could not find expected ':'", 'this line has no colon after its key; expected "key: value"'),
    ("expected <block end>", "this line is not indented like the lines around it"),
    ("did not find expected key", "this line is not indented like the lines around it"),
    ("unknown escape character", "a backslash starts an escape sequence inside \"...\"; use single quotes: '...'"),
    ("undefined tag handle", "tags (!...) are not allowed; put text that starts with ! in quotes"),
    ("expected the node content", "a value is missing before this position"),
)


def explain(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Return the line, counted from 1, and a plain message for an error of the YAML parser."""
    if isinstance(error, TooLargeError):
        line, message = error.args
        return line, message
    if isinstance(error, ReaderError):
        line = text[: error.position].count("\n") + 1
        return line, f"the character U+{ord(text[error.position]):04X} is not allowed in YAML; remove it"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return 1, f"this is not YAML: {error}"
    problem = error.problem or ""
    mark = error.problem_mark
    if "end of stream" in problem or "'<stream end>'" in problem:
        mark = error.context_mark or mark
    if unexpected := re.search(r"found character '(.+)' that cannot start any token", problem):
        if unexpected[1] == "\\t":
            return mark.line + 1, "unexpected tab; indent YAML with spaces"
        return mark.line + 1, f"a text that starts with {unexpected[1]} needs quotes"
    advice = next((advice for known, advice in _ADVICE if known in problem), f"this is not YAML: {problem}")
    return mark.line + 1, advice
