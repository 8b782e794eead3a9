"""Load parts from a user's Python file."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import traceback
from pathlib import Path

from cuelight.errors import CuelightError, UsageError

_log = logging.getLogger(__name__)


def load_source(path: Path | str) -> None:
    """Run a Python file that registers parts, as ``--source`` does. Loading it again has no effect.

    The file is imported as a module of its own name and its folder is appended to ``sys.path``, so that it can import
    files beside it, and worker processes find its classes.

    Args:
        path: A Python file.

    Raises:
        CuelightError: The file does not exist, its name hides an installed module, or it fails; the message has the
            line.
    """
    file = Path(path).resolve()
    if not file.is_file() or file.suffix != ".py" or "." in file.stem:
        found = "there is no such file" if not file.exists() else "this is not a Python file (name.py)"
        raise UsageError(f"{path}: {found}; --source expects a Python file that registers classes")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
        importlib.invalidate_caches()
    loaded = sys.modules.get(file.stem)
    origin = getattr(loaded, "__file__", None) if loaded else _origin(file.stem)
    if origin is None or Path(origin).resolve() != file:
        raise CuelightError(
            f'{path}: there is already a module named "{file.stem}" ({origin or "a part of Python"}); rename the file'
        )
    try:
        importlib.import_module(file.stem)
    except Exception as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise CuelightError(f"{path}:{_line(error, file)}: {type(error).__name__}: {reason}") from error
    _log.info("loaded parts from %s", path)


def _origin(name: str) -> str | None:
    specification = importlib.util.find_spec(name)
    return specification.origin if specification else None


def _line(error: Exception, file: Path) -> int:
    """Return the last line of the file that ran."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or 1
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return (frames[-1].lineno or 1) if frames else 1
