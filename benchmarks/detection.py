"""A detector from scratch is better than that of luxonis-train after the same time, and reaches its mAP in a fifth.

Both learn the same generated set in the format of COCO, at the same image size. luxonis-train needs other versions than
Cuelight, so it is left out unless it is told which Python has it. A training step is compared with the forward and
backward pass of the same network, and suppression with that of torchvision.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torchvision.ops import nms
from torchvision.transforms.v2.functional import to_pil_image

from common import Target, interleave, report
from cuelight import Run, registry
from cuelight.data import DigitBoxes
from cuelight.tasks import DetectionModel
from cuelight.tasks.detection.suppression import suppress

PEER, NETWORK, TORCHVISION = "luxonis-train", "forward and backward", "torchvision"
STEP, NUMPY = "training step", "Cuelight, numpy"
PYTHON_VARIABLE = "CUELIGHT_LUXONIS_PYTHON"
PEER_SCRIPT = Path(__file__).with_name("peers") / "luxonis_detection.py"
SIDE, BATCH_SIZE = 160, 16
TIME_TARGET, STEP_TARGET, SUPPRESSION_TARGET = Target(0.2), Target(1.35), Target(1.0)
LEAST_MAP_50 = 0.78
CANDIDATES, PASSING, MILLISECONDS = 8400, 300, 1e3
TRANSFORMS = [
    {"name": "RandomAffine", "params": {"degrees": 0, "translate": [0.1, 0.1]}},
    {"name": "ColorJitter", "params": {"brightness": 0.2}},
]


@registry.callbacks.register
class MapOverTime(Callback):
    """Notes mAP of each validation, with the seconds since the start of the training.

    Args:
        path: The file, with one line of JSON for each validation.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.began = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.began = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line."""
        if not trainer.sanity_checking:
            noted = [time.monotonic() - self.began, float(trainer.callback_metrics["val/map"])]
            with Path(self.path).open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(noted)}\n")


def write_scenes(folder: Path) -> None:
    """Write scenes in the layout that Roboflow gives to COCO: 800 for training, 200 for validation and 200 for test."""
    data = DigitBoxes(SIDE, batch_size=1)
    data.setup()
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.preprocessing.mean, data.preprocessing.std))
    for split, name in {"train": "train", "val": "valid", "test": "test"}.items():
        (folder / name).mkdir(parents=True)
        content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": []}
        content["categories"] = [{"id": label, "name": digit} for label, digit in enumerate(data.class_names)]
        for number, (images, target) in enumerate(data.whole_dataloader(split)):
            file = f"{number:04}.png"
            to_pil_image((images[0] * std + mean).clamp(0, 1)).save(folder / name / file)
            content["images"].append({"id": number, "file_name": file, "height": SIDE, "width": SIDE})
            content["annotations"] += annotations(target, number, len(content["annotations"]))
        (folder / name / "_annotations.coco.json").write_text(json.dumps(content), encoding="utf-8")


def annotations(target: dict[str, Tensor], image: int, first: int) -> list[dict[str, Any]]:
    """Return the boxes of a scene as COCO has them."""
    written = []
    boxes = zip(target["boxes"][0].tolist(), target["labels"][0].tolist(), strict=True)
    for number, ((left, top, right, bottom), label) in enumerate(boxes, start=first):
        width, height = right - left, bottom - top
        place = {"bbox": [left, top, width, height], "area": width * height, "iscrowd": 0}
        written.append({"id": number, "image_id": image, "category_id": label, **place})
    return written


def train_own(
    images: Path, folder: Path, epochs: int, interval: int = 1
) -> tuple[float, dict[str, float], list[tuple[float, float]]]:
    """Train from scratch; return the seconds, the metrics of the test split, and mAP at each validation."""
    curve = folder / "curve.jsonl"
    trainer = {
        "accelerator": "cpu",
        "epochs": epochs,
        "validation_interval": interval,
        "batch_size": BATCH_SIZE,
        "num_workers": 0,
        "gradient_clip_val": 10,
        "optimizer": {"name": "AdamW", "params": {"lr": 0.003, "weight_decay": 0.05}},
        "scheduler": {"name": "OneCycleLR", "interval": "step", "params": {"max_lr": 0.003, "pct_start": 0.1}},
        "callbacks": [
            {"name": "ChannelsLast"},
            {"name": "EMACallback", "params": {"decay": 0.99, "decay_tau": 100}},
            {"name": "MapOverTime", "params": {"path": str(curve)}},
        ],
    }
    data = {"path": str(images), "size": SIDE, "transforms": TRANSFORMS}
    model = {"name": "DetectionModel", "params": {"backbone": "resnet10t", "loss": {"varifocal": 2.5, "giou": 2.5}}}
    run = Run.from_yaml({"model": model, "data": {"name": "CocoDetection", "params": data}, "trainer": trainer})
    began = time.monotonic()
    run.train(folder / "runs")
    seconds = time.monotonic() - began
    points = [json.loads(line) for line in curve.read_text(encoding="utf-8").splitlines()]
    return seconds, dict(run.test().metrics), [(moment, value) for moment, value in points]


def train_peer(python: Path, images: Path, folder: Path, epochs: int) -> tuple[float, dict[str, float]]:
    """Train luxonis-train's detector from scratch; return the seconds and the metrics of the test split."""
    command = [str(python), str(PEER_SCRIPT), *map(str, (images, SIDE, BATCH_SIZE, epochs))]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    return measured["seconds"], measured["metrics"]


def compare_training(options: argparse.Namespace) -> bool:
    """Train both and print what they reached; return whether a target was missed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scenes(folder / "scenes")
        seconds, metrics, curve = train_own(folder / "scenes", folder, options.epochs)
        print(f"Cuelight: {seconds:.0f} s, mAP 50 {metrics['test/map_50']:.3f}, mAP {metrics['test/map']:.3f}")
        missed = metrics["test/map_50"] < LEAST_MAP_50
        if options.luxonis_python is None:
            print(f"luxonis-train is left out: name a Python that has it, in {PYTHON_VARIABLE}.")
            return missed
        # absolute, but not resolved: the Python of a virtual environment is a link
        (folder / "short").mkdir()
        _, _, short = train_own(folder / "scenes", folder / "short", options.short_epochs, options.short_epochs)
        theirs, reached = train_peer(options.luxonis_python.absolute(), folder / "scenes", folder, options.peer_epochs)
    peer_map, map_50 = (
        next(value for key, value in reached.items() if key.endswith(f"/{name}"))
        for name in ("MeanAveragePrecision", "map_50")
    )
    print(f"{PEER}: {theirs:.0f} s, mAP 50 {map_50:.3f}, mAP {peer_map:.3f}")
    reached_in = next((moment for moment, value in [*short, *curve] if value >= peer_map), float("inf"))
    sooner = reached_in / theirs
    print(f"time to the mAP of {PEER}: {reached_in:.0f} s, {sooner:.2f} of its time (target {TIME_TARGET})")
    return missed or metrics["test/map"] <= peer_map or seconds > theirs or not TIME_TARGET.met(sooner)


def compare_steps(rounds: int) -> int:
    """Compare a training step with the forward and backward pass of its network."""
    torch.manual_seed(0)
    data = DigitBoxes(SIDE, batch_size=BATCH_SIZE)
    data.setup()
    images, targets = next(iter(data.train_dataloader()))
    model = DetectionModel("resnet10t", num_classes=10, input_size=(SIDE, SIDE))

    def network() -> None:
        torch.stack([maps.sum() for maps in model(images)]).sum().backward()

    def step() -> None:
        model.update_loss(model.train_loss, model(images), targets, training=True).backward()

    measures = {NETWORK: partial(_milliseconds, network), STEP: partial(_milliseconds, step)}
    title = f"A training step of a detector: {SIDE} x {SIDE}, batch {BATCH_SIZE}"
    return report(title, "ms", interleave(measures, rounds), NETWORK, {STEP: STEP_TARGET})


def compare_suppression(rounds: int) -> int:
    """Compare suppression in numpy with that of torchvision, thresholds included."""
    numbers = np.random.default_rng(0)
    corners = numbers.uniform(0, 600, (CANDIDATES, 2))
    boxes = np.concatenate([corners, corners + numbers.uniform(8, 80, (CANDIDATES, 2))], axis=1).astype(np.float32)
    scores = numbers.permutation(np.linspace(0, 1, CANDIDATES, dtype=np.float32))
    threshold = np.sort(scores)[-PASSING]
    tensors = torch.from_numpy(boxes), torch.from_numpy(scores)

    def own() -> None:
        passing = scores >= threshold
        suppress(boxes[passing], scores[passing], 0.5, 300)

    def torchvision() -> None:
        passing = tensors[1] >= float(threshold)
        nms(tensors[0][passing], tensors[1][passing], 0.5)

    measures = {TORCHVISION: partial(_milliseconds, torchvision), NUMPY: partial(_milliseconds, own)}
    title = f"Suppression of {PASSING} of {CANDIDATES} boxes"
    return report(title, "ms", interleave(measures, 10 * rounds), TORCHVISION, {NUMPY: SUPPRESSION_TARGET})


def _milliseconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * MILLISECONDS


def main() -> int:
    parser = argparse.ArgumentParser(description="Accuracy and cost of detection.")
    given = os.environ.get(PYTHON_VARIABLE)
    parser.add_argument("--luxonis-python", type=Path, default=given, help="a Python that has luxonis-train")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument(
        "--short-epochs", type=int, default=3, help="of a training that only reaches the mAP of the peer"
    )
    parser.add_argument("--peer-epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    missed = [compare_steps(options.rounds), compare_suppression(options.rounds), compare_training(options)]
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
