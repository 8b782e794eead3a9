"""Finding image files."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from cuelight.data.finding import IMAGE_SUFFIXES, UnusedFiles, is_image, walk_images
from cuelight.errors import NoSuchImageError

logger = logging.getLogger(__name__)


def find_images(paths: Sequence[str]) -> list[Path]:
    """Find image files.

    Args:
        paths: Files, folders (searched recursively, without hidden ones) and patterns such as ``images/*.png`` or
            ``images/**/*.jpg``. For each folder, one line is logged with what is left out.

    Returns:
        The images, each once: in the order of ``paths``, and sorted within a folder or pattern. A file that is named
        itself is taken whatever its extension.

    Raises:
        NoSuchImageError: A path does not exist or has no images; the message names all such paths.
    """
    found: dict[Path, None] = {}
    problems = []
    for path in paths:
        images = list(_images_of(path))
        if not images:
            problems.append(_why_nothing(path))
        found |= dict.fromkeys(images)
    if problems:
        raise NoSuchImageError("\n".join(problems))
    if not found:
        raise NoSuchImageError("No images given. Pass files, folders or patterns.")
    return list(found)


def _images_of(path: str) -> Iterator[Path]:
    if Path(path).is_file():  # its name may look like a pattern
        yield Path(path)
    elif Path(path).is_dir():
        yield from _images_in(path)
    else:
        for match in sorted(glob.glob(path, recursive=True)):  # noqa: PTH207 - a pattern may be absolute
            if Path(match).is_dir():
                yield from _images_in(match)
            elif is_image(Path(match).name) and Path(match).is_file():
                yield Path(match)


def _images_in(folder: str) -> list[Path]:
    unused = UnusedFiles(Path(folder))
    images = sorted(map(Path, walk_images(Path(folder), unused)))
    if line := str(unused):
        logger.warning("%s", line)
    return images


def _why_nothing(path: str) -> str:
    expected = f"({', '.join(IMAGE_SUFFIXES)})"
    if Path(path).is_dir():
        return f"{path}: there are no images {expected} in this folder."
    if glob.has_magic(path):
        return f"{path}: no images {expected} match this pattern."
    if Path(path).exists():
        return f"{path}: this is neither a file nor a folder."
    return f"{path}: there is no such file or folder (looked for {Path(path).absolute()})."
