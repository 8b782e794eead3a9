"""Pictures of training images with their targets, as the model sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.data.loading.sampling import SampleKey
from cuelight.data.reading import UnreadableImageError
from cuelight.data.spec import data_spec_of
from cuelight.tasks.lookup import TASKS

_SAMPLES = 12


def draw_sheets(data: ImageDataModule[Any]) -> dict[str, Image.Image]:
    """Return a picture of some training images at their final size, and one after augmentation if there is any."""
    task = TASKS.get(data.task or "")
    if task is None:
        return {}
    plain: Any = data.whole_dataloader("train").dataset
    augmented: Any = data.train_dataloader().dataset
    places = np.unique(np.linspace(0, len(plain) - 1, _SAMPLES).round().astype(int)).tolist()
    sheets = {"samples": [plain, False]}
    if data.transforms or data.mixing:
        sheets["samples_augmented"] = [augmented, data.mixing is not None]
    drawn = {}
    for name, (dataset, mixed) in sheets.items():
        samples = [sample for place in places if (sample := _sample(dataset, SampleKey(place, place, mixed)))]
        if samples:
            images = [to_pil_image(image).convert("RGB") for image, _ in samples]
            targets = [_as_arrays(target) for _, target in samples]
            drawn[name] = task.draw_targets(images, targets, data_spec_of(data))
    return drawn


def _sample(dataset: Any, key: SampleKey) -> Any:
    try:
        return dataset[key]
    except UnreadableImageError:
        return None


def _as_arrays(target: Any) -> Any:
    if isinstance(target, Mapping):
        return {name: values.as_subclass(torch.Tensor).numpy() for name, values in target.items()}
    return torch.as_tensor(target).numpy()
