"""Values that this process never shows: of environment variables in a configuration, and of users in its URLs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote

_SHORTEST = 4
_LONGEST_NUMBER = 6  # characters; a longer one may be a password
_COMMON_WORDS = frozenset({
    "true", "false", "null", "none", "auto", "text", "name", "list", "number", "train", "test", "loss", "data", "image",
    "images", "model", "error", "step", "epoch", "best", "last", "path", "runs", "checkpoints", "training",
})  # fmt: skip
_REFERENCE = r"\$\{env:[^{}]*\}"
_shown: dict[str, str] = {}
_public: set[str] = set()


def hide_value(value: str, shown: str) -> None:
    """From now on, show ``shown`` in place of a value, however it is quoted, escaped or normalized."""
    for form in _forms(value):
        _shown.setdefault(form, shown)


def show_values(*values: str) -> None:
    """Never hide these values, such as the name of a run, which is also the name of its folder."""
    _public.update(values)


def without_hidden_values(text: str) -> str:
    """Replace the hidden values in a text.

    Common words, short numbers and values shorter than four characters are in many texts: they are replaced only where
    they are quoted or are the whole text. Another word of letters is replaced only where it is not a part of a word.
    """
    found = {value: shown for value, shown in list(_shown.items()) if value in text and value not in _public}
    if not found:
        return text
    # All at once: one value may be a part of another one, or of a reference.
    return _pattern(tuple(sorted(found, key=len, reverse=True))).sub(lambda match: found.get(match[0], match[0]), text)


def _forms(value: str) -> Iterator[str]:
    if not value:
        return
    yield from (value, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value), quote(value, safe=""))
    if "/" in value and "://" not in value:
        yield os.path.normpath(value)
        real = os.path.realpath(value)
        if not os.path.realpath(".").startswith(real):  # a folder that most paths begin with
            yield from (real, os.path.relpath(value))


@lru_cache(maxsize=64)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join([_REFERENCE, *map(_occurrence, values)]))


def _occurrence(value: str) -> str:
    """Return the pattern that finds a value in a text."""
    is_number = len(value) <= _LONGEST_NUMBER and re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", value, re.IGNORECASE)
    if len(value) < _SHORTEST or value.lower() in _COMMON_WORDS or is_number:
        return rf"(?<![^\"']){re.escape(value)}(?![^\"'])"
    return rf"(?<!\w){value}(?!\w)" if value.isalpha() else re.escape(value)
