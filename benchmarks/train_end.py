"""The steps after a training take a fifth of the time that they take in luxonis-train, and an export little memory.

Test, export and archive: both train a ResNet-18 on the same generated images for an epoch, in processes of their own
with the same number of threads, and tell what each step took. Cuelight runs as a command, with its defaults.
luxonis-train needs other versions than Cuelight, so it is left out unless it is told which Python has it.

Archive: size and time of each compression, for networks with random weights; this has no target.

Memory: what an export holds at its peak on top of the loaded network, as a multiple of the weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import timm
import torch
from luxonis_ml.nn_archive import ArchiveGenerator
from PIL import Image
from torch import nn

from common import Measurements, Target, interleave, report
from cuelight.config import ExporterConfig
from cuelight.data import Preprocessing
from cuelight.export.archive.nn_archive import Compression, archive_suffix, write_archive
from cuelight.export.archive.reading import read_archive
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export import export_onnx
from cuelight.train_end.outcomes import read_outcomes

OWN, PEER, GENERATOR = "Cuelight", "luxonis-train", "luxonis_ml ArchiveGenerator, xz"
WEIGHTS = "the weights"
WHOLE = "All three steps"
STEPS = {"TestOnTrainEnd": "Test", "ExportOnTrainEnd": "Export", "ArchiveOnTrainEnd": "Archive"}
EXPORTERS = {
    OWN: "cuelight",
    "torch.onnx.export, dynamo=False": "torchscript",
    "torch.onnx.export, dynamo=True, in two files": "dynamo",
}
TIME_TARGET, MEMORY_TARGET = Target(0.2), Target(2)
NETWORKS = ("resnet18", "resnet50")
IMAGES = {"train": 400, "valid": 150, "test": 150}
CLASSES, SIDE, BATCH_SIZE, WORKERS = 10, 64, 32, 2
PEERS = Path(__file__).with_name("peers")
PYTHON_VARIABLE = "CUELIGHT_LUXONIS_PYTHON"
HOW_TO_GET_THE_PEER = f"""\
luxonis-train is left out. To compare with it, make it an environment of its own, once:
  python -m venv luxonis; luxonis/bin/pip install luxonis-train==0.6.0
and give its Python: --luxonis-python luxonis/bin/python, or {PYTHON_VARIABLE}=luxonis/bin/python"""


def write_images(folder: Path, counts: Mapping[str, int]) -> Path:
    """Write noise, of another brightness for each class; returns the folder."""
    noise = np.random.default_rng(0)
    for split, count in counts.items():
        for number in range(count):
            label = number % CLASSES
            path = folder / split / f"class_{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = noise.integers(0, 100 + 15 * label, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
    return folder


def own_steps(images: Path) -> dict[str, float]:
    """Train with Cuelight; returns the seconds of each step after it."""
    config = {
        "model": {"name": "ClassificationModel", "params": {"backbone": "resnet18"}},
        "data": {"name": "ImageFolder", "params": {"path": str(images), "size": SIDE}},
        "trainer": {
            "accelerator": "cpu",
            "epochs": 1,
            "batch_size": BATCH_SIZE,
            "num_workers": WORKERS,
            "callbacks": [{"name": step} for step in STEPS],
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.yaml").write_text(json.dumps(config))
        in_process([Path(sys.executable).with_name("cuelight"), "train", "config.yaml", "--output=runs"], folder)
        (run,) = Path(folder).glob("runs/*/*")
        return {step: outcome.seconds for step, outcome in read_outcomes(run).items()}


def luxonis_steps(python: Path, images: Path) -> dict[str, float]:
    """Train with luxonis-train; returns the seconds of each step after it."""
    script = [PEERS / "luxonis_train_end.py", images, SIDE, BATCH_SIZE, WORKERS]
    with tempfile.TemporaryDirectory() as folder:
        seconds: dict[str, float] = json.loads(in_process([python, *script], folder).splitlines()[-1])
    return seconds


def measure_steps(trainings: Mapping[str, Callable[[], dict[str, float]]], rounds: int) -> dict[str, Measurements]:
    """Train in turns.

    Args:
        trainings: What returns the seconds of each step, by name.
        rounds: Trainings of each.

    Returns:
        Seconds of each, for all steps together and for each step.
    """
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in trainings}

    def train(name: str) -> float:
        taken[name].append(trainings[name]())
        return sum(taken[name][-1].values())

    values = {WHOLE: interleave({name: partial(train, name) for name in trainings}, rounds)}
    for step, title in STEPS.items():
        values[title] = {name: [seconds[step] for seconds in of_one] for name, of_one in taken.items()}
    return values


def compare_steps(values: Mapping[str, Measurements]) -> int:
    """Print the tables of the steps; returns 1 if the target is missed, 0 otherwise."""
    title = f"ResNet-18, {SIDE} x {SIDE}, {IMAGES['test']} test images"
    missed = [
        report(f"{step}: {title}", "s", measured, PEER, {OWN: TIME_TARGET} if step == WHOLE else {})
        for step, measured in values.items()
    ]
    return max(missed)


def archive_table(networks: Sequence[str], size: int, rounds: int) -> str:
    """Compare the compressions of an archive.

    Args:
        networks: Names of timm models.
        size: Height and width of their input in pixels.
        rounds: Repetitions of each.

    Returns:
        A table in Markdown.
    """
    lines = ["| network | archive | MB | s to write | s to read |", "|---|---|---|---|---|"]
    for network in networks:
        with tempfile.TemporaryDirectory() as folder:
            onnx = _export_random(network, size, Path(folder))
            lines += [f"| {network} {row}" for row in _archive_rows(onnx, rounds)]
    return "\n".join(lines)


def _export_random(name: str, size: int, folder: Path) -> Path:
    network = timm.create_model(name, num_classes=CLASSES).eval()
    for tensor in network.state_dict().values():
        if tensor.ndim > 1:
            nn.init.kaiming_normal_(tensor)
        elif tensor.ndim == 1:
            nn.init.uniform_(tensor, 0.5, 1.5)
    description = ModelMetadata("random", task="classification", preprocessing=Preprocessing(size=(size, size)))
    options = ExporterConfig()
    return export_onnx(network, torch.randn(1, 3, size, size), folder / f"{name}.onnx", options, description).path


def _archive_rows(onnx: Path, rounds: int) -> list[str]:
    folder, name = onnx.parent, onnx.stem
    paths = {compression: folder / f"{name}{archive_suffix(compression)}" for compression in get_args(Compression)}
    writers: dict[str, Callable[[], Path]] = {
        compression: partial(write_archive, onnx, path, name=name, heads=None, compression=compression)
        for compression, path in paths.items()
    }
    config, _ = read_archive(writers["none"]())
    generator = ArchiveGenerator(f"{name}_of_luxonis_ml", folder, config, [onnx])
    writers[GENERATOR] = generator.make_archive
    paths = {**paths, GENERATOR: folder / generator.archive_name}
    written = interleave({row: partial(_seconds, write) for row, write in writers.items()}, rounds)
    read = interleave({row: partial(_seconds, partial(read_archive, path)) for row, path in paths.items()}, rounds)
    rows = []
    for row, path in paths.items():
        shown = f"{row}, the default" if row == ExporterConfig().compression else row
        seconds = f"{statistics.median(written[row]):.2f} | {statistics.median(read[row]):.2f}"
        rows.append(f"| {shown} | {path.stat().st_size / 1e6:.1f} | {seconds} |")
    return rows


def measure_memory(network: str, size: int, rounds: int) -> Measurements:
    """Export with each exporter in turns.

    Args:
        network: Name of a timm model.
        size: Height and width of its input in pixels.
        rounds: Exports with each.

    Returns:
        MiB at the peak above the loaded network, and of the weights.
    """
    weights: list[float] = []

    def export(exporter: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            script = [sys.executable, PEERS / "export_memory.py", exporter, network, size]
            peak, of_weights = map(float, in_process(script, folder).splitlines()[-1].split())
        weights[:] = [of_weights]
        return peak

    peaks = interleave({name: partial(export, exporter) for name, exporter in EXPORTERS.items()}, rounds)
    return {WEIGHTS: weights * rounds, **peaks}


def in_process(command: Sequence[object], folder: str) -> str:
    """Run a command in a folder, with as many threads as every other; returns what it prints."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    texts = [str(part) for part in command]
    done = subprocess.run(texts, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(texts)} ended with exit code {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Cost of the steps after a training.", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for name, value in {"--rounds": 3, "--archive-rounds": 1, "--memory-rounds": 3}.items():
        parser.add_argument(name, type=int, default=value, help=" ")
    help_text = f"a Python that has luxonis-train; {PYTHON_VARIABLE} tells it too"
    parser.add_argument("--luxonis-python", type=Path, default=os.environ.get(PYTHON_VARIABLE), help=help_text)
    return parser.parse_args()


def main() -> int:
    options = _options()
    print(f"{torch.get_num_threads()} threads.")
    missed = 0
    if options.luxonis_python is None:
        print(HOW_TO_GET_THE_PEER)
    else:
        with tempfile.TemporaryDirectory() as folder:
            images = write_images(Path(folder), IMAGES)
            luxonis = partial(luxonis_steps, options.luxonis_python.absolute(), images)
            missed = compare_steps(measure_steps({PEER: luxonis, OWN: partial(own_steps, images)}, options.rounds))
    print(archive_table(NETWORKS, 224, options.archive_rounds))
    print("Cuelight checks what it has written, which counts as writing.\n")
    memory = measure_memory("resnet50", 224, options.memory_rounds)
    return missed | report("Memory of an export of ResNet-50", "MiB", memory, WEIGHTS, {OWN: MEMORY_TARGET})


if __name__ == "__main__":
    sys.exit(main())
