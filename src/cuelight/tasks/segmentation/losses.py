"""Segmentation losses, by name and as weighted sums; none counts pixels of ``ignore_index``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from segmentation_models_pytorch.losses import MULTICLASS_MODE, DiceLoss, FocalLoss
from torch import Tensor, nn
from torch.nn import functional

from cuelight.errors import ConfigError, Problem, did_you_mean
from cuelight.images.preprocessing import IGNORE_INDEX


class CrossEntropy(nn.Module):
    """Cross-entropy of torch, but 0 if all pixels are ignored.

    It is the mean over the pixels, weighted by the weights of their classes.
    """

    weights: Tensor | None

    def __init__(self, ignore_index: int, class_weights: Sequence[float] | None) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        weights = torch.tensor(class_weights, dtype=torch.float32) if class_weights is not None else None
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Compute the loss of logits ``(N, classes, H, W)`` and masks, int64 ``(N, H, W)``."""
        if torch.are_deterministic_algorithms_enabled():  # CUDA has a deterministic algorithm only for (N, classes)
            logits, masks = logits.movedim(1, -1).flatten(0, 2), masks.flatten()
        # In a half-precision model the weights are in half precision too.
        weights = self.weights.to(logits.dtype) if self.weights is not None else None
        total = functional.cross_entropy(logits, masks, weights, ignore_index=self.ignore_index, reduction="sum")
        counts = masks != self.ignore_index
        if weights is None:
            return total / counts.sum().clamp(min=1)
        weight = torch.where(counts, weights[torch.where(counts, masks, 0)], 0.0).sum()
        return total / torch.where(weight > 0, weight, 1.0)


class Focal(nn.Module):
    """Focal loss of segmentation-models-pytorch, but 0 if all pixels are ignored.

    It is the mean over classes and pixels of the loss of each class against all others. T.-Y. Lin et al., 2017,
    "Focal Loss for Dense Object Detection"; gamma is 2.
    """

    def __init__(self, ignore_index: int, class_weights: Sequence[float] | None) -> None:
        super().__init__()
        weights = list(class_weights) if class_weights is not None else None
        self.ignore_index = ignore_index
        self.loss = FocalLoss(MULTICLASS_MODE, ignore_index=ignore_index, class_weights=weights)

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Compute the loss of logits ``(N, classes, H, W)`` and masks, int64 ``(N, H, W)``."""
        if not (masks != self.ignore_index).any():
            return logits.sum() * 0.0
        loss: Tensor = self.loss(logits, masks)
        return loss


def _dice(ignore_index: int, class_weights: Sequence[float] | None) -> nn.Module:
    weights = list(class_weights) if class_weights is not None else None
    loss: nn.Module = DiceLoss(MULTICLASS_MODE, ignore_index=ignore_index, class_weights=weights)
    return loss


LOSSES: dict[str, Callable[[int, Sequence[float] | None], nn.Module]] = {
    "cross_entropy": CrossEntropy,
    "dice": _dice,
    "focal": Focal,
}


class SegmentationLoss(nn.Module):
    """A weighted sum of losses.

    ``dice`` is 1 minus the Dice coefficient of the probabilities and the pixels of a class in the whole batch; the
    loss of classes without a pixel is 0 (F. Milletari, N. Navab and S.-A. Ahmadi, 2016, "V-Net").

    Args:
        terms: The name of a loss, or the weight of each loss by its name.
        ignore_index: The value of ignored pixels.
        class_weights: One for each class; each loss is their weighted mean over the classes.

    Raises:
        ConfigError: If a name is not known, or a weight is no positive number.

    Examples:
        >>> loss = SegmentationLoss({"cross_entropy": 1.0, "dice": 0.5})
        >>> logits, masks = torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)
        >>> f"{loss(logits, masks):.4f}"  # log(2) + 0.5 * (1 - 2 / 3) / 2
        '0.7765'
    """

    def __init__(
        self,
        terms: str | Mapping[str, float] = "cross_entropy",
        ignore_index: int = IGNORE_INDEX,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if problems := loss_problems(terms):
            raise ConfigError(problems)
        weights = {terms: 1.0} if isinstance(terms, str) else dict(terms)
        self.weights = list(weights.values())
        self.losses = nn.ModuleList(LOSSES[name](ignore_index, class_weights) for name in weights)

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: ``(N, classes, H, W)``, of any floating-point type.
            masks: Class of each pixel, int64 ``(N, H, W)``.

        Returns:
            A scalar; 0 if all pixels are ignored.
        """
        logits = logits.float()
        losses = [weight * loss(logits, masks) for weight, loss in zip(self.weights, self.losses, strict=True)]
        return torch.stack(losses).sum()


def loss_problems(terms: str | Mapping[str, float], path: str = "loss") -> list[Problem]:
    """Check ``terms`` of :class:`SegmentationLoss`; ``path`` is their key path in the YAML file."""
    known = ", ".join(LOSSES)
    names = [terms] if isinstance(terms, str) else list(terms)
    if not names:
        return [Problem(f"expected at least one of: {known}, such as {{cross_entropy: 1.0, dice: 0.5}}.", path)]
    unknown = [name for name in names if name not in LOSSES]
    problems = [
        Problem(f'unknown loss "{name}".{did_you_mean(name, LOSSES)} Expected one of: {known}.', path)
        for name in unknown
    ]
    if isinstance(terms, Mapping):
        problems += [
            Problem(f"expected a weight greater than 0, got {weight}. Leave the loss out instead.", f"{path}.{name}")
            for name, weight in terms.items()
            if name not in unknown and not weight > 0
        ]
    return problems
