"""Cuelight: one YAML file in, a trained, tested and documented vision model out."""

from cuelight.version import __version__

__all__ = ["__version__"]
