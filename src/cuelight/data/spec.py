"""What a model has to know of its data, kept in every checkpoint, so that it can be used where the data is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl

from cuelight.data.protocols import DescribesImages, NamesClasses
from cuelight.images.preprocessing import Preprocessing

DATA_SPEC = "data_description"


@dataclass(frozen=True)
class DataSpec:
    """What a model has to know of its data.

    Args:
        class_names: The name of each class, in the order of the labels; ``None`` if there are no classes.
        channels: Number of channels of an image; ``None`` if the data does not tell.
        size: Height and width in pixels; ``None`` if the data does not tell.
        preprocessing: What is done to an image before the model sees it; ``None`` if the data does not tell.
    """

    class_names: tuple[str, ...] | None = None
    channels: int | None = None
    size: tuple[int, int] | None = None
    preprocessing: Preprocessing | None = None

    def to_dict(self) -> dict[str, Any]:
        """Describe this in plain types, for a checkpoint; :meth:`from_dict` reads it."""
        return {
            "class_names": list(self.class_names) if self.class_names is not None else None,
            "channels": self.channels,
            "size": list(self.size) if self.size is not None else None,
            "preprocessing": self.preprocessing.to_dict() if self.preprocessing else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSpec:
        """Read what :meth:`to_dict` wrote.

        Args:
            values: The fields by name.

        Returns:
            An equal object.
        """
        names, size, preprocessing = values.get("class_names"), values.get("size"), values.get("preprocessing")
        return cls(
            class_names=tuple(names) if names is not None else None,
            channels=values.get("channels"),
            size=(int(size[0]), int(size[1])) if size is not None else None,
            preprocessing=Preprocessing.from_dict(preprocessing) if preprocessing else None,
        )


def data_spec_of(data: pl.LightningDataModule) -> DataSpec:
    """Ask a data module what a model has to know.

    Args:
        data: The data module.

    Returns:
        What it tells.

    Raises:
        DataError: If it has to look at its files for that, and they are not there.
    """
    names = tuple(data.class_names) if isinstance(data, NamesClasses) else None
    if not isinstance(data, DescribesImages):
        return DataSpec(names)
    shape = data.preprocessing
    preprocessing = shape if isinstance(shape, Preprocessing) else None
    return DataSpec(names, shape.channels, shape.size, preprocessing)


def saved_spec(checkpoint: Mapping[str, Any]) -> DataSpec | None:
    """Read the description out of a checkpoint.

    Args:
        checkpoint: Its content.

    Returns:
        The description; ``None`` if there is none in it.
    """
    saved = checkpoint.get(DATA_SPEC)
    return DataSpec.from_dict(saved) if isinstance(saved, Mapping) else None
