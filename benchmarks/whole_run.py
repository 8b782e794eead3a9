"""A whole run takes two fifths of the time that it takes in luxonis-train, from the same file.

Both train the predefined `ClassificationModel` on the same generated class folders, with nine callbacks, test it,
export it and archive it, as commands in processes of their own with the same number of threads. `cuelight convert`
makes the file of Cuelight from that of luxonis-train, and nothing is changed by hand. luxonis-train needs other
versions than Cuelight, so it is left out unless it is told which Python has it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common import Measurements, Target, interleave, report
from train_end import BATCH_SIZE, HOW_TO_GET_THE_PEER, IMAGES, PYTHON_VARIABLE, SIDE, WORKERS, in_process, write_images

OWN, PEER = "Cuelight", "luxonis-train"
TARGET = Target(0.4)
EPOCHS = 2
CALLBACKS = (
    {"name": "EMACallback", "params": {"decay": 0.99}},
    {"name": "GradCamCallback", "params": {"target_layer": -10}},
    {"name": "EarlyStopping", "params": {"monitor": "val/loss", "patience": 3}},
    {"name": "LearningRateMonitor"},
    {"name": "MetadataLogger", "params": {"hyperparams": ["trainer.epochs", "trainer.batch_size"]}},
    {"name": "UploadCheckpoint"},
    {"name": "TestOnTrainEnd"},
    {"name": "ExportOnTrainEnd"},
    {"name": "ArchiveOnTrainEnd"},
)


def write_file(folder: Path, images: Path, epochs: int = EPOCHS) -> Path:
    """Write the configuration of luxonis-train; returns the file."""
    config = {
        "model": {
            "name": "classifier",
            "predefined_model": {"name": "ClassificationModel", "params": {"variant": "light"}},
        },
        "loader": {"params": {"dataset_dir": str(images), "dataset_name": "images", "dataset_type": "clsdir"}},
        "tracker": {"save_directory": "output"},
        "trainer": {
            "accelerator": "cpu",
            "epochs": epochs,
            "batch_size": BATCH_SIZE,
            "n_workers": WORKERS,
            "validation_interval": 1,
            "preprocessing": {"train_image_size": [SIDE, SIDE]},
            "smart_cfg_auto_populate": False,  # or it exports and archives a second time
            "callbacks": CALLBACKS,
        },
    }
    file = folder / "theirs.yaml"
    file.write_text(json.dumps(config))
    return file


def convert(theirs: Path) -> Path:
    """Convert the configuration; returns the new file."""
    ours = theirs.with_name("ours.yaml")
    in_process([*_cuelight(), "convert", theirs, "--file", ours], str(theirs.parent))
    return ours


def own_run(config: Path) -> float:
    """Run Cuelight; returns the seconds."""
    return _seconds([*_cuelight(), "train", config])


def luxonis_run(python: Path, config: Path) -> float:
    """Run luxonis-train; returns the seconds. It reads the images into a dataset of its own first."""
    options = ["LUXONISML_BASE_PATH=.", "LUXONIS_TELEMETRY_ENABLED=0"]
    return _seconds(["env", *options, python, "-m", "luxonis_train", "train", "--config", config])


def measure(python: Path, rounds: int) -> Measurements:
    """Run both in turns; returns the seconds of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs = write_file(folder, write_images(folder / "images", IMAGES))
        runs = {PEER: partial(luxonis_run, python, theirs), OWN: partial(own_run, convert(theirs))}
        return interleave(runs, rounds)


def _cuelight() -> list[str]:
    return [sys.executable, "-m", "cuelight"]


def _seconds(command: Sequence[object]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        in_process(command, folder)
        return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description="Time of a whole run.")
    given = os.environ.get(PYTHON_VARIABLE)
    parser.add_argument("--luxonis-python", type=Path, default=given, help="a Python that has luxonis-train")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    if options.luxonis_python is None:
        print(HOW_TO_GET_THE_PEER)
        return 0
    # absolute, but not resolved: the Python of a virtual environment is a link
    values = measure(options.luxonis_python.absolute(), options.rounds)
    title = f"ResNet-18, {sum(IMAGES.values())} images of {SIDE} px, {EPOCHS} epochs, {len(CALLBACKS)} callbacks"
    return report(title, "s", values, PEER, {OWN: TARGET})


if __name__ == "__main__":
    sys.exit(main())
