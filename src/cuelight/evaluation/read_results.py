"""Results that an evaluation has written; neither torch nor Lightning is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cuelight.errors import CuelightError
from cuelight.utils.files import read_json


def read_results(path: Path) -> dict[str, Any]:
    """Read a results file.

    Returns:
        The results by split.

    Raises:
        CuelightError: The file is damaged.
    """
    remedy = "Delete it and test again."
    results = read_json(path, remedy) or {}
    for view, entry in results.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("weights_fingerprint"), str):
            raise CuelightError(f"{path}: this file is damaged: {view} has no weights_fingerprint. {remedy}")
    return results
