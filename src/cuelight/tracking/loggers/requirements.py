"""Checks of the trackers before a training."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec

from fsspec import get_filesystem_class
from fsspec.utils import get_protocol

from cuelight.config.tracker import MLflowConfig, TensorBoardConfig, TrackerConfig
from cuelight.errors import Problem
from cuelight.tracking.loggers.build import MLFLOW_URI_VARIABLE

logger = logging.getLogger(__name__)

_SERVER_WITHOUT_PROTOCOL = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+):\d+(/|$)|localhost(/|$)")


def tracker_problems(config: TrackerConfig) -> Iterator[Problem]:
    """Yield what is missing for the enabled trackers."""
    for key, name in (("mlflow", "MLflow"), ("wandb", "W&B")):
        if getattr(config, key) is not False and not find_spec(key):
            message = f'{name} is not installed. Install it with: pip install "cuelight[{key}]"'
            yield Problem(message, f"tracker.{key}", on_this_machine=True)
    given = isinstance(config.mlflow, MLflowConfig) and config.mlflow.tracking_uri
    if config.mlflow is not False and not given and not os.environ.get(MLFLOW_URI_VARIABLE):
        message = (
            "no MLflow server is set. Expected tracking_uri, such as http://localhost:5000, or the environment "
            f"variable {MLFLOW_URI_VARIABLE}."
        )
        yield Problem(message, "tracker.mlflow", on_this_machine=True)
    if given and _SERVER_WITHOUT_PROTOCOL.match(given):
        message = f'"{given}" would be a local folder. Write http://{given} for a server, or ./{given} for a folder.'
        yield Problem(message, "tracker.mlflow.tracking_uri")
    if isinstance(config.tensorboard, TensorBoardConfig) and config.tensorboard.dir:
        yield from _unusable_folder(config.tensorboard.dir)


def usable_trackers(config: TrackerConfig) -> TrackerConfig:
    """Return the section without the trackers that cannot be used on this machine, and log a warning for each."""
    for problem in list(tracker_problems(config)):
        name = problem.path.split(".")[1]
        logger.warning("%s: %s Nothing is logged there.", problem.path, problem.message)
        # TensorBoard without `dir` writes to the run directory, which always works.
        config = config.model_copy(update={name: name == "tensorboard"})
    return config


def _unusable_folder(folder: str) -> Iterator[Problem]:
    protocol = get_protocol(folder)
    if "://" in folder and not folder.split("://", 1)[1].strip("/"):
        message = f"{folder} has no folder name. Expected a URL such as {protocol}://bucket/logs."
        yield Problem(message, "tracker.tensorboard.dir")
    try:
        get_filesystem_class(protocol)
    except (ImportError, ValueError) as error:
        extra = ' Or: pip install "cuelight[s3]"' if protocol == "s3" else ""
        message = f"{protocol}:// cannot be used: {error}.{extra}"
        yield Problem(message, "tracker.tensorboard.dir", on_this_machine=True)
