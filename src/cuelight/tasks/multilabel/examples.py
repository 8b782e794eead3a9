"""Pictures of the worst mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.images.drawing import percent
from cuelight.tasks.classification.examples import captioned_tiles, draw_captioned
from cuelight.tasks.multilabel.decode import ImageLabels, Label

if TYPE_CHECKING:  # it imports torch
    from cuelight.data.spec import DataSpec

_TITLE = "The worst false alarms and misses"


def rank_mistakes(target: NDArray[Any], result: ImageLabels) -> float | None:
    """Return the sum of the errors of the wrong classes of an image; ``None`` if all known ones are right."""
    false, missed = _wrong(target, result)
    return sum(label.score for label in false) + sum(1 - label.score for label in missed) if false or missed else None


def draw_wrong_labels(
    images: Sequence[Image.Image],
    targets: Sequence[NDArray[Any]],
    results: Sequence[ImageLabels],
    class_names: Sequence[str] | None = None,  # noqa: ARG001 - the results have them
) -> Image.Image:
    """Draw images, each above its false alarms and its misses with the score of the worst one."""
    wrong = [_wrong(target, result) for target, result in zip(targets, results, strict=True)]
    captions = [[_line("false", false), _line("missed", missed)] for false, missed in wrong]
    return draw_captioned(_TITLE, images, captions)


def draw_true_classes(images: Sequence[Image.Image], targets: Sequence[NDArray[Any]], data: DataSpec) -> Image.Image:
    """Draw training images, each above its classes."""
    names = data.class_names or ()
    present = [", ".join(names[label] for label in np.flatnonzero(target > 0)) or "none" for target in targets]
    return captioned_tiles(images, [[(caption, "")] for caption in present])


def _wrong(target: NDArray[Any], result: ImageLabels) -> tuple[list[Label], list[Label]]:
    """Return the classes that are predicted but absent, and those that are missed, the worst ones first."""
    false = [label for label in result.labels if label.present and target[label.index] == 0]
    missed = [label for label in result.labels if not label.present and target[label.index] == 1]
    return false, missed[::-1]


def _line(kind: str, labels: Sequence[Label]) -> tuple[str, str]:
    if not labels:
        return "", ""
    return f"{kind}: {', '.join(label.name for label in labels)}", percent(labels[0].score)
