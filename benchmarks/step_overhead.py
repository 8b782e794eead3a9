"""A training step through Cuelight takes at most 10 % longer than in a plain PyTorch loop.

The loop has nothing but forward, loss, backward and optimizer step, over the same loader and network; the batch size
makes its step about 30 ms long. Cuelight runs what `cuelight train` runs, with its trackers and checkpoints, once with
the display of a terminal (a pseudo-terminal) and once without. The growth with the number of callbacks is that of
callbacks that implement every hook of a training batch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import timm
import torch
from rich.console import Console
from torch.nn import functional

from common import Measurements, Target, interleave, parse_options, report
from cuelight import Run, registry
from cuelight.callbacks import ProgressDisplay
from cuelight.cli.display import set_up_display
from cuelight.data import Preprocessing, ResumableLoader
from cuelight.data.datasets.digits import DigitImages
from cuelight.data.loading.loaders import evaluation_loader, training_loader
from cuelight.data.loading.prefetching import CheckedLoader
from cuelight.tasks import ClassificationModel

PLAIN = "plain PyTorch loop"
NO_TERMINAL = "Cuelight, no terminal"
TERMINAL = "Cuelight, terminal"
BACKBONE = "resnet10t"
SIDE = 32
CLASSES = 10
WARM_UP = 5

_step_began: list[float] = []


@registry.data.register
class Noise(pl.LightningDataModule):
    """Random images in memory, as many batches as asked for.

    Args:
        steps: Number of training batches.
        batch_size: Images per batch.
        side: Height and width of the images in pixels.
    """

    def __init__(self, steps: int, batch_size: int = 32, side: int = SIDE) -> None:
        super().__init__()
        self.class_names = [str(number) for number in range(CLASSES)]
        self.preprocessing = Preprocessing(size=(side, side), mean=(0.5,), std=(0.25,))
        self.batch_size = batch_size
        generator = torch.Generator().manual_seed(0)
        count = steps * batch_size
        self._images = DigitImages(
            torch.randint(256, (count, 3, side, side), dtype=torch.uint8, generator=generator),
            torch.randint(CLASSES, (count,), generator=generator),
        )

    def train_dataloader(self) -> ResumableLoader:
        """Load in the main process."""
        return training_loader(
            self._images,
            self.preprocessing,
            batch_size=self.batch_size,
            num_workers=0,
            seed=0,
            trainer=self.trainer,
        )

    def val_dataloader(self) -> CheckedLoader:
        """Load one batch; validation is not what is timed."""
        images = DigitImages(self._images.images[: self.batch_size], self._images.labels)
        return evaluation_loader(images, self.preprocessing, batch_size=self.batch_size, num_workers=0)


@registry.models.register
class TimedModel(ClassificationModel):
    """Notes when each training step begins."""

    def training_step(self, batch: Sequence[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Note the time."""
        _step_began.append(time.perf_counter())
        return super().training_step(batch, batch_idx)


@registry.callbacks.register
class CountingCallback(pl.Callback):
    """Counts the calls of every hook of a training batch."""

    def __init__(self) -> None:
        self.calls = 0

    def on_train_batch_start(self, *_: Any) -> None:
        """Count."""
        self.calls += 1

    on_before_zero_grad = on_train_batch_start  # type: ignore[assignment]
    on_before_backward = on_train_batch_start  # type: ignore[assignment]
    on_after_backward = on_train_batch_start  # type: ignore[assignment]
    on_before_optimizer_step = on_train_batch_start  # type: ignore[assignment]
    on_train_batch_end = on_train_batch_start  # type: ignore[assignment]


def plain_step(steps: int, batch_size: int) -> float:
    """Time the plain loop.

    Args:
        steps: Number of steps.
        batch_size: Images per batch.

    Returns:
        Milliseconds per step.
    """
    network = timm.create_model(BACKBONE, num_classes=CLASSES)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network.train()
    _step_began.clear()
    for images, labels in Noise(steps, batch_size).train_dataloader():
        _step_began.append(time.perf_counter())
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return _milliseconds_per_step()


def cuelight_step(steps: int, batch_size: int, callbacks: int = 0, terminal: bool = True) -> float:
    """Time the same through Cuelight.

    Args:
        steps: Number of steps.
        batch_size: Images per batch.
        callbacks: Number of callbacks in the file.
        terminal: Whether progress is shown on a terminal.

    Returns:
        Milliseconds per step.
    """
    config = {
        "name": "step",
        "model": {"name": "TimedModel", "params": {"backbone": BACKBONE}},
        "data": {"name": "Noise", "params": {"steps": steps}},
        "trainer": {
            "epochs": 1,
            "batch_size": batch_size,
            "accelerator": "cpu",
            "callbacks": [{"name": "CountingCallback"}] * callbacks,
        },
    }
    _step_began.clear()
    with tempfile.TemporaryDirectory() as folder, _console(terminal) as console:
        run = Run.from_yaml(config)
        run.display = ProgressDisplay(console)
        run.train(folder)
    return _milliseconds_per_step()


def measure(steps: int, rounds: int, batch_size: int, callbacks: Sequence[int] = (0, 5, 10, 20)) -> Measurements:
    """Time all variants.

    Args:
        steps: Steps of each repetition; the first few are left out.
        rounds: Repetitions.
        batch_size: Images per batch.
        callbacks: Numbers of callbacks.

    Returns:
        Milliseconds per step by variant.
    """
    measures: dict[str, Callable[[], float]] = {PLAIN: partial(plain_step, steps, batch_size)}
    measures[NO_TERMINAL] = partial(cuelight_step, steps, batch_size, terminal=False)
    for count in callbacks:
        name = TERMINAL if count == 0 else with_callbacks(count)
        measures[name] = partial(cuelight_step, steps, batch_size, count)
    return interleave(measures, rounds)


def with_callbacks(count: int) -> str:
    """Name a variant."""
    return f"{TERMINAL}, {count} callbacks"


def batch_size_for(milliseconds: float) -> int:
    """Find the batch size whose plain step takes about as long as asked for.

    Args:
        milliseconds: Length of a step.

    Returns:
        A power of two.
    """
    batch_size = 4
    while plain_step(WARM_UP + 10, batch_size) < milliseconds / 2**0.5:
        batch_size *= 2
    return batch_size


def _milliseconds_per_step() -> float:
    timed = _step_began[WARM_UP:]
    return (timed[-1] - timed[0]) / (len(timed) - 1) * 1e3


@contextmanager
def _console(terminal: bool) -> Iterator[Console]:
    """A console on a pseudo-terminal that another process reads, or on no terminal."""
    if not terminal:
        with Path(os.devnull).open("w") as nowhere:
            yield Console(file=nowhere, soft_wrap=True)
        return
    reading, writing = os.openpty()
    with subprocess.Popen(["cat"], stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
        os.close(reading)
        with os.fdopen(writing, "w") as file:
            yield Console(file=file, soft_wrap=True)
        reader.wait()


def main() -> int:
    options = parse_options("Overhead of a training step.", steps=105, rounds=9)
    os.environ["TERM"] = "xterm-256color"
    set_up_display(quiet=True)
    batch_size = batch_size_for(30)
    values = measure(options.steps, options.rounds, batch_size)
    title = f"Training step of {BACKBONE}, batch {batch_size}, {torch.get_num_threads()} threads"
    return report(title, "ms", values, PLAIN, {NO_TERMINAL: Target(1.1), TERMINAL: Target(1.1)})


if __name__ == "__main__":
    sys.exit(main())
