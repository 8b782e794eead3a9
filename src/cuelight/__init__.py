"""Cuelight: one YAML file in, a trained, tested and documented vision model out."""

from typing import TYPE_CHECKING, Any

from cuelight.version import __version__

if TYPE_CHECKING:
    from cuelight.config import Config as Config
    from cuelight.config import load_config as load_config
    from cuelight.runs.result import Result as Result
    from cuelight.runs.run import Run as Run

__all__ = ["Config", "Result", "Run", "__version__", "load_config"]

_HOMES = {
    "Config": "cuelight.config",
    "load_config": "cuelight.config",
    "Result": "cuelight.runs.result",
    "Run": "cuelight.runs.run",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then, so that ``cuelight --help`` needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOMES[name]), name)
