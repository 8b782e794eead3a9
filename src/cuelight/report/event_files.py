"""TensorBoard event files; in a module of its own, because TensorBoard takes seconds to import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read_scalars(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the step and the value, by name, of each scalar. After a resume, new values replace the earlier ones."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    for name in accumulator.Tags()["scalars"]:
        for event in accumulator.Scalars(name):
            yield event.step, {name: event.value}
