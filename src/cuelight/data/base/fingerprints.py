"""Fingerprints of datasets: a hash of the images and targets, the same on any machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cuelight.data.reading import portable_name
from cuelight.errors import DataError

LARGEST_READ = 256 * 1024**2
SAMPLE = 1000
HEAD = 256 * 1024


class HashedFiles(NamedTuple):
    """The fingerprint of a dataset, and the hash of each file that was read.

    Args:
        fingerprint: ``sha256:`` or, if only samples were read, ``sha256-sampled:``, and 64 hexadecimal digits.
        contents: The size and hash of each file that was read as a whole, by its path.
    """

    fingerprint: str
    contents: Mapping[str, tuple[int, str]]

    def also_in_train(self, images: Mapping[str, Iterable[str]]) -> dict[str, int]:
        """Return how many images of each split have the content of a training image; splits without such are left out.

        ``images`` has the paths of each split. Files that were not read as a whole are not compared.
        """
        contents = {split: [self.contents.get(path) for path in paths] for split, paths in images.items()}
        train = set(contents.pop("train", ())) - {None}
        counts = {split: sum(content in train for content in found) for split, found in contents.items()}
        return {split: count for split, count in counts.items() if count}


def hash_files(root: Path, splits: Mapping[str, Iterable[tuple[str, str]]]) -> HashedFiles:
    """Hash the files of a dataset.

    Each split has its files, each with a text such as its class. The fingerprint changes if a file is added, removed,
    renamed or moved to another split, or if its text or its size changes. Up to 256 MiB everything is read, so that any
    other change counts too; above, the first 256 KiB of at most 1,000 files, evenly spaced in the order of their names.
    Names are relative to ``root``. A file that cannot be read raises ``DataError``.
    """
    entries = sorted(
        (portable_name(path, root), split, text, path) for split, files in splits.items() for path, text in files
    )
    try:
        sizes = [os.stat(path).st_size for *_, path in entries]  # noqa: PTH116 - of 10^6 files
        whole = sum(sizes) <= LARGEST_READ
        step = 1 if whole else -(-len(entries) // SAMPLE)
        digest = hashlib.sha256()
        contents = {}
        for position, ((name, split, text, path), size) in enumerate(zip(entries, sizes, strict=True)):
            content = _content_hash(path, None if whole else HEAD) if position % step == 0 else ""
            if content and (whole or size <= HEAD):
                contents[path] = (size, content)
            digest.update("\0".join((name, split, text, str(size), content, "")).encode())
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from error
    return HashedFiles(f"{'sha256' if whole else 'sha256-sampled'}:{digest.hexdigest()}", contents)


def fingerprint_of_arrays(splits: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> str:
    """Return ``sha256:`` and 64 hexadecimal digits, from images and labels in memory."""
    digest = hashlib.sha256()
    for split, (images, classes) in sorted(splits.items()):
        digest.update(f"{split} {images.shape}\0".encode())
        digest.update(images.tobytes())
        digest.update(classes.astype("<i8").tobytes())
    return f"sha256:{digest.hexdigest()}"


def _content_hash(path: str, limit: int | None) -> str:
    with Path(path).open("rb") as file:
        return hashlib.sha256(file.read(limit)).hexdigest()
