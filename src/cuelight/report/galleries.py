"""Pictures of a run, embedded into the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from cuelight.report.reading import files_in
from cuelight.utils.files import read_json

PREDICTION_FOLDER = "predictions"
GRADCAM_FOLDER = "gradcam"
EXPLAIN_FOLDER = "explain/pictures"
_TEST_FOLDER, _EXAMPLES = "test", "predictions"
_MOST_PICTURES = 12
_MOST_BYTES = 8_000_000  # of all pictures of a gallery; a page of tens of megabytes is slow to open
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg"}
_ENDINGS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind. Paths are relative to the run directory."""

    folder: str = ""
    pictures: Sequence[Mapping[str, Any]] = ()
    total: int = 0  # with those that are not shown
    damaged: Sequence[str] = ()
    order: str = ""  # how the shown ones were chosen, in words

    @property
    def left_out(self) -> int:
        """The number of pictures that are not shown."""
        return self.total - len(self.pictures) - len(self.damaged)


def newest_gallery(directory: Path, name: str) -> Gallery:
    """Return the newest pictures of a folder, such as ``gradcam``; an empty gallery if there are none."""
    folder = directory / name
    ages = {file: -status.st_mtime_ns for file, status in files_in(folder) if file.suffix.lower() in _ENDINGS}
    newest = sorted(ages, key=lambda file: (ages[file], file.as_posix()))
    captions = [(file, file.relative_to(folder).as_posix()) for file in newest]
    return gallery(directory, name, captions, "newest first")


def example_gallery(directory: Path) -> Gallery:
    """Return the pictures of examples that a test has written."""
    return _of_test(directory, _EXAMPLES, "beside what is true")


def curve_gallery(directory: Path) -> Gallery:
    """Return the other pictures of a test, such as curves, but the confusion matrix, which the page draws itself."""
    return _of_test(directory, "", "of the test")


def _of_test(directory: Path, kind: str, order: str) -> Gallery:
    kinds = (_EXAMPLES, "confusion_matrix")
    files = sorted((directory / _TEST_FOLDER).glob(f"{kind}*.png"))
    captions = [
        (file, file.relative_to(directory).as_posix()) for file in files if kind or not file.name.startswith(kinds)
    ]
    return gallery(directory, _TEST_FOLDER, captions, order)


def prediction_gallery(directory: Path) -> Gallery:
    """Return the pictures of predictions, the lowest scores first."""
    folder = directory / PREDICTION_FOLDER
    told = read_json(folder / "predictions.json", "Run `cuelight predict` again.", list) or []
    entries = [entry for entry in told if "picture" in entry and (folder / entry["picture"]).is_file()]
    entries.sort(key=_by_score)
    captions = [(folder / entry["picture"], Path(str(entry.get("path", ""))).name) for entry in entries]
    return gallery(directory, PREDICTION_FOLDER, captions, "lowest scores first")


def gallery(directory: Path, folder: str, captions: Sequence[tuple[Path, str]], order: str) -> Gallery:
    """Return the first of some pictures of a run directory, each with its caption."""
    pictures: list[dict[str, Any]] = []
    damaged: list[str] = []
    room = _MOST_BYTES
    for file, caption in captions:
        if len(pictures) == _MOST_PICTURES or room <= 0:
            break
        try:
            content = file.read_bytes()
        except FileNotFoundError:  # a running training replaces its pictures
            continue
        if len(content) > room:
            continue
        path = file.relative_to(directory).as_posix()
        if (image := _embedded(content)) is None:
            damaged.append(path)
        else:
            pictures.append({"path": path, "caption": caption, **image})
            room -= len(content)
    return Gallery(folder, pictures, len(captions), damaged, order)


def _by_score(entry: Mapping[str, Any]) -> tuple[bool, float]:
    """Sort by score; entries without one, or with NaN, come last."""
    score = entry.get("score")
    return (True, 0.0) if score is None or math.isnan(score) else (False, score)


def _embedded(content: bytes) -> dict[str, Any] | None:
    """Return an image as a data URL, and its size in pixels; ``None`` if it is damaged."""
    try:
        with Image.open(io.BytesIO(content), formats=tuple(_TYPES)) as image:
            (width, height), kind = image.size, _TYPES[str(image.format)]
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow raises for a damaged file
        return None
    source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return {"source": source, "width": width, "height": height}
