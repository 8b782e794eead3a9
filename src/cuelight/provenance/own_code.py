"""The folder of the user's own code."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from pathlib import Path

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_CUELIGHT = Path(__file__).resolve().parent.parent
_PYTHON = Path(inspect.__file__).parent


def own_folder(objects: Iterable[object]) -> Path:
    """Return the folder of the first object whose class is in a git repository of the user, or the working directory.

    Installed packages and Cuelight do not count.
    """
    modules = [sys.modules.get(type(one).__module__) for one in objects]
    files = [Path(file).resolve() for module in modules if (file := getattr(module, "__file__", None))]
    return next((file.parent for file in files if _is_own(file)), Path.cwd())


def _is_own(file: Path) -> bool:
    installed = _INSTALLED.intersection(file.parts) or file.is_relative_to(_CUELIGHT) or file.is_relative_to(_PYTHON)
    return not installed and any((folder / ".git").exists() for folder in file.parents)
