"""Paths as a person can type them."""

from __future__ import annotations

import os
from pathlib import Path


def typed(path: Path) -> str:
    """Write a path as short as it can be typed.

    Args:
        path: Any path.

    Returns:
        The path relative to the working directory if it is inside, the absolute one otherwise.
    """
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith("..") else relative
