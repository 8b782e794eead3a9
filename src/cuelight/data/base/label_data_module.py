"""Base of the data modules for classification: weighted sampling, MixUp and CutMix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.data.class_weights import ClassWeights, resolve_class_weights
from cuelight.data.loading.samples import Images
from cuelight.data.targets.box_mixing import Probability
from cuelight.data.targets.label_mixing import LabelMixing
from cuelight.data.targets.target_kind import Mixing


class LabelledImages(Images, Protocol):
    """Images with a class each."""

    @property
    def labels(self) -> Sequence[int] | Tensor:
        """The class index of each image."""


Alpha = Annotated[float, Field(ge=0, le=1000)]
_Labelled = TypeVar("_Labelled", bound=LabelledImages)


class LabelDataModule(ImageDataModule[_Labelled]):
    """Images with a class each. A subclass lists it before another base.

    Args:
        *arguments: As for the next base.
        sampling: Draws the training images of an epoch with replacement, as many as there are: ``balanced`` draws all
            classes equally often; a weight for each class, such as ``{cat: 2.0, dog: 1.0}``, draws its images more or
            less often. Each image is used once per epoch if left out.
        mixup_alpha: Parameter of the beta distribution of MixUp, such as 0.2; 0 for no MixUp.
        cutmix_alpha: Parameter of the beta distribution of CutMix, such as 1.0; 0 for no CutMix.
        mix_prob: Probability that a training image is mixed, by either method.
        close_mix: Number of epochs at the end of the training without MixUp and CutMix.
        **options: As for the next base.
    """

    task: ClassVar[str] = "classification"

    def __init__(
        self,
        *arguments: Any,
        sampling: ClassWeights | None = None,
        mixup_alpha: Alpha = 0.0,
        cutmix_alpha: Alpha = 0.0,
        mix_prob: Probability = 1.0,
        close_mix: Annotated[int, Field(ge=0)] = 0,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.sampling = sampling
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        self.mix_prob = mix_prob
        self.close_mix = close_mix

    @property
    def mixing(self) -> Mixing | None:  # type: ignore[override]  # known after setup, as the classes are
        """MixUp and CutMix: labels become shares of the classes, float32 ``(N, classes)``."""
        alphas = self.mixup_alpha, self.cutmix_alpha
        return LabelMixing(len(self.class_names), *alphas, self.mix_prob, self.close_mix) if any(alphas) else None

    @property
    def class_names(self) -> list[str]:
        """The name of each class, in the order of the labels."""
        raise NotImplementedError

    def class_counts(self) -> list[int]:
        """Return the number of training images of each class."""
        self.setup("fit")
        counts: list[int] = np.bincount(self.images_of("train").labels, minlength=len(self.class_names)).tolist()
        return counts

    def sample_weights(self) -> NDArray[np.float64] | None:
        """Return the weight of each training image by ``sampling``; ``None`` if each is used once."""
        if self.sampling is None:
            return None
        weights = resolve_class_weights(self.sampling, self.class_names, self.class_counts(), "data.params.sampling")
        return np.take(np.asarray(weights, dtype=np.float64), np.asarray(self.images_of("train").labels))
