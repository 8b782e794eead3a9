"""The programs whose configurations can be converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cuelight.migration.conversion import Conversion
from cuelight.migration.luxonis_train import convert_luxonis_train, is_luxonis_train
from cuelight.migration.ultralytics import convert_ultralytics, is_ultralytics


class Program(NamedTuple):
    """A program: its name, whether a file is one of its, and the conversion of the content of a file."""

    name: str
    recognizes: Callable[[Mapping[str, Any]], bool]
    convert: Callable[[Mapping[str, Any], Path], Conversion]


PROGRAMS = (
    Program("luxonis-train", is_luxonis_train, lambda tree, _: convert_luxonis_train(tree)),
    Program("Ultralytics", is_ultralytics, convert_ultralytics),
)


def program_of(tree: Mapping[str, Any]) -> Program | None:
    """Return the program whose configuration a file is; ``None`` if it is none of them."""
    return next((program for program in PROGRAMS if program.recognizes(tree)), None)
