"""Whether two datasets are the same: a hash of what is learnt from, the same on any machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cuelight.data.reading import portable_name
from cuelight.errors import DataError

LARGEST_READ = 256 * 1024**2
SAMPLE = 1000
HEAD = 256 * 1024


def fingerprint_of_files(root: Path, splits: Mapping[str, Iterable[tuple[str, str]]]) -> str:
    """Compute the fingerprint of files.

    It changes with every file that is added, removed, renamed, or moved to another split, with every text that belongs
    to a file, such as its class, and with every file whose size changes. Of up to 256 MiB all is read, so that any
    other change counts too; of more, the first 256 KiB of at most 1,000 files, evenly spaced in the order of their
    names.

    Args:
        root: The folder of the dataset; names are seen from there.
        splits: The files of each split with the text that belongs to each: ``hashed_entries`` of their kind of target.

    Returns:
        ``sha256:`` or, if not all was read, ``sha256-sampled:``, and 64 hexadecimal digits.

    Raises:
        DataError: If a file cannot be read.
    """
    entries = sorted(
        (portable_name(path, root), split, text, path) for split, files in splits.items() for path, text in files
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


def _content_hash(path: str, limit: int | None) -> str:
    with Path(path).open("rb") as file:
        return hashlib.sha256(file.read(limit)).hexdigest()
