"""Commands answer at once: none waits for a library that it does not need.

A file with mistakes, the help of a callback, and `upload` and `finish` with nothing to do are compared with `python -c
pass`; `predict` with an ONNX file, and `verify`, with `python -c "import torch"`. Each is a process of its own, as on a
command line.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from common import Measurements, Target, interleave, parse_options, report

NOTHING, TORCH = "python -c pass", 'python -c "import torch"'
MISTAKES = """\
model: {name: ClassificationModel, params: {backbone: resnet81, drop_rate: 2}}
data: {name: Digit}
trainer: {epoch: 3, callbacks: [{name: EMACallback, params: {decay: 1.5}}]}
"""
TRAINED = """\
name: digits
model: {name: ClassificationModel, params: {backbone: resnet10t}}
data: {name: Digits}
trainer: {max_steps: 3, batch_size: 128, callbacks: [{name: TestOnTrainEnd}, {name: ExportOnTrainEnd}]}
"""
TARGETS = {
    NOTHING: {
        "cuelight --help": 5.0,
        "a file with five mistakes": 45.0,
        "cuelight callbacks Timer": 40.0,
        "cuelight upload, nothing to do": 40.0,
        "cuelight finish, nothing to do": 40.0,
    },
    TORCH: {"cuelight predict model.onnx": 1.5, "cuelight verify": 2.0},
}
CUELIGHT = str(Path(sys.executable).with_name("cuelight"))


def prepare(folder: Path) -> dict[str, list[str]]:
    """Train a model for three steps; return the commands by what they are."""
    (folder / "mistakes.yaml").write_text(MISTAKES)
    (folder / "digits.yaml").write_text(TRAINED)
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / "zero.png")
    run_in(folder, [CUELIGHT, "train", "digits.yaml", "--quiet"])
    [run] = (folder / "runs" / "digits").iterdir()
    return {
        NOTHING: [sys.executable, "-c", "pass"],
        TORCH: [sys.executable, "-c", "import torch"],
        "cuelight --help": [CUELIGHT, "--help"],
        "a file with five mistakes": [CUELIGHT, "train", "mistakes.yaml"],
        "cuelight callbacks Timer": [CUELIGHT, "callbacks", "Timer"],
        "cuelight upload, nothing to do": [CUELIGHT, "upload", str(run)],
        "cuelight finish, nothing to do": [CUELIGHT, "finish", str(run)],
        "cuelight predict model.onnx": [CUELIGHT, "predict", str(next(run.glob("export/*.onnx"))), "zero.png"],
        "cuelight verify": [CUELIGHT, "verify", str(run)],
    }


def run_in(folder: Path, command: Sequence[str]) -> float:
    """Run a command that may end with 0 or 2; return its milliseconds."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    took = (time.perf_counter() - began) * 1e3
    if done.returncode not in (0, 2):
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return took


def measure(folder: Path, rounds: int) -> Measurements:
    """Time all commands, after one call of each to warm the file cache up."""
    measures = {name: partial(run_in, folder, command) for name, command in prepare(folder).items()}
    for warm_up in measures.values():
        warm_up()
    return interleave(measures, rounds)


def compare(values: Mapping[str, list[float]]) -> bool:
    """Print both tables; return whether a target was missed."""
    missed = False
    for peer, targets in TARGETS.items():
        chosen = {name: values[name] for name in (peer, *targets)}
        limits = {name: Target(limit) for name, limit in targets.items()}
        missed |= bool(report(f"Time to the end of a command, compared with {peer}", "ms", chosen, peer, limits))
    return missed


def main() -> int:
    options = parse_options(__doc__, rounds=7)
    with tempfile.TemporaryDirectory() as folder:
        return int(compare(measure(Path(folder), options.rounds)))


if __name__ == "__main__":
    sys.exit(main())
