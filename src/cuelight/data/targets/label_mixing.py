"""Training images made of two images, with the share of each class: MixUp and CutMix."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import to_dtype

# With less, torch draws 0.5 too often. Shares are nearly always 0 or 1 either way.
_LEAST_ALPHA = 0.01


class LabelMixing:
    """Joins an augmented training image with another one, by the transforms of torchvision.

    If both methods are used, each is equally likely. Random numbers come from the generator of torch.

    Args:
        num_classes: Number of classes.
        mixup_alpha: Parameter of the beta distribution of MixUp (Zhang et al., 2018, mixup: Beyond Empirical Risk
            Minimization); 0 for no MixUp.
        cutmix_alpha: The same of CutMix (Yun et al., 2019, CutMix: Regularization Strategy to Train Strong Classifiers
            with Localizable Features).
        probability: Probability that an image is mixed.
        plain_epochs: Number of epochs at the end of the training in which images are not mixed.
    """

    joins_augmented = True  # a transform afterwards could cut off the patch of CutMix

    def __init__(
        self, num_classes: int, mixup_alpha: float, cutmix_alpha: float, probability: float, plain_epochs: int
    ) -> None:
        methods = ((v2.MixUp, mixup_alpha), (v2.CutMix, cutmix_alpha))
        used = [
            method(alpha=float(max(alpha, _LEAST_ALPHA)), num_classes=num_classes) for method, alpha in methods if alpha
        ]
        self.method = v2.RandomChoice(used)
        self.num_classes = num_classes
        self.probability = probability
        self.plain_epochs = plain_epochs

    def __call__(self, sample: tuple[Tensor, int], draw: Callable[[], tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        """Return the image, mixed or as it is, and the share of each class, float32 ``(classes,)``."""
        image, label = sample
        if float(torch.rand(())) >= self.probability:
            return image, one_hot(torch.tensor(label), self.num_classes).float()
        other, other_label = draw()
        pair = to_dtype(torch.stack([image, other]), torch.float32, scale=True)
        mixed, targets = self.method(pair, torch.tensor([label, other_label]))
        return to_dtype(mixed[0], image.dtype, scale=True), targets[0]
