"""Scenes of handwritten digits on photographs, with a mask each; nothing is downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.data.base.packaged import load_photographs
from cuelight.data.base.scenes import MOST_DIGITS, Scene, SceneDrawer
from cuelight.data.datasets.digits import CLASS_NAMES, split_digits
from cuelight.data.targets.masks import MASKS
from cuelight.data.targets.target_kind import TargetKind
from cuelight.errors import Problem
from cuelight.images.preprocessing import Preprocessing
from cuelight.registry import TransformPart

BACKGROUND = "background"
# Measured on the scenes.
MEAN = (0.35, 0.32, 0.31)
STD = (0.25, 0.25, 0.25)

# No photograph is in two splits.
PHOTOGRAPHS = {
    "train": (
        "astronaut", "brick", "camera", "coffee", "coins", "grass", "hubble", "ihc", "moon", "motorcycle", "retina",
        "rocket",
    ),
    "val": ("chelsea", "gravel"),
    "test": ("china", "flower"),
}  # fmt: skip
# Size of a photograph relative to the scene that is cut out of it.
_ROOM = 2.5
_HASHED_SCENES = 8

Count = Annotated[int, Field(ge=1)]
SceneSide = Annotated[int, Field(ge=32)]
SceneSize = SceneSide | tuple[SceneSide, SceneSide]


class SceneImages:
    """The first ``count`` scenes of a drawer, with their masks."""

    def __init__(self, draw: SceneDrawer, count: int) -> None:
        self.draw = draw
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        """Draw a scene, uint8 ``(3, H, W)``, and its :func:`semantic_mask`."""
        scene = self.draw(index)
        return torch.from_numpy(scene.image).permute(2, 0, 1), torch.from_numpy(semantic_mask(scene))


def semantic_mask(scene: Scene) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the class of each pixel, uint8 ``(H, W)``: 0 for the background, d + 1 for the digit d."""
    classes = np.zeros(len(scene.labels) + 1, dtype=np.uint8)
    classes[1:] = scene.labels + 1
    return classes[scene.instances]


class DigitScenes(ImageDataModule[SceneImages]):
    """Scenes of several handwritten digits on a photograph, and a mask of the background and ten digits for each.

    The digits are those of :class:`~cuelight.data.datasets.digits.Digits`, the photographs are part of the packages
    scikit-image and scikit-learn. Training, validation and test share neither digits nor photographs. A scene depends
    only on ``split_seed``, its split and its number: it is the same on any machine, in every epoch and for any number
    of workers.

    Args:
        size: Height and width in pixels; one number for a square.
        digits_per_scene: Least and greatest number of digits in a scene; fewer where there is no room left.
        train_scenes: Number of scenes for training.
        val_scenes: Number of scenes for validation.
        test_scenes: Number of scenes for test.
        transforms: Augmentation of the training scenes, by the names of ``torchvision.transforms.v2``, in order. What
            moves the image moves its mask.
        split_seed: Seed of the scenes, and of which digits are for training, validation and test. It does not follow
            ``seed``, so that results of runs with different seeds can be compared.
        batch_size: Images per batch and device.
        num_workers: Processes that augment; without ``transforms`` none is started, because the main process draws
            more than a thousand scenes a second.
        seed: Seed of the order and of augmentation.
    """

    in_memory = True
    task: ClassVar[str] = "segmentation"
    target_kind: TargetKind = MASKS
    scene_images: ClassVar[type[SceneImages]] = SceneImages
    drawer: ClassVar[type[SceneDrawer]] = SceneDrawer
    heights = (0.34, 0.48)  # of a digit, relative to the shorter side of the scene
    apart = False

    def __init__(
        self,
        size: SceneSize = 64,
        digits_per_scene: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=MOST_DIGITS)]] = (3, 5),
        train_scenes: Count = 5000,
        val_scenes: Count = 500,
        test_scenes: Count = 500,
        transforms: list[TransformPart] | None = None,
        split_seed: int = 0,
        batch_size: int = 32,
        num_workers: int = 2,
        seed: int = 42,
    ) -> None:
        super().__init__(transforms, batch_size, num_workers, seed)
        self.size = (size, size) if isinstance(size, int) else (size[0], size[1])
        self.digits_per_scene = digits_per_scene
        self.counts = {"train": train_scenes, "val": val_scenes, "test": test_scenes}
        self.split_seed = split_seed

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Report a greatest number of digits below the least, and transforms that cannot be repeated on a mask."""
        least, most = params.get("digits_per_scene", (1, 1))
        problems = super().parameter_problems(params, path)
        if least > most:
            message = f"expected [minimum, maximum] number of digits, got [{least}, {most}]."
            problems.append(Problem(message, f"{path}.digits_per_scene"))
        return problems

    @property
    def class_names(self) -> list[str]:
        """The background, and the digits as text."""
        return [BACKGROUND, *CLASS_NAMES]

    @property
    def preprocessing(self) -> Preprocessing:
        """How a scene is prepared for the model."""
        return Preprocessing(size=self.size, mean=MEAN, std=STD)

    def setup(self, stage: str | None = None) -> None:
        """Read the digits and photographs, for all stages at once; a scene is drawn on access.

        Raises:
            DataError: A package that contains them is not installed.
        """
        if self._splits:
            return
        digits = split_digits(self.split_seed)
        self.take_splits(
            {
                split: self.scene_images(
                    self.drawer(
                        digits[split].images[:, 0].numpy(),
                        digits[split].labels.numpy(),
                        load_photographs(PHOTOGRAPHS[split], round(_ROOM * max(self.size))),
                        self.size,
                        self.digits_per_scene,
                        (self.split_seed, number),
                        self.heights,
                        self.apart,
                    ),
                    count,
                )
                for number, (split, count) in enumerate(self.counts.items())
            }
        )

    def fingerprint(self) -> str:
        """Return a hash of the digits, photographs and settings, and of the first scenes of each split.

        It is the same on any machine, and known after ``setup``.
        """
        digest = hashlib.sha256()
        for split, scenes in self._splits.items():
            digest.update(f"{split} {len(scenes)} {self.size} {self.digits_per_scene} {self.split_seed}\0".encode())
            for source in (*scenes.draw.photographs, *scenes.draw.digits):
                digest.update(source.tobytes())
            for index in range(min(len(scenes), _HASHED_SCENES)):
                for part in scenes.draw(index):
                    digest.update(part.tobytes())
        return f"sha256:{digest.hexdigest()}"
