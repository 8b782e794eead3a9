"""Base of the data modules that read image files with boxes and points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from cuelight.data.base.box_file_data_module import BoxFileDataModule
from cuelight.data.base.box_files import BoxFiles
from cuelight.data.skeleton import Skeleton, pairs_by_name, repeated_index, to_pairs
from cuelight.data.targets.box_mixing import BoxMixing
from cuelight.data.targets.keypoints import Keypoints
from cuelight.errors import DataError, Problem


class KeypointFileDataModule(BoxFileDataModule):
    """Image files whose objects have boxes and named points. A class that reads boxes, too, reads the files.

    Args:
        path: The folder.
        flip_pairs: The points that change places in a mirrored image, as pairs of indices from 0, each once; taken from
            the data if left out, or from names that differ in left and right.
        **options: As for :class:`~cuelight.data.base.box_file_data_module.BoxFileDataModule`. Transforms that move
            the image move its boxes and points.
    """

    task: ClassVar[str] = "keypoints"
    target_kind = Keypoints(Skeleton(("point",)))
    with_points = True

    def __init__(self, path: str | Path, flip_pairs: list[tuple[int, int]] | None = None, **options: Any) -> None:
        super().__init__(path, **options)
        self.flip_pairs = flip_pairs
        self._skeleton: Skeleton | None = None

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Report a point that is in ``flip_pairs`` twice, too."""
        repeated = repeated_index(params.get("flip_pairs") or ())
        own = [Problem(f"{repeated.removeprefix('flip_pairs: ')}.", f"{path}.flip_pairs")] if repeated else []
        return [*super().parameter_problems(params, path), *own]

    @property
    def skeleton(self) -> Skeleton:
        """The points and how they belong together.

        Raises:
            DataError: The files are not as expected, or ``flip_pairs`` does not fit them.
        """
        if self._skeleton is None:
            found = self._read().skeleton or Skeleton(("point",))
            pairs = found.flip_pairs or pairs_by_name(found.names)
            try:
                self._skeleton = replace(
                    found, flip_pairs=pairs if self.flip_pairs is None else to_pairs(self.flip_pairs)
                )
            except ValueError as error:
                raise DataError(f"{self.path}: data.params.{error}.") from error
        return self._skeleton

    def list_files(self) -> dict[str, BoxFiles]:
        """Return the files of ``train`` and, where they exist, of ``val`` and ``test``."""
        self.target_kind = Keypoints(self.skeleton, self.min_visible)
        if isinstance(self.mixing, BoxMixing):
            self.mixing.kind = self.target_kind
        return super().list_files()
