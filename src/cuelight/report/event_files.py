"""The event files of TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read_scalars(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Read the scalars of a run. What a resumed training logged again replaces what was there.

    Args:
        folder: The folder of the event files.

    Yields:
        A step, and a value by its name.
    """
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    for name in accumulator.Tags()["scalars"]:
        for event in accumulator.Scalars(name):
            yield event.step, {name: event.value}
