"""Scenes of handwritten digits on photographs, with a box for each digit; nothing is downloaded."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cuelight.data.base.scenes import MOST_DIGITS, Scene
from cuelight.data.datasets.digit_scenes import Count, DigitScenes, SceneImages, SceneSize
from cuelight.data.datasets.digits import CLASS_NAMES
from cuelight.data.targets.box_mixing import BoxMixing, Probability
from cuelight.data.targets.boxes import Boxes, BoxTarget, box_target


class BoxedScenes(SceneImages):
    """The first ``count`` scenes of a drawer, with the boxes of their digits."""

    def __getitem__(self, index: int) -> tuple[Tensor, BoxTarget]:
        """Draw a scene, uint8 ``(3, H, W)``, and its :func:`digit_boxes`."""
        scene = self.draw(index)
        return torch.from_numpy(scene.image).permute(2, 0, 1), digit_boxes(scene)


def digit_boxes(scene: Scene) -> BoxTarget:
    """Return the box and the class of each digit that can be seen."""
    seen = np.flatnonzero(np.bincount(scene.instances.ravel(), minlength=len(scene.labels) + 1)[1:])
    corners = torch.tensor([_corners(scene.instances == number + 1) for number in seen])
    return box_target(corners, torch.from_numpy(scene.labels[seen].astype(np.int64)), scene.instances.shape)


class DigitBoxes(DigitScenes):
    """Scenes of several handwritten digits on a photograph, and a box for each digit; the boxes do not overlap.

    They are made like those of :class:`~cuelight.data.datasets.digit_scenes.DigitScenes`, with smaller digits: their
    heights are between 0.11 and 0.31 of the shorter side of the scene.

    Args:
        size: Height and width in pixels; one number for a square.
        digits_per_scene: Least and greatest number of digits in a scene; fewer where there is no room left.
        train_scenes: Number of scenes for training.
        val_scenes: Number of scenes for validation.
        test_scenes: Number of scenes for test.
        min_visible: A box is dropped if less than this share of its area is left inside the image.
        mosaic: Probability that a training scene is a mosaic of four.
        mixup: Probability that a training scene is the mean of two.
        close_mosaic: Number of epochs at the end of the training without mosaic and mixup.
        **options: As for :class:`~cuelight.data.datasets.digit_scenes.DigitScenes`. What moves the image moves its
            boxes.
    """

    task: ClassVar[str] = "detection"
    target_kind = Boxes()
    scene_images: ClassVar[type[SceneImages]] = BoxedScenes
    heights = (0.11, 0.31)
    apart = True

    def __init__(
        self,
        size: SceneSize = 160,
        digits_per_scene: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=MOST_DIGITS)]] = (2, 6),
        train_scenes: Count = 800,
        val_scenes: Count = 200,
        test_scenes: Count = 200,
        min_visible: Probability = 0.1,
        mosaic: Probability = 0.0,
        mixup: Probability = 0.0,
        close_mosaic: Annotated[int, Field(ge=0)] = 10,
        **options: Any,
    ) -> None:
        super().__init__(size, digits_per_scene, train_scenes, val_scenes, test_scenes, **options)
        self.target_kind = kind = self.make_kind(min_visible)
        self.mixing = BoxMixing(kind, mosaic, mixup, close_mosaic) if mosaic or mixup else None

    def make_kind(self, min_visible: float) -> Boxes:
        """Return how the targets follow their images."""
        return Boxes(min_visible)

    @property
    def class_names(self) -> list[str]:
        """The digits as text."""
        return list(CLASS_NAMES)


def _corners(region: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
