"""Trains luxonis-train's detector from scratch; prints its seconds and the metrics of the test split as JSON.

Run by a Python that has luxonis-train: luxonis_detection.py IMAGES SIZE BATCH_SIZE EPOCHS, with a folder in the layout
of COCO by Roboflow. Everything is written to the working directory.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ |= {"LUXONISML_BASE_PATH": str(Path.cwd()), "LUXONIS_TELEMETRY_ENABLED": "0"}

from luxonis_train import LuxonisModel


def main():
    """Train and test."""
    images, size, batch_size, epochs = sys.argv[1], *map(int, sys.argv[2:])
    from_scratch = {"backbone_params": {"weights": None}, "neck_params": {"weights": None}}
    config = {
        "model": {
            "name": "detector",
            "predefined_model": {"name": "DetectionModel", "params": {"variant": "light", **from_scratch}},
        },
        "loader": {"params": {"dataset_dir": images, "dataset_name": "scenes"}},
        "tracker": {"save_directory": "runs"},
        "trainer": {
            "accelerator": "cpu",
            "epochs": epochs,
            "batch_size": batch_size,
            "n_workers": 0,
            "validation_interval": epochs,
            "preprocessing": {"train_image_size": [size, size]},
        },
    }
    model = LuxonisModel(config)
    began = time.monotonic()
    model.train()
    seconds = time.monotonic() - began
    metrics = {name: float(value) for name, value in model.test(view="test").items()}
    print(json.dumps({"seconds": seconds, "metrics": metrics}))


if __name__ == "__main__":
    main()
