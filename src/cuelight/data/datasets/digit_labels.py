"""Scenes of handwritten digits on photographs, labelled with the digits in each; nothing is downloaded."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from cuelight.data.base.scenes import MOST_DIGITS
from cuelight.data.datasets.digit_scenes import DigitScenes, SceneImages, SceneSize
from cuelight.data.datasets.digits import CLASS_NAMES
from cuelight.data.targets.multi_labels import MULTI_LABELS


class LabelledScenes(SceneImages):
    """The first ``count`` scenes of a drawer, with the digits in each."""

    def __getitem__(self, index: int) -> tuple[Tensor, NDArray[np.float32]]:
        """Draw a scene, uint8 ``(3, H, W)``, and its labels, float32 ``(10,)``: 1 for the digits that are in it."""
        scene = self.draw(index)
        labels = np.isin(np.arange(len(CLASS_NAMES)), scene.labels).astype(np.float32)
        return torch.from_numpy(scene.image).permute(2, 0, 1), labels


class DigitLabels(DigitScenes):
    """Scenes of several handwritten digits on a photograph, each with the digits that are in it.

    They are made like those of :class:`~cuelight.data.datasets.digit_scenes.DigitScenes`.

    Args:
        size: Height and width in pixels; one number for a square.
        digits_per_scene: Least and greatest number of digits in a scene, of which some may be equal; fewer where there
            is no room left.
        **options: As for :class:`~cuelight.data.datasets.digit_scenes.DigitScenes`.
    """

    task: ClassVar[str] = "multilabel"
    target_kind = MULTI_LABELS
    scene_images = LabelledScenes

    def __init__(
        self,
        size: SceneSize = 64,
        digits_per_scene: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=MOST_DIGITS)]] = (1, 4),
        **options: Any,
    ) -> None:
        super().__init__(size, digits_per_scene, **options)

    @property
    def class_names(self) -> list[str]:
        """The digits as text."""
        return list(CLASS_NAMES)
