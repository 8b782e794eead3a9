"""Trains with luxonis-train for one epoch, and prints the seconds of each step after the training as JSON.

Run by a Python that has luxonis-train: luxonis_train_end.py IMAGES SIZE BATCH_SIZE WORKERS. Everything is written to
the working directory.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ |= {"LUXONISML_BASE_PATH": str(Path.cwd()), "LUXONIS_TELEMETRY_ENABLED": "0"}

from luxonis_train import LuxonisModel
from luxonis_train.callbacks import ArchiveOnTrainEnd, ExportOnTrainEnd, TestOnTrainEnd

STEPS = (TestOnTrainEnd, ExportOnTrainEnd, ArchiveOnTrainEnd)


def timed(step, seconds):
    """Make a step write down how long it takes."""
    work = step.on_train_end

    def on_train_end(*args):
        began = time.monotonic()
        work(*args)
        seconds[step.__name__] = time.monotonic() - began

    step.on_train_end = on_train_end


def main():
    """Train."""
    images, size, batch_size, workers = sys.argv[1], *map(int, sys.argv[2:])
    seconds = {}
    for step in STEPS:
        timed(step, seconds)
    head = {"name": "ClassificationHead", "losses": [{"name": "CrossEntropyLoss"}], "metrics": [{"name": "Accuracy"}]}
    config = {
        "model": {"name": "classifier", "nodes": [{"name": "ResNet", "variant": "18"}, head | {"inputs": ["ResNet"]}]},
        "loader": {"params": {"dataset_dir": images, "dataset_name": "images"}},
        "tracker": {"save_directory": "runs"},
        "trainer": {
            "accelerator": "cpu",
            "epochs": 1,
            "batch_size": batch_size,
            "n_workers": workers,
            "validation_interval": 1,
            "preprocessing": {"train_image_size": [size, size]},
            "smart_cfg_auto_populate": False,  # or it exports and archives a second time
            "callbacks": [{"name": step.__name__} for step in STEPS],
        },
    }
    LuxonisModel(config).train()
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
