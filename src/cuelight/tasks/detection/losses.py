"""The loss of a detector: class scores and boxes of the cells, weighted by how well they are aligned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from cuelight.errors import ConfigError, Problem, did_you_mean
from cuelight.tasks.detection.assignment import Assignment, assign
from cuelight.tasks.detection.boxes import boxes_of, cell_centers, ciou, flatten_maps, giou

_ALPHA, _GAMMA = 0.75, 2.0  # of the varifocal loss, as in its paper


def varifocal(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the varifocal loss of each logit; targets are 0 to 1 (H. Zhang et al., 2021, "VarifocalNet")."""
    weights = torch.where(targets > 0, targets, _ALPHA * logits.detach().sigmoid().pow(_GAMMA))
    return weights * functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the binary cross-entropy of each logit; targets are 0 to 1."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


CLASS_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"varifocal": varifocal, "bce": bce}
BOX_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"giou": giou, "ciou": ciou}
DEFAULT_LOSS = {"varifocal": 1.0, "giou": 2.5}


class DetectionLoss(nn.Module):
    """The weighted sum of a loss for classes and one for boxes, both divided by the sum of the target scores.

    Args:
        terms: The weight of each loss by its name: one of varifocal and bce, and one of giou and ciou.
        strides: Pixels per cell of each output.
        topk: Cells for each object, at most.
        alpha: Exponent of the score in the choice of cells.
        beta: Exponent of the IoU in the choice of cells.

    Raises:
        ConfigError: If a name is not known, there are not one of each, or a weight is no positive number.
    """

    def __init__(
        self,
        terms: Mapping[str, float],
        strides: Sequence[int],
        topk: int = 10,
        alpha: float = 1.0,
        beta: float = 6.0,
    ) -> None:
        super().__init__()
        if problems := loss_problems(terms):
            raise ConfigError(problems)
        (self.of_classes,) = [(CLASS_LOSSES[name], terms[name]) for name in terms if name in CLASS_LOSSES]
        (self.of_boxes,) = [(BOX_LOSSES[name], terms[name]) for name in terms if name in BOX_LOSSES]
        self.strides = tuple(strides)
        self.choice = topk, alpha, beta

    def forward(self, maps: Sequence[Tensor], targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Compute the loss of a batch, not yet divided, and the sum of the target scores, without a gradient.

        Args:
            maps: ``(N, 4 + classes, H, W)`` for each stride, of any floating-point type.
            targets: See :func:`~cuelight.tasks.detection.assignment.assign`.
        """
        loss, found = self.assigned(maps, targets)
        return loss, found.scores.sum()

    def assigned(self, maps: Sequence[Tensor], targets: Mapping[str, Tensor]) -> tuple[Tensor, Assignment]:
        """Compute the loss of a batch, not yet divided, and the targets of its cells."""
        with torch.autocast(maps[0].device.type, enabled=False):
            distances, logits = flatten_maps(maps)
            centers, strides = cell_centers(maps, self.strides)
            boxes = boxes_of(distances, centers, strides)
            with torch.no_grad():
                found = assign(boxes, logits.sigmoid(), centers, targets, *self.choice)
            class_loss, class_weight = self.of_classes
            box_iou, box_weight = self.of_boxes
            of_classes = (class_loss(logits, found.scores).sum(-1) * found.counted).sum()
            of_boxes = ((1 - box_iou(boxes, found.boxes)) * found.scores.sum(-1)).sum()
            return class_weight * of_classes + box_weight * of_boxes, found


def over_all_ranks(total: Tensor) -> Tensor:
    """Return the mean of a scalar over all processes, which all wait for it; their sum counts as at least 1."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return total.clamp(min=1)
    summed = total.clone()
    distributed.all_reduce(summed)
    return summed.clamp(min=1) / distributed.get_world_size()


def loss_problems(terms: Mapping[str, float], path: str = "loss") -> list[Problem]:
    """Check ``terms`` of :class:`DetectionLoss`; ``path`` is their key path in the YAML file."""
    known = [*CLASS_LOSSES, *BOX_LOSSES]
    problems = [
        Problem(f'unknown loss "{name}".{did_you_mean(name, known)} Expected one of: {", ".join(known)}.', path)
        for name in terms
        if name not in known
    ]
    problems += [
        Problem(f"expected a weight greater than 0, got {weight}.", f"{path}.{name}")
        for name, weight in terms.items()
        if name in known and not weight > 0
    ]
    for choices in (CLASS_LOSSES, BOX_LOSSES):
        if not problems and len(given := [name for name in terms if name in choices]) != 1:
            message = f"expected one of {' and '.join(choices)}, got {' and '.join(given) or 'none'}."
            problems.append(Problem(f"{message} An example: {{varifocal: 1.0, giou: 2.5}}.", path))
    return problems
