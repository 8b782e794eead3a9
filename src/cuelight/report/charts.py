"""Charts as coordinates and SVG paths, which the template draws."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from cuelight.report.axes import Axis, axis_of, linear_ticks
from cuelight.report.curves import Point, thinned
from cuelight.report.grouping import Panel, Series
from cuelight.report.numbers import number, tick

WIDTH, HEIGHT = 446, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 352, 32, 212
_LABEL_HEIGHT = 13
_LABEL_GAP = 9  # beside the ring around the best checkpoint
_WIDE, _CAPITAL, _LETTER = 13, 10, 8  # upper limits of the width of a character, in pixels
_MOST_DOTS = 30
_EPOCH_LABELS = 8


@dataclass(frozen=True)
class Best:
    """The checkpoint with the best monitored score, or the best score alone."""

    monitor: str
    score: float
    path: str = ""  # relative to the run directory
    step: int | None = None
    epoch: int | None = None  # counted from 1


@dataclass(frozen=True)
class Line:
    """A curve as it is drawn."""

    series: Series
    path: str  # the ``d`` attribute of an SVG path
    dots: Sequence[tuple[float, float]]
    places: Sequence[tuple[float, float, int, str]]  # position, step and value of each finite point
    label: str = ""  # at its end; empty if there is no room
    label_x: float = 0.0
    label_y: float = 0.0
    note: str = ""  # about values that are not finite
    last: str = ""
    lowest: str = ""
    highest: str = ""


def chart_of(panel: Panel, last_step: int, epochs: Mapping[int, int], best: Best | None = None) -> dict[str, Any]:
    """Compute a chart for the template. ``last_step``, the end of the x axis, is the same for all charts of a run."""
    values = [value for series in panel.series for _, value in series.points if math.isfinite(value)]
    axis = axis_of(values or [0.0])
    end = max(last_step, 1)
    steps = Axis(0, end, tuple(tick for tick in linear_ticks(0, end, 5) if tick == int(tick)))
    lines = _with_labels([_line(series, steps, axis) for series in panel.series])
    mark: tuple[float, float | None] | None = None
    if best and best.step is not None and panel.kind == "learning":
        own = any(series.name == best.monitor for series in panel.series)
        mark = _across(steps, best.step), _down(axis, best.score) if own else None
    return {
        "title": panel.quantity,
        "description": _in_words(panel, last_step),
        "lines": lines,
        "curves": [{"label": line.series.label, "places": line.places} for line in lines],  # for the script
        "x_ticks": [(_across(steps, step), tick(step)) for step in steps.ticks if step <= steps.high],
        "y_ticks": [(_down(axis, value), tick(value)) for value in axis.ticks],
        "epochs": [(_across(steps, step), str(epoch)) for epoch, step in _some(epochs)],
        "logarithmic": axis.logarithmic,
        "best": mark,
    }


def _across(steps: Axis, step: float) -> float:
    return round(LEFT + steps.share(step) * (RIGHT - LEFT), 1)


def _down(axis: Axis, value: float) -> float:
    low = axis.low if axis.logarithmic else value  # values below a logarithmic axis are drawn at its bottom
    return round(BOTTOM - axis.share(max(value, low)) * (BOTTOM - TOP), 1)


def _line(series: Series, steps: Axis, axis: Axis) -> Line:
    points = thinned(series.points)
    path, places, dots = [], [], []
    few = len(points) <= _MOST_DOTS and not series.faint
    for index, (step, value) in enumerate(points):
        if not math.isfinite(value):
            continue
        x, y = _across(steps, step), _down(axis, value)
        begins = not _is_finite_at(points, index - 1)
        path.append(f"{'M' if begins else 'L'}{x} {y}")
        places.append((x, y, step, number(value)))
        if few or (begins and not _is_finite_at(points, index + 1)):
            dots.append((x, y))
    gaps = [step for step, value in series.points if not math.isfinite(value)]
    note = f"{len(gaps)} of {len(series.points)} values are not finite, the first at step {gaps[0]}" if gaps else ""
    finite = [value for _, value in series.points if math.isfinite(value)]
    extremes = [number(pick(finite)) for pick in (lambda all_: all_[-1], min, max)] if finite else ["none"] * 3
    return Line(series, "".join(path), dots, places, "", 0.0, 0.0, note, *extremes)


def _is_finite_at(points: Sequence[Point], index: int) -> bool:
    return 0 <= index < len(points) and math.isfinite(points[index][1])


def _with_labels(lines: Sequence[Line]) -> list[Line]:
    """Label the ends of the curves without overlaps; no labels for a single curve, or if there is no room."""
    labelled = [line for line in lines if line.places and not line.series.faint]
    if len(lines) == 1 or len(labelled) * _LABEL_HEIGHT > BOTTOM - TOP:
        return list(lines)
    ends = [line.places[-1][0] for line in labelled]
    places: dict[str, float] = {}
    lowest = TOP - _LABEL_HEIGHT / 2
    for line in sorted(labelled, key=lambda line: line.places[-1][1]):
        lowest = max(line.places[-1][1], lowest + _LABEL_HEIGHT)
        places[line.series.name] = lowest
    overflow = max(0.0, lowest - BOTTOM)
    return [
        replace(
            line,
            label=_short(line.series.label, WIDTH - RIGHT - _LABEL_GAP),
            label_x=_beside(line.places[-1][0], ends),
            label_y=round(places[line.series.name] - overflow, 1),
        )
        if line.series.name in places
        else line
        for line in lines
    ]


def _beside(end: float, ends: Sequence[float]) -> float:
    """Return the x position of a label: right of its curve's end, and of other ends that it would cover."""
    return round(max(other for other in ends if other <= end + _LABEL_GAP) + _LABEL_GAP, 1)


def _short(label: str, room: float) -> str:
    """Cut a label to a width in pixels."""
    widths = list(accumulate(map(_width, label)))
    if not widths or widths[-1] <= room:
        return label
    return label[: sum(width <= room - _width("…") for width in widths)] + "…"


def _width(character: str) -> int:
    if unicodedata.east_asian_width(character) in "FWA" or character in "mwMW@%&":
        return _WIDE
    return _CAPITAL if character.isupper() else _LETTER


def _some(epochs: Mapping[int, int]) -> list[tuple[int, int]]:
    """Return every n-th epoch, few enough to be written above a chart."""
    strides = (factor * 10**power for power in range(12) for factor in (1, 2, 5))
    stride = next(stride for stride in strides if len(epochs) <= _EPOCH_LABELS * stride)
    return [(epoch, step) for epoch, step in epochs.items() if epoch % stride == 0]


def _in_words(panel: Panel, last_step: int) -> str:
    sentences = [f"{panel.quantity} over the optimizer steps 0 to {last_step}."]
    for series in panel.series:
        finite = [(step, value) for step, value in series.points if math.isfinite(value)]
        if not finite:
            sentences.append(f"{series.label}: no finite value.")
        elif len(finite) == 1:
            sentences.append(f"{series.label}: {number(finite[0][1])} at step {finite[0][0]}.")
        else:
            low, high = (pick(finite, key=lambda point: point[1]) for pick in (min, max))
            sentences.append(
                f"{series.label}: from {number(finite[0][1])} to {number(finite[-1][1])}, lowest {number(low[1])} at "
                f"step {low[0]}, highest {number(high[1])} at step {high[0]}."
            )
    return " ".join(sentences)
