"""Predictions as files: a table, JSON, pictures and masks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from cuelight.errors import CuelightError
from cuelight.prediction.predicting import ImagePrediction
from cuelight.utils.files import atomic_write, write_text

PictureFormat = Literal["png", "jpg"]

_PICTURES = "pictures"
_MASKS = "masks"
_QUALITY = 92


def write_predictions(
    predictions: Iterable[ImagePrediction], folder: Path, *, pictures: PictureFormat | None = "png"
) -> int:
    """Write ``predictions.csv``, ``predictions.json`` and, in ``pictures``, one picture for each image.

    Where pixels have classes, their masks are written to ``masks``: PNG files of the size of the image, whose values
    are the indices of the classes.

    Args:
        predictions: What :func:`predict` gives; only one batch of images is in memory at a time.
        folder: Where the files go; it is made if it is missing.
        pictures: Format of the pictures; none are drawn if ``None``.

    Returns:
        How many images there were.

    Raises:
        CuelightError: The files cannot be written.
    """
    rows: list[dict[str, Any]] = []
    details: list[dict[str, Any]] = []
    names = UnusedNames()
    try:
        for prediction in predictions:
            where: dict[str, Any] = {"path": str(prediction.path)}
            drawn = {}
            name = names.take(prediction.path.stem)
            if (mask := prediction.mask()) is not None:
                drawn["mask"] = f"{_MASKS}/{name}.png"
                _save(mask, folder / drawn["mask"])
            if pictures is not None:
                drawn["picture"] = f"{_PICTURES}/{name}.{pictures}"
                _save(prediction.picture(), folder / drawn["picture"])
            rows.append(where | prediction.result.row() | drawn)
            details.append(where | prediction.result.details() | drawn)
        write_text(folder / "predictions.csv", _as_utf8(_csv(rows)))
        write_text(folder / "predictions.json", _as_utf8(json.dumps(details, indent=2, ensure_ascii=False) + "\n"))
    except OSError as error:
        raise CuelightError(
            f"{folder}: the predictions cannot be written: {error.strerror or error}. Free some space, or choose a "
            "folder that you may write to."
        ) from error
    return len(rows)


class UnusedNames:
    """Gives each file a name of its own, also where upper and lower case are the same."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._counts: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Take a name.

        Args:
            name: What is wanted.

        Returns:
            It, with a number behind it if it is taken.
        """
        unused = name
        while unused.lower() in self._used:
            self._counts[name] = self._counts.get(name, 1) + 1
            unused = f"{name}-{self._counts[name]}"
        self._used.add(unused.lower())
        return unused


def _save(picture: Image.Image, path: Path) -> None:
    with atomic_write(path) as file:
        if path.suffix == ".jpg":
            picture.save(file, "JPEG", quality=_QUALITY)
        else:
            picture.save(file, "PNG")


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["path"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _as_utf8(text: str) -> str:
    """The text with a mark in place of what is no UTF-8 in the name of a file."""
    return text.encode(errors="replace").decode()
