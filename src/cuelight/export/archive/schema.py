"""The schema of luxonis-ml, which is an optional dependency."""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ValidationError

from cuelight.errors import ArchiveError

_NO_LOGGING_SETUP = "LUXONISML_DISABLE_SETUP_LOGGING"


def archive_problem() -> str | None:
    """Return why no archive can be written here, and what to do; ``None`` if luxonis-ml is installed."""
    if importlib.util.find_spec("luxonis_ml") is not None:
        return None
    return 'an NN Archive needs luxonis-ml, which is not installed. Run: pip install "cuelight[archive]"'


def validate(config: Any) -> tuple[BaseModel | None, list[str]]:
    """Return luxonis-ml's model of a ``config.json``, or ``None`` and what is wrong with it."""
    schema: type[BaseModel] = _import("luxonis_ml.nn_archive.config").Config
    try:
        return schema.model_validate(config), []
    except ValidationError as error:
        return None, [f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()]


def _import(module: str) -> ModuleType:
    """Import a module of luxonis-ml, without the handlers that it would set for warnings and uncaught exceptions."""
    if problem := archive_problem():
        raise ArchiveError(f"{problem[0].upper()}{problem[1:]}")
    before = os.environ.get(_NO_LOGGING_SETUP)
    os.environ[_NO_LOGGING_SETUP] = "true"
    try:
        return importlib.import_module(module)
    finally:
        if before is None:
            del os.environ[_NO_LOGGING_SETUP]
        else:
            os.environ[_NO_LOGGING_SETUP] = before
