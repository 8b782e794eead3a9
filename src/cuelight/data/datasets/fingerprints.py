"""Whether two datasets are the same: a hash of what is learnt from, the same on any machine."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cuelight.data.datasets.image_files import ImageFiles
from cuelight.data.datasets.mask_files import MaskFiles
from cuelight.data.targets import labels, masks
from cuelight.errors import DataError

LARGEST_READ = 256 * 1024**2
SAMPLE = 1000
HEAD = 256 * 1024


def fingerprint_of_files(root: Path, splits: Mapping[str, ImageFiles], class_names: Sequence[str]) -> str:
    """Compute the fingerprint of image files.

    It changes with every file that is added, removed, renamed, or moved to another class or split, and with every file
    whose size changes. Of up to 256 MiB all is read, so that any other change counts too; of more, the first 256 KiB
    of at most 1,000 files, evenly spaced in the order of their names.

    Args:
        root: The folder of the dataset; names are seen from there.
        splits: The files of each split.
        class_names: The name of each class.

    Returns:
        ``sha256:`` or, if not all was read, ``sha256-sampled:``, and 64 hexadecimal digits.

    Raises:
        DataError: If a file cannot be read.
    """
    return _fingerprint(root, {split: labels.hashed_entries(files, class_names) for split, files in splits.items()})


def fingerprint_of_masks(root: Path, splits: Mapping[str, MaskFiles]) -> str:
    """Compute the fingerprint of image files and their masks.

    Images and masks count as the images of :func:`fingerprint_of_files` do, and so do the names of the classes.

    Args:
        root: The folder of the dataset; names are seen from there.
        splits: The files of each split.

    Returns:
        ``sha256:`` or, if not all was read, ``sha256-sampled:``, and 64 hexadecimal digits.

    Raises:
        DataError: If a file cannot be read.
    """
    name_of = partial(_portable_name, root=root)
    return _fingerprint(root, {split: masks.hashed_entries(files, name_of) for split, files in splits.items()})


def fingerprint_of_arrays(splits: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> str:
    """Compute the fingerprint of images in memory.

    Args:
        splits: The images of each split, of any shape, and their labels.

    Returns:
        ``sha256:`` and 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for split, (images, classes) in sorted(splits.items()):
        digest.update(f"{split} {images.shape}\0".encode())
        digest.update(images.tobytes())
        digest.update(classes.astype("<i8").tobytes())
    return f"sha256:{digest.hexdigest()}"


def _fingerprint(root: Path, splits: Mapping[str, Iterable[tuple[str, str]]]) -> str:
    """The fingerprint of the files of each split and of the texts that belong to them."""
    entries = sorted(
        (_portable_name(path, root), split, text, path) for split, files in splits.items() for path, text in files
    )
    try:
        sizes = [os.stat(path).st_size for *_, path in entries]  # noqa: PTH116 - of 10^6 files
        whole = sum(sizes) <= LARGEST_READ
        step = 1 if whole else -(-len(entries) // SAMPLE)
        digest = hashlib.sha256()
        for position, ((name, split, text, path), size) in enumerate(zip(entries, sizes, strict=True)):
            content = _content_hash(path, None if whole else HEAD) if position % step == 0 else ""
            digest.update("\0".join((name, split, text, str(size), content, "")).encode())
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from error
    return f"{'sha256' if whole else 'sha256-sampled'}:{digest.hexdigest()}"


def _portable_name(path: str, root: Path) -> str:
    """The name as every file system gives it back: macOS takes accents apart."""
    name = unicodedata.normalize("NFC", os.path.relpath(path, root).replace(os.sep, "/"))
    return name.encode("utf-8", "backslashreplace").decode()


def _content_hash(path: str, limit: int | None) -> str:
    with Path(path).open("rb") as file:
        return hashlib.sha256(file.read(limit)).hexdigest()
