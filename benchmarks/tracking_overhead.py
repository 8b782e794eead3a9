"""All that records a training costs a step at most 2 %.

The same training of a ResNet-18 with nothing that records it, and with MetadataLogger, UploadCheckpoint,
GPUStatsMonitor where there is a GPU, and the trackers TensorBoard, CSV and MLflow, whose server runs on the same
machine. Both keep their checkpoints; the best of the first epoch is uploaded while the second is trained. A step is the
time from its beginning to that of the next in the same epoch.

The ratio holds all that these parts cost, also by their threads and the server. Below it stands what the training
waits for: the time in the hooks of these callbacks and in the calls of the loggers, as a share of the same steps.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # its server of MLflow

from common import Measurements, Target, interleave, parse_options, report
from cuelight import Run, registry
from cuelight.cli.display import set_up_display
from cuelight.tasks import ClassificationModel
from cuelight.utils import nvml
from step_overhead import CLASSES, WARM_UP
from support.mlflow_server import mlflow_server

NOTHING = "nothing records it"
FILES = "TensorBoard and CSV"
EVERYTHING = "all callbacks and trackers"
EPOCHS = 2
RECORDERS = {"MetadataLogger", "UploadCheckpoint", "GPUStatsMonitor"}

_steps: list[tuple[int, float]] = []
_calls: list[tuple[float, float]] = []
_shares: list[tuple[float, float]] = []


@registry.models.register
class NotedModel(ClassificationModel):
    """Notes when each training step begins."""

    def training_step(self, batch: Sequence[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Note the epoch and the time."""
        _steps.append((self.current_epoch, time.perf_counter()))
        return super().training_step(batch, batch_idx)


@registry.callbacks.register
class Accounts(pl.Callback):
    """Notes when the hooks of the callbacks that record and the calls of the loggers begin and end."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put a clock around each."""
        parts = [callback for callback in trainer.callbacks if type(callback).__name__ in RECORDERS]
        for part in (*parts, *trainer.loggers):
            for method in ("on_train_batch_start", "on_train_batch_end", "log_metrics", "save"):
                if hasattr(part, method):
                    setattr(part, method, _timed(getattr(part, method)))


def _timed(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            _calls.append((began, time.perf_counter()))

    return call


def recorders() -> list[dict[str, Any]]:
    """List the callbacks that record a training, as far as this machine has what they need."""
    callbacks: list[dict[str, Any]] = [
        {"name": "Accounts"},
        {"name": "MetadataLogger", "params": {"hyperparams": ["trainer.optimizer", "trainer.batch_size"]}},
        {"name": "UploadCheckpoint"},
    ]
    return callbacks if nvml.why_no_gpu() else [*callbacks, {"name": "GPUStatsMonitor"}]


def step(tracker: dict[str, Any], callbacks: list[dict[str, Any]], model: str, options: dict[str, int]) -> float:
    """Time the steps of a training.

    Args:
        tracker: The section of the file.
        callbacks: Those of the file.
        model: The network.
        options: Of the data: ``steps`` of an epoch, ``side`` of the images; and ``batch_size``.

    Returns:
        Milliseconds per step.
    """
    config = {
        "name": "recorded",
        "model": {"name": "NotedModel", "params": {"backbone": model}},
        "data": {"name": "Noise", "params": {"steps": options["steps"], "side": options["side"]}},
        "tracker": tracker,
        "trainer": {
            "epochs": EPOCHS,
            "batch_size": options["batch_size"],
            "callbacks": [*callbacks, {"name": "TestOnTrainEnd", "active": False}],
        },
    }
    _steps.clear()
    _calls.clear()
    with tempfile.TemporaryDirectory() as folder:
        Run.from_yaml(config).train(folder)
    pairs = list(itertools.pairwise(_steps[WARM_UP:]))
    lengths = [(begin, end) for (epoch, begin), (same, end) in pairs if epoch == same]
    whole = sum(end - begin for begin, end in lengths)
    waited = sum(_waited(begin, end) for begin, end in lengths)
    if callbacks:
        _shares.append((waited / len(lengths), waited / whole))
    return whole / len(lengths) * 1e3


def _waited(begin: float, end: float) -> float:
    """How long calls took that began between two times; one within another counts once."""
    waited, until = 0.0, begin
    for began, ended in sorted(_calls):
        if begin <= began < end and ended > until:
            waited += ended - max(began, until)
            until = ended
    return waited


def measure(server: str, rounds: int, model: str, **options: int) -> Measurements:
    """Time all variants.

    Args:
        server: The address of an MLflow server.
        rounds: Repetitions.
        model: The network.
        **options: See ``step``.

    Returns:
        Milliseconds per step by variant.
    """
    off = {"tensorboard": False, "csv": False}
    variants: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
        NOTHING: (off, []),
        FILES: ({}, []),
        EVERYTHING: ({"mlflow": {"tracking_uri": server}}, recorders()),
    }
    measures = {name: partial(step, *variant, model, options) for name, variant in variants.items()}
    return interleave(measures, rounds)


def main() -> int:
    options = parse_options("Cost of all that records a training.", steps=101, rounds=5, batch_size=16, side=128)
    set_up_display(quiet=True)
    rounds = options.__dict__.pop("rounds")
    with tempfile.TemporaryDirectory() as folder, mlflow_server(folder) as server:
        values = measure(server.uri, rounds, "resnet18", **vars(options))
    title = f"Training step of ResNet-18, batch {options.batch_size}, {options.side} px, {CLASSES} classes"
    missed = report(title, "ms", values, NOTHING, {EVERYTHING: Target(1.02)})
    seconds, share = map(statistics.median, zip(*_shares, strict=True))
    print(
        f"the training waits {seconds * 1e6:.0f} µs per step for them, {share:.2%} of it (medians of {rounds} rounds)"
    )
    return missed


if __name__ == "__main__":
    sys.exit(main())
