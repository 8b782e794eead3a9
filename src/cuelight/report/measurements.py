"""Evaluation results of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cuelight.errors import CuelightError
from cuelight.report.numbers import number
from cuelight.utils.files import read_json

_MOST_CLASSES = 40  # above, cells are smaller than a letter
_MOST_MISTAKES = 8
_CELL = 26
_LETTER = 7
_LONGEST_NAME = 14
_LARGEST_NUMBER = 9_999  # that fits into a cell
_REMEDY = "Delete it and run `cuelight test` again."


def read_measurements(directory: Path) -> list[dict[str, Any]]:
    """Return the results of each measured split, the test first, as the template shows them."""
    files = sorted((directory / "test").glob("results*.json"))  # results.json sorts before results_val.json
    found = [read_json(file, _REMEDY) or {} for file in files]
    return [_measured(str(view), entry) for views in found for view, entry in views.items()]


def _measured(view: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    metrics = [(str(name), _value(value)) for name, value in entry.get("metrics", {}).items()]
    counts = [[int(count) for count in row] for row in entry.get("confusion_matrix") or []]
    names = [str(name) for name in entry.get("class_names") or range(len(counts))]
    if counts and {len(names), *map(len, counts)} != {len(counts)}:
        raise CuelightError(f"The confusion matrix of {view} is damaged: expected a row and a column for each class.")
    unit = str(entry.get("confusion_unit", "images"))
    drawn = counts and len(counts) <= _MOST_CLASSES
    mistakes = _mistakes(counts, names)
    return {
        "view": view,
        "checkpoint": str(entry.get("checkpoint", "")),
        "fingerprint": str(entry.get("weights_fingerprint", "")),
        "metrics": metrics,
        "matrix": _matrix(counts, names, unit) if drawn else None,
        "tables": [
            (
                _columns(entry, key),
                [(str(name), "absent" if value is None else _value(value)) for name, value in table.items()],
            )
            for key, table in entry.items()
            if key not in ("metrics", "columns", "data") and isinstance(table, Mapping)
        ],
        "mistakes": mistakes[:_MOST_MISTAKES],
        "other_mistakes": max(0, len(mistakes) - _MOST_MISTAKES),
        "classes": len(counts),
    }


def _columns(entry: Mapping[str, Any], key: str) -> tuple[str, str]:
    """Return the column names of a table. Earlier versions wrote a single table, without column names."""
    row, value = entry.get("columns", {}).get(key, ("class", "IoU"))
    return str(row), str(value)


def _value(value: float | None) -> str:
    return number(math.nan if value is None else float(value))


def _matrix(counts: Sequence[Sequence[int]], names: Sequence[str], unit: str) -> dict[str, Any]:
    totals = [max(sum(row), 1) for row in counts]
    as_shares = max(map(max, counts)) > _LARGEST_NUMBER
    cells = [
        {
            "row": true,
            "column": predicted,
            "share": round(count / totals[true], 3),
            "words": _words(names, true, predicted, count, unit),
            "text": _percent(count / totals[true]) if as_shares else str(count),
        }
        for true, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count
    ]
    recalls = [f"{row[true] / totals[true]:.0%}" if sum(row) else "none" for true, row in enumerate(counts)]
    short = [_short(name) for name in names]
    right, total = sum(counts[index][index] for index in range(len(counts))), sum(map(sum, counts))
    caption = f"{right} of {total} {unit} right"
    if as_shares:
        caption = f"{right / total:.1%} of {total:,} {unit} right; in the cells, percent of the true class"
    return {
        "names": short,
        "cells": cells,
        "recalls": recalls,
        "margin": round(max(map(len, short)) * _LETTER + 10, 1),
        "caption": caption,
        "cell": _CELL,
    }


def _percent(share: float) -> str:
    """Return a share in percent, short enough for a cell; empty below half a percent."""
    return f"{100 * share:.0f}" if share >= 0.005 else ""  # noqa: PLR2004


def _short(name: str) -> str:
    """Shorten a name in its middle, because many names differ by a number at the end."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _words(names: Sequence[str], true: int, predicted: int, count: int, unit: str) -> str:
    images = unit.removesuffix("s") if count == 1 else unit
    prediction = "correctly" if true == predicted else f"as {names[predicted]}"
    return f"{count} {images} of {names[true]} predicted {prediction}"


def _mistakes(counts: Sequence[Sequence[int]], names: Sequence[str]) -> list[str]:
    wrong = [
        (count, true, predicted)
        for true, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    totals = [sum(row) for row in counts]
    wrong.sort(key=lambda entry: (-entry[0], totals[entry[1]]))  # of equal counts, the larger share first
    return [
        f"{names[true]} predicted as {names[predicted]}: {count} of {totals[true]}" for count, true, predicted in wrong
    ]
