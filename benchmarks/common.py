"""What the benchmarks share: interleaved repetitions, a table, and the exit code."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track
from rich.table import Table

Measurements = dict[str, list[float]]


@dataclass(frozen=True)
class Target:
    """What a ratio to the peer has to be.

    Args:
        limit: The worst ratio that is good enough.
        at_most: Whether a ratio below the limit is good; otherwise one above it is.
    """

    limit: float
    at_most: bool = True

    def met(self, ratio: float) -> bool:
        """Tell whether a ratio is good enough."""
        return ratio <= self.limit if self.at_most else ratio >= self.limit

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.limit:g}"


def interleave(measures: Mapping[str, Callable[[], float]], rounds: int) -> Measurements:
    """Take every measure once per round, each round beginning with another one, so that drift meets all alike.

    Args:
        measures: What to measure, by name; each call returns one value.
        rounds: Number of values of each.

    Returns:
        The values of each, in the order of the rounds.
    """
    names = list(measures)
    values: Measurements = {name: [] for name in names}
    for number in track(range(rounds), "measuring", console=Console(stderr=True), transient=True):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            values[name].append(measures[name]())
    return values


def ratios(values: Measurements, name: str, peer: str) -> list[float]:
    """Compare with the peer within each round, which cancels what slows a whole round down.

    Args:
        values: What :func:`interleave` returned.
        name: What is compared.
        peer: With what.

    Returns:
        One ratio for each round.
    """
    return [own / other for own, other in zip(values[name], values[peer], strict=True)]


def report(title: str, unit: str, values: Measurements, peer: str, targets: Mapping[str, Target]) -> int:
    """Print the medians, the spread (first to third quartile) and the ratios to the peer.

    Args:
        title: The claim.
        unit: Of the values.
        values: What :func:`interleave` returned.
        peer: What the others are compared with.
        targets: What the median of the ratios has to be, by name; the others are for information.

    Returns:
        The exit code: 0 if every target is met, 1 otherwise.
    """
    table = Table("", unit, "spread", "ratio", "spread of ratio", "target", title=title, title_justify="left")
    missed = False
    for name in values:
        compared = ratios(values, name, peer)
        ratio, target = statistics.median(compared), targets.get(name)
        met = target is None or target.met(ratio)
        missed |= not met
        verdict = f"{target}: {'met' if met else 'MISSED'}" if target else ""
        row = [_short(statistics.median(values[name])), _spread(values[name])]
        row += [f"{ratio:.3f}", _spread(compared), verdict] if name != peer else ["", "", ""]
        table.add_row(name, *row)
    Console(width=120).print(table)
    return int(missed)


def parse_options(description: str | None, **defaults: int) -> argparse.Namespace:
    """Read whole-number options from the command line.

    Args:
        description: The docstring of the benchmark.
        **defaults: The value of each option that is not given.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=" ")
    return parser.parse_args()


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return ""
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return f"{_short(first)} to {_short(third)}"


def _short(value: float) -> str:
    return f"{value:.4g}"
