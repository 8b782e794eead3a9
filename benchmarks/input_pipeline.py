"""Cuelight's ImageFolder loads as many images per second as a plain DataLoader with the same torchvision transforms.

JPEG files of 500 x 375 pixels become batches of 224 x 224, with augmentation (training) and without (evaluation).
The peer is torchvision's own `ImageFolder` with `torchvision.transforms.v2` on tensors, as torchvision advises. Each
pass is timed from its start to its last batch; the worker processes stay between passes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder as PlainImageFolder
from torchvision.io import write_jpeg
from torchvision.transforms import v2

from common import Measurements, Target, interleave, parse_options, report
from cuelight.config import Part
from cuelight.data import ImageFolder
from cuelight.images.preprocessing import IMAGENET_MEAN, IMAGENET_STD

PLAIN_TRAINING, TRAINING = "training, plain", "training, Cuelight"
PLAIN_EVALUATION, EVALUATION = "evaluation, plain", "evaluation, Cuelight"
SIZE = 224
BATCH_SIZE = 32


def measure(images: int, rounds: int, workers: int = 2) -> Measurements:
    """Time passes over a folder of images.

    Args:
        images: Number of images.
        rounds: Passes of each loader, after one to warm up.
        workers: Worker processes of each loader.

    Returns:
        Images per second of each loader.
    """
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "val"):
            write_images(Path(folder, split), images)
        measures = {
            name: partial(_images_per_second, loader) for name, loader in make_loaders(Path(folder), workers).items()
        }
        for warm_up in measures.values():
            warm_up()
        return interleave(measures, rounds)


def write_images(folder: Path, count: int) -> None:
    """Write images with about as much detail as photographs have, in two class folders.

    Args:
        folder: The folder above the class folders.
        count: Number of images.
    """
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        shapes = torch.rand(1, 3, 15, 20, generator=generator) * 255
        picture = torch.nn.functional.interpolate(shapes, (375, 500), mode="bicubic")[0]
        picture += 12 * torch.randn(picture.shape, generator=generator)
        path = folder / ("even", "odd")[number % 2] / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_jpeg(picture.clamp(0, 255).to(torch.uint8), str(path), quality=85)


def make_loaders(folder: Path, workers: int) -> dict[str, DataLoader[object]]:
    """Make the four loaders.

    Args:
        folder: Has the folders ``train`` and ``val``.
        workers: Worker processes of each.

    Returns:
        Each loader by its name.
    """
    to_model = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    training = [v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip()]
    evaluation = [v2.Resize(SIZE), v2.CenterCrop(SIZE)]
    plain = partial(DataLoader, batch_size=BATCH_SIZE, num_workers=workers, persistent_workers=workers > 0)

    data = ImageFolder(
        folder,
        size=SIZE,
        transforms=[
            Part(name="RandomResizedCrop", params={"size": SIZE}),
            Part(name="RandomHorizontalFlip"),
        ],
        test_split=0,
        batch_size=BATCH_SIZE,
        num_workers=workers,
    )
    data.setup()
    return {
        PLAIN_TRAINING: plain(_plain_folder(folder / "train", [*training, *to_model]), shuffle=True),
        TRAINING: data.train_dataloader(),
        PLAIN_EVALUATION: plain(_plain_folder(folder / "val", [*evaluation, *to_model])),
        EVALUATION: data.val_dataloader(),
    }


def _plain_folder(folder: Path, transforms: list[v2.Transform]) -> PlainImageFolder:
    return PlainImageFolder(folder, v2.Compose([v2.PILToTensor(), *transforms]))


def _images_per_second(loader: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    began = time.perf_counter()
    count = sum(len(images) for images, _ in loader)
    return count / (time.perf_counter() - began)


def main() -> int:
    options = parse_options("Images per second of the input pipeline.", images=512, rounds=10, workers=2)
    values = measure(options.images, options.rounds, options.workers)
    code = 0
    for own, peer in ((TRAINING, PLAIN_TRAINING), (EVALUATION, PLAIN_EVALUATION)):
        pair = {name: values[name] for name in (peer, own)}
        code |= report(f"Input pipeline, {options.workers} workers", "images/s", pair, peer, {own: Target(0.95, False)})
    return code


if __name__ == "__main__":
    sys.exit(main())
