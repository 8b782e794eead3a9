"""The results of ``cuelight test``: those of the run, and those of other data, weights or settings."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cuelight.config import Config
from cuelight.config.loading import read_document
from cuelight.config.schema import TrainerConfig
from cuelight.evaluation.results import TEST_FOLDER, Measurement, write_results
from cuelight.utils.files import short_path
from cuelight.utils.run_directory import CONFIG_FILE

logger = logging.getLogger(__name__)


def write_measurement(directory: Path, config: Config, found: Measurement, *, is_best: bool) -> list[Path]:
    """Write the results of a measurement, and return the files if they are those of the run.

    Others get a folder of their own, so that they never replace the results of the run. ``is_best`` says whether the
    weights are those that the run tests by itself.
    """
    saved = read_document(directory / CONFIG_FILE).tree
    own, now = (_what_is_measured(tree) for tree in (saved, config.to_dict()))
    if is_best and own == now:
        return write_results(directory, found)
    key = hashlib.sha256(f"{now} {found.fingerprint}".encode()).hexdigest()[:8]
    files = write_results(directory, found, f"{TEST_FOLDER}/other-{key}")
    logger.info("The results of the run itself stay: these are in %s.", short_path(files[0]))
    if found.data.get("split_off"):
        logger.warning(
            "%s: %d images were measured, which were split off the others, because there is no folder for this split.",
            found.data["path"],
            found.data["images"],
        )
    return []


def _what_is_measured(tree: Mapping[str, Any]) -> str:
    precision = (tree.get("trainer") or {}).get("precision", TrainerConfig().precision)
    parts = [{key: (tree.get(kind) or {}).get(key) for key in ("name", "params")} for kind in ("model", "data")]
    return json.dumps([parts, precision], sort_keys=True, default=str)
