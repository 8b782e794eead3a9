"""Images and labels of a batch of any common form."""

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
    """Return the images ``(N, C, H, W)`` of a batch and their labels, ``None`` if there are none.

    A batch is a sequence that begins with images and labels, a mapping with common names for them, a sequence that
    begins with such mappings, or images alone.
    """
    images, labels = _parts(batch)
    if not isinstance(images, Tensor) or images.ndim != _DIMENSIONS:
        raise CuelightError(
            f"A heat map needs a batch of images (N, C, H, W) and labels, got {_form(batch)}. Return (images, "
            f"labels) from the loader, or a mapping with one of {', '.join(_IMAGES)} and one of {', '.join(_LABELS)}."
        )
    return images, labels if isinstance(labels, (Tensor, Sequence)) else None


def some_of(images: Tensor, labels: Any, count: int) -> tuple[Tensor, Any]:
    """Return at most ``count`` images and their labels, evenly spaced because neighbors are often of one class."""
    if len(images) <= count:
        return images, labels
    chosen = torch.linspace(0, len(images) - 1, count).round().long().tolist()
    if labels is None or isinstance(labels, Tensor):
        return images[chosen], labels if labels is None else labels[chosen]
    return images[chosen], [labels[index] for index in chosen]


def label_tensor(labels: Any) -> Tensor:
    """Return labels as a tensor; raises ``ExplainError`` if they are not numbers."""
    try:
        return torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ExplainError(f"expected labels as numbers, got {type(labels).__name__}: {error}") from error


def _parts(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, Mapping):
        return _first(batch, _IMAGES), _first(batch, _LABELS)
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        images, labels = (*batch[:2], None, None)[:2]
        return _first(images, _IMAGES), _first(labels, _LABELS)
    return batch, None


def _first(value: Any, names: Sequence[str]) -> Any:
    """Return the first entry of a mapping with one of these names, and any other value unchanged."""
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
