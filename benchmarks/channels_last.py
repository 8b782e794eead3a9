"""With `ChannelsLast` a training step of a network of convolutions is shorter on a CPU than without.

A step is forward, loss, backward and optimizer step on random images, in the layout that the callback leaves the
weights in. Networks without a target are there to show where it pays little or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn import functional

from common import Measurements, Target, interleave, parse_options, report
from cuelight.callbacks import ChannelsLast
from cuelight.tasks import ClassificationModel, SegmentationModel

CLASSES = 10
WARM_UP = 2
USUAL, OWN = "usual layout", "ChannelsLast"
TARGETS = {"Unet": 0.95, "mobilenetv3_large_100": 0.9, "efficientnet_lite0": 0.8}
BACKBONES = (
    "resnet18",
    "resnet50",
    "mobilenetv3_large_100",
    "efficientnet_lite0",
    "convnext_atto",
    "vit_tiny_patch16_224",
)


def stepper(model: pl.LightningModule, images: Tensor, targets: Tensor, steps: int) -> Callable[[], float]:
    """Prepare to time training steps.

    Args:
        model: What is trained.
        images: Float ``(N, C, H, W)``.
        targets: What is right.
        steps: Number of steps that are timed together.

    Returns:
        A function that gives the milliseconds of a step.
    """
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5)

    def step() -> None:
        functional.cross_entropy(model(images), targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - began) / steps * 1000

    model.train()
    for _ in range(WARM_UP):
        step()
    return measure


def measure(make: Callable[[], pl.LightningModule], labels: Tensor, side: int, rounds: int, steps: int) -> Measurements:
    """Time the steps of a network in both layouts.

    Args:
        make: Makes the model, with random weights.
        labels: What is right.
        side: Height and width of the images in pixels.
        rounds: Number of measurements of each.
        steps: Steps of each measurement.

    Returns:
        Milliseconds of a step.
    """
    images = torch.randn(len(labels), 3, side, side)
    usual, last = make(), make()
    ChannelsLast().setup(pl.Trainer(logger=False, accelerator="cpu", enable_model_summary=False), last, "fit")
    return interleave({USUAL: stepper(usual, images, labels, steps), OWN: stepper(last, images, labels, steps)}, rounds)


def main() -> int:
    """Measure."""
    options = parse_options(__doc__, rounds=5, steps=3, batch_size=8, side=128)
    settings = {"num_classes": CLASSES, "input_size": (options.side, options.side)}
    classes = torch.arange(options.batch_size) % CLASSES
    masks = torch.randint(CLASSES, (options.batch_size, options.side, options.side))
    models = {"Unet": (partial(SegmentationModel, "Unet", "resnet18", **settings), masks)}
    models |= {name: (partial(ClassificationModel, name, **settings), classes) for name in BACKBONES}
    failed = 0
    for name, (make, labels) in models.items():
        values = measure(make, labels, options.side, options.rounds, options.steps)
        failed |= report(name, "ms", values, USUAL, {OWN: Target(TARGETS[name])} if name in TARGETS else {})
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
