"""Scenes of cards with handwritten digits on photographs, with a box and four corners each; nothing is downloaded."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cuelight.data.base.cards import CardDrawer, CardScene
from cuelight.data.base.scenes import MOST_DIGITS
from cuelight.data.datasets.digit_boxes import DigitBoxes
from cuelight.data.datasets.digit_scenes import SceneImages, SceneSize
from cuelight.data.skeleton import Skeleton
from cuelight.data.targets.boxes import Boxes
from cuelight.data.targets.keypoints import HIDDEN, VISIBLE, Keypoints, KeypointTarget, keypoint_target

CORNERS = Skeleton(
    names=("left_top", "right_top", "right_bottom", "left_bottom"),
    edges=((0, 1), (1, 2), (2, 3), (3, 0)),
    flip_pairs=((0, 1), (2, 3)),
)


class CardImages(SceneImages):
    """The first ``count`` scenes of a drawer, with the boxes and the corners of their cards."""

    def __getitem__(self, index: int) -> tuple[Tensor, KeypointTarget]:
        """Draw a scene, uint8 ``(3, H, W)``, and its :func:`card_corners`."""
        scene: Any = self.draw(index)
        return torch.from_numpy(scene.image).permute(2, 0, 1), card_corners(scene)


def card_corners(scene: CardScene) -> KeypointTarget:
    """Return box and corners of each card, all of one class; covered corners are hidden."""
    boxes = np.concatenate([scene.corners.min(axis=1), scene.corners.max(axis=1)], axis=1)
    visibility = np.where(scene.hidden, HIDDEN, VISIBLE)
    points = np.concatenate([scene.corners, visibility[..., None]], axis=2)
    height, width = scene.image.shape[:2]
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    return keypoint_target(torch.from_numpy(boxes), labels, torch.from_numpy(points), (height, width))


class DigitKeypoints(DigitBoxes):
    """Scenes of cards on a photograph, each with a handwritten digit, a box and its four corners as points.

    The cards are turned by at most 45 degrees and in perspective, and do not overlap. Corners are named as the digit
    is read; about one in seven is covered: its point is labelled as hidden. The only class is ``digit``. Digits and
    photographs are those of :class:`~cuelight.data.datasets.digit_scenes.DigitScenes`.

    Args:
        size: Height and width in pixels; one number for a square.
        digits_per_scene: Least and greatest number of cards in a scene; fewer where there is no room left.
        **options: As for :class:`~cuelight.data.datasets.digit_boxes.DigitBoxes`. What moves the image moves its boxes
            and points.
    """

    task: ClassVar[str] = "keypoints"
    target_kind = Keypoints(CORNERS)
    scene_images = CardImages
    drawer = CardDrawer
    heights = (0.2, 0.4)  # of a card before its perspective
    skeleton = CORNERS

    def __init__(
        self,
        size: SceneSize = 160,
        digits_per_scene: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=MOST_DIGITS)]] = (1, 4),
        **options: Any,
    ) -> None:
        super().__init__(size, digits_per_scene, **options)

    @property
    def class_names(self) -> list[str]:
        """The only class."""
        return ["digit"]

    def make_kind(self, min_visible: float) -> Boxes:
        """Return how the targets follow their images."""
        return Keypoints(CORNERS, min_visible)
