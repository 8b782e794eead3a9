"""Cuelight: one YAML file in, a trained, tested and documented vision model out."""

from typing import TYPE_CHECKING

from cuelight.utils.lazy_imports import lazy_imports
from cuelight.version import __version__

if TYPE_CHECKING:
    from cuelight.config import Config as Config
    from cuelight.config import load_config as load_config
    from cuelight.runs.result import Result as Result
    from cuelight.runs.run import Run as Run
else:
    # Imported when used: `cuelight --help` needs no torch.
    _LOCATIONS = {
        "Config": "cuelight.config:Config",
        "load_config": "cuelight.config:load_config",
        "Result": "cuelight.runs.result:Result",
        "Run": "cuelight.runs.run:Run",
    }
    __getattr__, __dir__ = lazy_imports(__name__, _LOCATIONS)

__all__ = ["Config", "Result", "Run", "__version__", "load_config"]
