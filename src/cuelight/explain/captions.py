"""Captions of heat maps: class, score and label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cuelight.explain.explanation import HeatMaps
from cuelight.explain.methods import Method
from cuelight.explain.pictures import ExplainedImage
from cuelight.explain.protocols import CaptionsMaps, TaskScores
from cuelight.images.drawing import percent

_METHOD_NAMES: dict[Method, str] = {
    "gradcam": "Grad-CAM",
    "hirescam": "HiResCAM",
    "gradcam++": "Grad-CAM++",
    "eigencam": "EigenCAM",
}

_Caption = tuple[str, str, bool | None]  # score, note, whether the model is right (None if unknown)


def explained_images(
    found: HeatMaps,
    pictures: NDArray[np.uint8],
    scores: TaskScores,
    class_names: Sequence[str] | None = None,
    labels: Any = None,
) -> list[ExplainedImage]:
    """Combine heat maps and pictures ``(N, H, W, 3)`` with their captions.

    Labels are shown if they are integer tensors, ``(N,)`` or ``(N, H, W)``, or if the scores write captions of others.
    """
    known = labels.detach().cpu() if isinstance(labels, Tensor) else None
    whole = known.long() if known is not None and not known.is_floating_point() else None
    captions: list[_Caption]
    if isinstance(scores, CaptionsMaps):
        known = known if whole is None else whole
        captions = [(*caption, None) for caption in scores.captions(found.scores, found.classes, known)]
    else:
        captions = _captions(found, scores, class_names, whole)
    return [
        ExplainedImage(image, heat, class_name(index, class_names), *caption)
        for image, heat, index, caption in zip(
            pictures, found.maps.numpy(), found.classes.tolist(), captions, strict=True
        )
    ]


def title_of(method: Method, layer: str, maps: Tensor) -> str:
    """Return the title of heat maps ``(N, h, w)``, such as ``Grad-CAM of backbone.layer4 (7 x 7)``."""
    height, width = maps.shape[1:]
    return f"{_METHOD_NAMES[method]} of {layer or 'the whole model'} ({height} x {width})"


def class_name(index: int, class_names: Sequence[str] | None) -> str:
    """Return the name of a class, or ``class <index>``."""
    return class_names[index] if class_names is not None and 0 <= index < len(class_names) else f"class {index}"


def _captions(
    found: HeatMaps, scores: TaskScores, class_names: Sequence[str] | None, labels: Tensor | None
) -> list[_Caption]:
    """Write score and label, and the prediction if the map explains another class."""
    predicted = scores.predicted(found.outputs)
    probabilities = scores.probability(found.outputs, predicted).tolist()
    known = labels.flatten().tolist() if labels is not None and labels.numel() == len(predicted) else []
    captions: list[_Caption] = []
    for number, (explained, best) in enumerate(zip(found.classes.tolist(), predicted.tolist(), strict=True)):
        parts = [f"label: {class_name(known[number], class_names)}"] if known else []
        if best != explained:
            parts.append(f"predicted: {class_name(best, class_names)} {percent(probabilities[number])}")
        right = best == known[number] if known else None
        captions.append((percent(float(found.scores[number])), ", ".join(parts), right))
    return captions
