"""An upload of the best checkpoint does not stop the training.

A training whose checkpoint has 100 MB runs against an MLflow server that is reached through a proxy at 10 MB/s. In its
middle a validation saves a checkpoint, and the training goes on while it is uploaded. The stall is what the training
waits for there, from the end of one training step to the beginning of the next, above a training that uploads nothing.
The peer is Lightning's ``MLFlowLogger(log_model="all")``, which uploads in the training.

Beside that, for information: the slowest training step during the upload, and all that the steps during the upload
took longer than without one, together. The thread that uploads shares Python's lock and the cores with the training.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from common import parse_options
from cuelight.callbacks import UploadCheckpoint
from cuelight.weights.checkpoint_io import AtomicCheckpointIO

NOTHING, OWN, PEER = "no upload", "Cuelight", 'MLFlowLogger(log_model="all")'
LIMIT_MS = 20.0
PEERS = Path(__file__).with_name("peers")


class Heavy(pl.LightningModule):
    """A network with steps of some milliseconds, and a checkpoint of the size that is asked for."""

    def __init__(self, megabytes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[nn.Linear(512, 512) for _ in range(8)])
        self.register_buffer("ballast", torch.zeros(megabytes * 250_000))

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Any loss."""
        return self.layers(batch[0]).square().mean()

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        """Log a loss that grows, so that the first one is the best."""
        self.log("val/loss", float(self.global_step))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), 1e-3)


@dataclass
class Timing:
    """Milliseconds of a training.

    Args:
        gap: From the end of the step before the checkpoint to the beginning of the one after it.
        before: From the beginning of each step to that of the next one, before the checkpoint.
        after: The same after it, without validations.
    """

    gap: float
    before: list[float]
    after: list[float]

    @property
    def usual(self) -> float:
        """The median before the checkpoint."""
        return statistics.median(self.before)

    @property
    def slowest(self) -> float:
        """The slowest step after it."""
        return max(self.after)

    def extra(self, seconds: float) -> float:
        """What all steps in some time after the checkpoint took more than usual, together."""
        passed, extra = 0.0, 0.0
        for step in self.after:
            if passed > seconds * 1000:
                break
            passed += step
            extra += step - self.usual
        return extra


class Clock(pl.Callback):
    """Notes when each training step begins and ends."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.ended: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        """Note the moment."""
        self.began.append(time.perf_counter())

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the moment."""
        self.ended.append(time.perf_counter())

    def timing(self, interval: int) -> Timing:
        """What was noted, with a validation after each interval, of which the first one saves a checkpoint."""
        whole = [1000 * (later - earlier) for earlier, later in pairwise(self.began)]
        steps = [(number, step) for number, step in enumerate(whole, start=1) if number % interval]
        return Timing(
            1000 * (self.began[interval] - self.ended[interval - 1]),
            [step for number, step in steps if number < interval],
            [step for number, step in steps if number > interval],
        )


@contextmanager
def slow_server(folder: Path, speed: int) -> Iterator[str]:
    """An MLflow server that is reached through a proxy at so many bytes per second; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/store.db", "--artifacts-destination", f"{folder}/artifacts"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*command, *stores], stdout=log, stderr=log, start_new_session=True)
    proxy = subprocess.Popen(
        [sys.executable, PEERS / "throttled_proxy.py", str(port), str(speed)], stdout=subprocess.PIPE, text=True
    )
    try:
        while not answers(port):
            if server.poll() is not None:
                raise RuntimeError((folder / "log").read_text())
            time.sleep(0.2)
        yield f"http://127.0.0.1:{int(proxy.stdout.readline())}"
    finally:
        proxy.kill()
        os.killpg(server.pid, signal.SIGKILL)  # with its worker
        proxy.wait()
        server.wait()


def answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
        return True
    return False


def train(kind: str, uri: str, megabytes: int, steps: int) -> Timing:
    """Train, with a checkpoint after a third of the steps.

    Args:
        kind: What uploads.
        uri: Of the MLflow server.
        megabytes: The size of the checkpoint.
        steps: How many training steps there are.

    Returns:
        What it took.
    """
    clock, third = Clock(), steps // 3
    logger = MLFlowLogger("upload", tracking_uri=uri, log_model="all" if kind == PEER else False)
    uploads = [UploadCheckpoint()] if kind == OWN else []
    rows = DataLoader(TensorDataset(torch.randn(64 * steps, 512)), batch_size=64)
    few = DataLoader(TensorDataset(torch.randn(64, 512)), batch_size=64)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=1, logger=logger, val_check_interval=third, num_sanity_val_steps=0,
            callbacks=[ModelCheckpoint(monitor="val/loss", filename="best"), *uploads, clock],
            plugins=[AtomicCheckpointIO()], default_root_dir=folder, log_every_n_steps=10**9,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Heavy(megabytes), rows, few)
        if kind == OWN:
            assert uploads[0].outcome.status == "ok", uploads[0].outcome
    return clock.timing(third)


def main() -> int:
    options = parse_options(__doc__, rounds=3, megabytes=100, megabytes_per_second=10, steps=1500)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    taken: dict[str, list[Timing]] = {NOTHING: [], OWN: [], PEER: []}
    with (
        tempfile.TemporaryDirectory() as folder,
        slow_server(Path(folder), options.megabytes_per_second * 10**6) as uri,
    ):
        for kind in [NOTHING, *list(taken) * options.rounds]:  # the first one warms up
            taken[kind].append(train(kind, uri, options.megabytes, options.steps))
    taken[NOTHING].pop(0)
    seconds = options.megabytes / options.megabytes_per_second
    return show(taken, seconds)


def show(taken: dict[str, list[Timing]], seconds: float) -> int:
    """Print the medians over the rounds; returns the exit code."""
    table = Table("", "stall, ms", "slowest step, ms", "usual step, ms", "extra over the upload, ms", title="Upload")
    stalls = {}
    for kind, timings in taken.items():
        stall = [one.gap - none.gap for one, none in zip(timings, taken[NOTHING], strict=True)]
        stalls[kind] = statistics.median(stall)
        figures = [stall, *zip(*((one.slowest, one.usual, one.extra(seconds)) for one in timings), strict=True)]
        table.add_row(
            kind, *(f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})" for each in figures)
        )
    Console(width=140).print(table)
    met = stalls[OWN] < LIMIT_MS
    print(
        f"Stall at most {LIMIT_MS:g} ms: {'met' if met else 'MISSED'}; {stalls[OWN] / stalls[PEER]:.5f} of the peer's."
    )
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
