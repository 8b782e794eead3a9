"""A tiny experiment on real digits, and how to compare what came out of two of them."""

import copy
import csv
import sys
from pathlib import Path

import numpy as np
import yaml

from cuelight.data.datasets.digits import load_digits
from cuelight.registry import load_source
from cuelight.weights.reading import load_checkpoint
from support.comparing import same

OWN_PARTS = Path(__file__).with_name("own_parts.py")
IMAGES = 80  # half of them for training: five batches of eight


def own_parts():
    """The parts of one's own, loaded as ``--source`` loads them."""
    load_source(OWN_PARTS)
    return sys.modules["own_parts"]


def write_digits(path):
    """Write few digits, as many of each, into a file."""
    images, labels = load_digits()
    order = np.random.default_rng(0).permutation(len(labels))
    chosen = np.concatenate([order[labels[order] == digit][: IMAGES // 10] for digit in range(10)])
    chosen = np.random.default_rng(1).permutation(chosen)
    np.savez(path, images=images[chosen], labels=labels[chosen])
    return path


def experiment(digits, **trainer):
    """A configuration of three epochs of five steps."""
    settings = {
        "epochs": 3,
        "batch_size": 8,
        "accelerator": "cpu",
        "devices": 1,
        "seed": 3,
        "log_every_n_steps": 1,
        "optimizer": {"name": "Adam", "params": {"lr": 0.01}},
        "scheduler": {"name": "OneCycleLR", "interval": "step", "params": {"max_lr": 0.02}},
    }
    return {
        "name": "tiny",
        "model": {"name": "TinyNet"},
        "data": {"name": "FewDigits", "params": {"file": str(digits)}},
        "trainer": settings | copy.deepcopy(trainer),
    }


def write_yaml(path, tree):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def only_run(folder):
    """The one run directory below a folder of runs."""
    (directory,) = (path.parent for path in Path(folder).glob("*/*/config.yaml"))
    return directory


def last(directory):
    return load_checkpoint(directory / "checkpoints" / "last.ckpt")


def same_training(one, other):
    """Whether two run directories hold the same training: weights, optimizer, schedule, place, best scores."""
    first, second = last(one), last(other)
    keys = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch", "loops", "callback_metrics")
    return [key for key in keys if not same(first[key], second[key])] == []


def metric_rows(directory):
    with (directory / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))
