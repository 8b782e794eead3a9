"""Predictions as files: CSV, JSON, pictures and masks."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from cuelight.errors import CuelightError
from cuelight.prediction.predicting import HasCocoResults, ImagePrediction
from cuelight.utils.files import atomic_write, write_text

PictureFormat = Literal["png", "jpg"]

PICTURES = "pictures"
logger = logging.getLogger(__name__)

_MASKS = "masks"
_QUALITY = 92


def write_predictions(
    predictions: Iterable[ImagePrediction],
    folder: Path,
    *,
    pictures: PictureFormat | None = "png",
    coco: bool = False,
) -> int:
    """Write ``predictions.csv``, ``predictions.json`` and, in ``pictures``, one picture for each image.

    Segmentation masks are written to ``masks``: PNG files of the size of the image, whose values are class indices.

    Args:
        predictions: The result of :func:`predict`; only one batch of images is in memory at a time.
        folder: The output folder; it is created if missing.
        pictures: Format of the pictures; none are drawn if ``None``.
        coco: Whether to write boxes to ``predictions_coco.json`` too, in the format of COCO results. ``image_id`` is
            the name of the file without its ending, as a number if it is one.

    Returns:
        The number of images.

    Raises:
        WriteError: The files cannot be written.
        CuelightError: The results have no boxes, for ``coco``.
    """
    rows: list[dict[str, Any]] = []
    details: list[dict[str, Any]] = []
    coco_results: list[dict[str, Any]] = []
    seen: set[int | str] = set()  # the ids of the images there
    names = UnusedNames()
    for prediction in predictions:
        where: dict[str, Any] = {"path": str(prediction.path)}
        drawn = {}
        name = names.take(prediction.path.stem)
        if (mask := prediction.mask()) is not None:
            drawn["mask"] = f"{_MASKS}/{name}.png"
            save_picture(mask, folder / drawn["mask"])
        if pictures is not None:
            drawn["picture"] = f"{PICTURES}/{name}.{pictures}"
            save_picture(prediction.picture(), folder / drawn["picture"])
        rows.append(where | prediction.result.row() | drawn)
        details.append(where | prediction.result.details() | drawn)
        if coco:
            coco_results += _coco(prediction, seen)
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]) if rows else ["path"])
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "predictions.csv", _as_utf8(table.getvalue()))
    write_text(folder / "predictions.json", _as_utf8(json.dumps(details, indent=2, ensure_ascii=False) + "\n"))
    if coco:
        write_text(folder / "predictions_coco.json", _as_utf8(json.dumps(coco_results, ensure_ascii=False) + "\n"))
    return len(rows)


def _coco(prediction: ImagePrediction, seen: set[int | str]) -> list[dict[str, Any]]:
    if not isinstance(prediction.result, HasCocoResults):
        raise CuelightError(
            f"A model for {prediction.task.name} has no boxes, so there are no COCO results. Leave --coco out."
        )
    name = prediction.path.stem
    image_id: int | str = int(name) if name.isdecimal() else name
    if image_id in seen:
        logger.warning(
            "%s: another image has the COCO id %s, too. Its id is its path instead.", prediction.path, image_id
        )
        image_id = str(prediction.path)
    seen.add(image_id)
    return prediction.result.coco(image_id)


class UnusedNames:
    """Makes file names unique, ignoring case."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._counts: Counter[str] = Counter()

    def take(self, name: str) -> str:
        """Return a name, with a number appended if it was taken before."""
        unused = name
        while unused.lower() in self._used:
            self._counts[name] += 1
            unused = f"{name}-{self._counts[name] + 1}"
        self._used.add(unused.lower())
        return unused


def save_picture(picture: Image.Image, path: Path) -> None:
    """Save a picture as JPEG if the file is a ``.jpg``, otherwise as PNG."""
    with atomic_write(path) as file:
        if path.suffix == ".jpg":
            picture.save(file, "JPEG", quality=_QUALITY)
        else:
            picture.save(file, "PNG")


def _as_utf8(text: str) -> str:
    """The text with ``?`` in place of the bytes of a file name that are not UTF-8."""
    return text.encode(errors="replace").decode()
