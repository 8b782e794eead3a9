"""Grouping of curves into charts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cuelight.report.curves import Curves, Point

Kind = Literal["learning", "schedule", "hardware", "other"]
KINDS: dict[Kind, str] = {
    "learning": "Learning",
    "schedule": "Learning",
    "hardware": "Hardware and time",
    "other": "Other values",
}
_STAGE = re.compile(r"(train|val|test)[/_](.+?)(_step|_epoch)?(?:/dataloader_idx_(\d+))?$")
_RATE = re.compile(r"lr-(.+?)(-momentum|-weight_decay)?$")
_GPU = re.compile(r"device_id: (\d+)/(.+)$")
_DEVICE = re.compile(r"\w+\.on_\w+_batch_(start|end)/(.+)$")
_COLORS = {"train": 1, "val": 2, "test": 3}
_NUMBER_OF_COLORS = 8
_MOST_CURVES = 400  # a page of more takes minutes to write, and is slow to open


@dataclass(frozen=True)
class Series:
    """A curve in a chart."""

    name: str  # under which it was logged
    label: str  # in the legend
    color: int  # from 1
    points: Sequence[Point]
    faint: bool = False  # the noisy values of single steps, drawn in the background


@dataclass(frozen=True)
class Panel:
    """The curves of one chart."""

    kind: Kind
    quantity: str
    series: tuple[Series, ...]


def panels_of(curves: Curves, main_metric: str = "") -> list[Panel]:
    """Put all stages of a metric into one chart, and likewise all learning rates and all devices.

    Learning comes first, then the schedule, the hardware and the rest. In learning, the loss is first, then
    ``main_metric``, such as ``val/accuracy``. After so many curves that a page would be slow, the others are left out.
    """
    grouped: dict[tuple[Kind, str], list[tuple[str, str, bool]]] = defaultdict(list)
    for name in curves.points:
        kind, quantity, label, faint = _place(name)
        grouped[kind, quantity].append((name, label, faint))
    order = {"loss": 0, _place(main_metric)[1]: 1}
    places = sorted(grouped, key=lambda place: (list(KINDS).index(place[0]), order.get(place[1], 2), place[1]))
    panels, room = [], _MOST_CURVES
    for kind, name in places:
        entries = sorted(grouped[kind, name], key=_drawing_order)[:room]
        room -= len(entries)
        if entries:
            panels.append(Panel(kind, name, tuple(_series(curves, kind, entries))))
    return panels


def _place(name: str) -> tuple[Kind, str, str, bool]:
    """Return the kind, quantity and label of a logged value, and whether it is faint."""
    if found := _STAGE.match(name):
        stage, quantity, suffix, loader = found.groups()
        label = f"{stage} {loader}" if loader else stage
        return "learning", quantity, f"{label}, each step" if suffix == "_step" else label, suffix == "_step"
    if found := _RATE.match(name):
        return "schedule", (found[2] or "learning rate").lstrip("-").replace("_", " "), found[1], False
    if found := _GPU.match(name):
        return "hardware", found[2], f"GPU {found[1]}", False
    if found := _DEVICE.match(name):
        return "hardware", found[2], found[1], False
    group, _, rest = name.partition("/")
    if group == "batch_time":
        return "hardware", "batch time", rest, False
    return "other", name, name.rpartition("/")[2], False


def _series(curves: Curves, kind: Kind, entries: Sequence[tuple[str, str, bool]]) -> list[Series]:
    taken = len(_COLORS) if kind == "learning" else 0
    alone = all(faint for *_, faint in entries)  # there is no curve to be the background of
    series = []
    for name, label, faint in entries:
        stage = re.match("train|val|test", label)
        if stage and not re.search(r"\d", label):
            color = _COLORS[stage[0]]
        else:
            taken += 1
            color = (taken - 1) % _NUMBER_OF_COLORS + 1
        series.append(Series(name, label, color, curves.points[name], faint and not alone))
    return series


def _drawing_order(entry: tuple[str, str, bool]) -> tuple[bool, int, str]:
    """Sort the background first; then training, validation, test."""
    _, label, faint = entry
    return not faint, next((place for stage, place in _COLORS.items() if label.startswith(stage)), 0), label
