"""Checks of the trackers before a training."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec

from fsspec import get_filesystem_class
from fsspec.utils import get_protocol

from cuelight.config.tracker import MLflowConfig, TensorBoardConfig, TrackerConfig
from cuelight.errors import Problem
from cuelight.tracking.loggers.build import MLFLOW_URI_VARIABLE
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

_MLFLOW_SCHEMES = frozenset({"file", "http", "https", "databricks", "databricks-uc", "uc"})
_SERVER_WITHOUT_PROTOCOL = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+):\d+(/|$)|localhost(/|$)")


def tracker_problems(config: TrackerConfig) -> Iterator[Problem]:
    """Yield what is missing for the enabled trackers."""
    for key, name in (("mlflow", "MLflow"), ("wandb", "W&B")):
        if getattr(config, key) is not False and not find_spec(key):
            message = f'{name} is not installed. Install it with: pip install "cuelight[{key}]"'
            yield Problem(message, f"tracker.{key}", on_this_machine=True)
    given = isinstance(config.mlflow, MLflowConfig) and config.mlflow.tracking_uri
    uri = str(given or os.environ.get(MLFLOW_URI_VARIABLE) or "")
    if config.mlflow is not False and find_spec("mlflow"):
        yield from _unusable_store(uri)
    if config.mlflow is not False and not uri:
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


def _unusable_store(uri: str) -> Iterator[Problem]:
    """Find an address that no installed package of MLflow or SQLAlchemy can open, without opening it."""
    scheme, separator, _ = uri.partition("://")
    if (
        not separator
        or scheme in _MLFLOW_SCHEMES
        or scheme in {plug_in.name for plug_in in entry_points(group="mlflow.tracking_store")}
    ):
        return
    try:
        from sqlalchemy.engine import make_url  # noqa: PLC0415 - a dependency of MLflow

        make_url(uri).get_dialect().import_dbapi()
    except Exception as error:  # noqa: BLE001 - what the import of a package of anyone's raises
        expected = "Expected a server such as http://localhost:5000, a folder, or an installed kind of database."
        message = f"{scheme}:// cannot be used: {reason_of(error).rstrip('.')}. {expected}"
        yield Problem(message, "tracker.mlflow", on_this_machine=True)


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
