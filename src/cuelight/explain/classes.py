"""The choice of the class to explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor

from cuelight.errors import ExplainError, UnknownNameError, did_you_mean
from cuelight.explain.protocols import TaskScores
from cuelight.utils.words import first_of

ClassChoice: TypeAlias = int | Literal["predicted", "label"]

_WORDS = ("predicted", "label")
_MOST_LISTED = 20


def find_class(class_idx: int | str, class_names: Sequence[str] | None, num_classes: int) -> ClassChoice:
    """Return the index of a class that is given by its name or index; ``predicted`` and ``label`` stay.

    A class with one of these two names can only be chosen by its index.

    Raises:
        ExplainError: If there is no such class.
    """
    names = list(class_names or ())
    if isinstance(class_idx, str):
        if class_idx in _WORDS:
            return cast("ClassChoice", class_idx)
        if class_idx in names:
            return names.index(class_idx)
        near = did_you_mean(class_idx, [*names, *_WORDS])
        raise UnknownNameError(f'unknown class "{class_idx}".{near} {_expected(names, num_classes)}')
    if not 0 <= class_idx < num_classes:
        raise UnknownNameError(f"class index {class_idx} is out of range. {_expected(names, num_classes)}")
    return int(class_idx)


def choose_classes(
    class_idx: ClassChoice, scores: TaskScores, outputs: Any, labels: Any | None, images: Tensor
) -> Tensor:
    """Return the class to explain for each image, int64 ``(N,)`` on the device of the images.

    Raises:
        ExplainError: If there is no such class, or ``class_idx`` is ``label`` and there are no labels.
    """
    if class_idx == "predicted":
        return scores.predicted(outputs)
    count = scores.count(outputs)
    if class_idx != "label":
        find_class(class_idx, None, count)
        return torch.full((len(images),), class_idx, device=images.device)
    if labels is None:
        raise ExplainError(
            "class_idx is label, but there are no labels. Pass labels, or set class_idx to predicted, an index or the "
            "name of a class."
        )
    classes = scores.labelled(labels, outputs).to(images.device)
    if len(outside := classes[(classes < 0) | (classes >= count)]):
        raise ExplainError(
            f"the labels contain the class {int(outside[0])}, which is out of range. {_expected([], count)}"
        )
    return classes


def _expected(names: Sequence[str], num_classes: int) -> str:
    named = [*(f'{index} "{name}"' for index, name in enumerate(names)), *map(str, range(len(names), num_classes))]
    return f"Expected predicted, label, or one of {num_classes} classes: {first_of(named, _MOST_LISTED)}."
