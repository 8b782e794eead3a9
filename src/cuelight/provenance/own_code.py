"""Which folder holds the code of the user."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_CUELIGHT = Path(__file__).resolve().parent.parent
_PYTHON = Path(inspect.__file__).parent


def own_folder(objects: Iterable[object]) -> Path:
    """Find the folder whose repository is the user's own.

    Args:
        objects: What the user's code may have defined, such as the model, its data and the callbacks; the first one
            that is in a repository decides.

    Returns:
        The folder of the file that its class is in; the working directory if all classes are of installed packages, of
        Cuelight, or in no repository.
    """
    return next((file.parent for file in _files(objects) if _is_own(file)), Path.cwd())


def _files(objects: Iterable[object]) -> Iterator[Path]:
    for one in objects:
        module = sys.modules.get(type(one).__module__)
        file = getattr(module, "__file__", None)
        if file:
            yield Path(file).resolve()


def _is_own(file: Path) -> bool:
    installed = _INSTALLED.intersection(file.parts) or file.is_relative_to(_CUELIGHT) or file.is_relative_to(_PYTHON)
    return not installed and any((folder / ".git").exists() for folder in file.parents)
