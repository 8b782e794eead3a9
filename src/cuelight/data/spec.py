"""What a model needs to know about its data; saved in every checkpoint, so that the data itself is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl

from cuelight.data.protocols import DescribesImages, HasSkeleton, NamesClasses
from cuelight.data.skeleton import Skeleton
from cuelight.errors import CheckpointError
from cuelight.images.preprocessing import DAMAGED, Preprocessing
from cuelight.utils.words import checked_names

DATA_SPEC = "data_description"
_MOST_CHANNELS = 1024


@dataclass(frozen=True)
class DataSpec:
    """What a model needs to know about its data; a field is ``None`` if the data does not provide it.

    Args:
        class_names: The name of each class, in the order of the labels.
        channels: Number of channels of an image.
        size: Height and width in pixels.
        preprocessing: How an image is prepared for the model.
        skeleton: The points of an object.
        class_counts: The number of training images of each class.
    """

    class_names: tuple[str, ...] | None = None
    channels: int | None = None
    size: tuple[int, int] | None = None
    preprocessing: Preprocessing | None = None
    skeleton: Skeleton | None = None
    class_counts: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain types for a checkpoint."""
        return {
            "class_names": list(self.class_names) if self.class_names is not None else None,
            "channels": self.channels,
            "size": list(self.size) if self.size is not None else None,
            "preprocessing": self.preprocessing.to_dict() if self.preprocessing else None,
            **({"skeleton": self.skeleton.to_dict()} if self.skeleton else {}),
            **({"class_counts": list(self.class_counts)} if self.class_counts else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSpec:
        """Restore from the values of :meth:`to_dict`."""
        names, size, preprocessing = values.get("class_names"), values.get("size"), values.get("preprocessing")
        channels, counts = values.get("channels"), values.get("class_counts")
        if channels is not None and not 1 <= channels <= _MOST_CHANNELS:
            raise ValueError(f"channels: expected a number from 1 to {_MOST_CHANNELS}, got {channels}")
        return cls(
            class_names=checked_names(names) if names is not None else None,
            channels=channels,
            size=Preprocessing(tuple(size)).size if size is not None else None,
            preprocessing=Preprocessing.from_dict(preprocessing) if preprocessing else None,
            skeleton=Skeleton.from_dict(values["skeleton"]) if values.get("skeleton") else None,
            class_counts=tuple(int(count) for count in counts) if counts is not None else None,
        )


def data_spec_of(data: pl.LightningDataModule) -> DataSpec:
    """Return the spec of a data module.

    The data module may read its files for that, and raises ``DataError`` if they are missing.
    """
    names = tuple(data.class_names) if isinstance(data, NamesClasses) else None
    if not isinstance(data, DescribesImages):
        return DataSpec(names)
    shape = data.preprocessing
    preprocessing = shape if isinstance(shape, Preprocessing) else None
    skeleton = data.skeleton if isinstance(data, HasSkeleton) else None
    return DataSpec(names, shape.channels, shape.size, preprocessing, skeleton)


def saved_spec(checkpoint: Mapping[str, Any]) -> DataSpec | None:
    """Return the spec in a checkpoint; ``None`` if it has none. Raises ``CheckpointError`` if it is damaged."""
    saved = checkpoint.get(DATA_SPEC)
    try:
        return None if saved is None else DataSpec.from_dict(saved)
    except DAMAGED as error:
        raise CheckpointError(f"{DATA_SPEC} in the checkpoint is damaged: {error}. Use another checkpoint.") from error
