"""Images and labels out of a batch, whatever its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cuelight.errors import CuelightError, ExplainError

_IMAGES = ("images", "image", "pixel_values", "inputs", "input", "x")
_LABELS = ("labels", "label", "targets", "target", "masks", "mask", "y")
_DIMENSIONS = 4  # N, C, H, W


def images_and_labels(batch: Any) -> tuple[Tensor, Any]:
    """Take images and labels out of a batch.

    Args:
        batch: A sequence that begins with images and labels, a mapping with usual names of them, a sequence that
            begins with such mappings, or images alone.

    Returns:
        Images ``(N, C, H, W)``, and one label for each, ``None`` if there are none.

    Raises:
        CuelightError: There are no images.
    """
    images, labels = _parts(batch)
    if not isinstance(images, Tensor) or images.ndim != _DIMENSIONS:
        raise CuelightError(
            f"A heat map needs a batch of images (N, C, H, W) and labels, got {_form(batch)}. Let the data loader give "
            f"(images, labels), or a mapping with one of {', '.join(_IMAGES)} and one of {', '.join(_LABELS)}."
        )
    return images, labels if isinstance(labels, (Tensor, Sequence)) else None


def some_of(images: Tensor, labels: Any, count: int) -> tuple[Tensor, Any]:
    """Choose images of a batch, spread evenly over it: neighbors are often of one class.

    Args:
        images: Images ``(N, C, H, W)``.
        labels: One label for each, or ``None``.
        count: How many at most.

    Returns:
        The chosen images and their labels.
    """
    if len(images) <= count:
        return images, labels
    chosen = torch.linspace(0, len(images) - 1, count).round().long().tolist()
    if labels is None or isinstance(labels, Tensor):
        return images[chosen], labels if labels is None else labels[chosen]
    return images[chosen], [labels[index] for index in chosen]


def label_tensor(labels: Any) -> Tensor:
    """Return labels as a tensor.

    Raises:
        ExplainError: They are not numbers.
    """
    try:
        return torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ExplainError(f"labels are numbers, and these are {type(labels).__name__}: {error}") from error


def _parts(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, Mapping):
        return _first(batch, _IMAGES), _first(batch, _LABELS)
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        images, labels = (*batch[:2], None, None)[:2]
        return _first(images, _IMAGES), _first(labels, _LABELS)
    return batch, None


def _first(value: Any, names: Sequence[str]) -> Any:
    """The first entry of a mapping that has one of these names; anything else is meant itself."""
    return next((value[name] for name in names if name in value), None) if isinstance(value, Mapping) else value


def _form(value: Any) -> str:
    """Describe a batch by its types and shapes."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_form(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(_form, value)) + ")"
    return type(value).__name__
