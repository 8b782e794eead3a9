"""Semantic segmentation: one class for each pixel."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from cuelight.data.base.splits import warn_of_missing_classes
from cuelight.data.class_weights import resolve_class_weights
from cuelight.errors import Problem
from cuelight.images.preprocessing import IGNORE_INDEX
from cuelight.registry.kinds import NamesOf
from cuelight.tasks.segmentation.archive import archive_head
from cuelight.tasks.segmentation.losses import SegmentationLoss, loss_problems
from cuelight.tasks.segmentation.metrics import PixelConfusionMatrix, iou_of_classes, pixel_metrics
from cuelight.tasks.segmentation.networks import build_network, learns_from_one_image, network_problems
from cuelight.training.mean_loss import WeightedMeanLoss
from cuelight.training.optimization import Optimization
from cuelight.training.supervised import MIN_CLASSES, SupervisedModel, count_classes

logger = logging.getLogger(__name__)

_ARCHITECTURE, _ENCODER, _LOSS = "Unet", "resnet18", "cross_entropy"


class SegmentationModel(SupervisedModel):
    """Segments images with the architectures of segmentation-models-pytorch.

    Batches are images ``(N, C, H, W)`` and masks ``(N, H, W)`` of integers: the class of each pixel, or
    ``ignore_index``. Logged are ``train/loss`` of each epoch, ``train/loss_step`` every ``log_every_n_steps``, and for
    validation and test ``loss``, ``mean_iou`` and ``dice`` (means over the classes) and ``pixel_accuracy``, each
    exact over all pixels of all processes that count. Classes that neither masks nor predictions have are left out of
    the means. ``loss`` is the mean over the batches by their numbers of pixels.

    Args:
        architecture: Unet, UnetPlusPlus, MAnet, Linknet, FPN, PSPNet, DeepLabV3, DeepLabV3Plus, PAN, UPerNet,
            Segformer or DPT.
        encoder: Name of a network of timm that gives feature maps, or of an encoder that only
            segmentation-models-pytorch has, such as mit_b0.
        pretrained: Whether the encoder starts from pretrained weights, which are downloaded once; or a file that has
            them, for a network of timm.
        num_classes: Number of classes; taken from the data if left out.
        in_channels: Channels of the images; taken from the data if left out.
        input_size: Height and width of the images in pixels; taken from the data if left out.
        class_names: Name of each class, in the order of the values of the masks; they are kept in every checkpoint.
        loss: cross_entropy, dice or focal; or the weight of each, such as {cross_entropy: 1.0, dice: 0.5}.
        ignore_index: Value of the pixels of a mask that count nowhere, besides 255 where that is no class.
        class_weights: One number for each class, in their order or by their names, by which the loss weighs it; all the
            same if left out.
        architecture_params: More arguments of the network, such as {decoder_channels: [128, 64, 32, 16, 8]}.
        optimization: Makes the optimizer and the scheduler; AdamW with a learning rate of 1e-3 if left out.

    Raises:
        ConfigError: If a name or an argument is not known, the network does not take images of this size, or there
            are fewer than two classes.
        CuelightError: If the pretrained weights cannot be fetched.

    Examples:
        >>> model = SegmentationModel("Unet", "resnet18", num_classes=3, input_size=(64, 64))
        >>> model.eval()(model.example_input_array).shape
        torch.Size([1, 3, 64, 64])
    """

    task: ClassVar[str] = "segmentation"
    main_metric: ClassVar[str] = "mean_iou"
    main_metric_mode: ClassVar[str] = "max"
    confusion_unit: ClassVar[str] = "pixels"
    logged_metrics: ClassVar[tuple[str, ...]] = (
        "train/loss",
        "train/loss_step",
        "val/loss",
        "val/mean_iou",
        "val/pixel_accuracy",
        "val/dice",
    )

    def __init__(
        self,
        architecture: Annotated[str, NamesOf("architecture")] = _ARCHITECTURE,
        encoder: Annotated[str, NamesOf("encoder")] = _ENCODER,
        pretrained: bool | str = False,
        num_classes: Annotated[int, Field(ge=MIN_CLASSES)] | None = None,
        in_channels: Annotated[int, Field(ge=1)] = 3,
        input_size: tuple[int, int] = (256, 256),
        class_names: list[str] | None = None,
        loss: str | dict[str, float] = _LOSS,
        ignore_index: int = IGNORE_INDEX,
        class_weights: list[float] | dict[str, float] | None = None,
        architecture_params: dict[str, Any] | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        super().__init__(count_classes(num_classes, class_names), class_names, optimization)
        if class_weights is not None:
            path = "model.params.class_weights"
            class_weights = resolve_class_weights(class_weights, self.all_class_names(), None, path, may_be_zero=True)
        height, width = input_size
        self.network = build_network(
            architecture,
            encoder,
            pretrained,
            self.num_classes,
            in_channels,
            (height, width),
            architecture_params or {},
        )
        self._learns_from_one_image = learns_from_one_image(self.network, in_channels, (height, width))
        self.example_input_array = torch.zeros(1, in_channels, height, width)
        self.ignore_index = ignore_index
        self._counted_splits: set[str] = set()
        self.loss = SegmentationLoss(loss, ignore_index, class_weights)
        self.train_loss, self.val_loss, self.test_loss = WeightedMeanLoss(), WeightedMeanLoss(), WeightedMeanLoss()
        self.train_metrics = nn.ModuleDict()
        self.val_metrics = pixel_metrics(self.num_classes, ignore_index, "val/")
        self.test_metrics = pixel_metrics(self.num_classes, ignore_index, "test/")
        self.confusion_matrix = PixelConfusionMatrix(self.num_classes, ignore_index)

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Check the network and the loss in the parameters of a YAML file; ``path`` is their key path."""
        architecture, encoder = params.get("architecture", _ARCHITECTURE), params.get("encoder", _ENCODER)
        pretrained = params.get("pretrained", False)
        return [
            *network_problems(architecture, encoder, pretrained, params.get("architecture_params"), path),
            *loss_problems(params.get("loss", _LOSS), f"{path}.loss" if path else "loss"),
        ]

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            images: Normalised images, float ``(N, C, H, W)``. In training, a batch of one image is duplicated for a
                network that cannot be trained on one, because the last batch of an epoch may be so small.

        Returns:
            Logits ``(N, num_classes, H, W)``.
        """
        alone = self.training and not self._learns_from_one_image and len(images) == 1
        logits: Tensor = self.network(images.repeat(2, 1, 1, 1))[:1] if alone else self.network(images)
        return logits

    def images_and_targets(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the images ``(N, C, H, W)`` and masks ``(N, H, W)`` of a batch.

        In the masks, 255 becomes ``ignore_index`` unless it is a class.
        """
        images, masks = batch
        if self.ignore_index != IGNORE_INDEX and self.num_classes <= IGNORE_INDEX:
            masks = torch.where(masks == IGNORE_INDEX, self.ignore_index, masks)
        return images, masks

    def update_loss(self, mean_loss: Metric, logits: Tensor, targets: Tensor, training: bool) -> Tensor:
        """Return the loss of a batch, and update ``mean_loss``, weighted by the number of pixels."""
        loss: Tensor = self.loss(logits, targets)
        mean_loss.update(loss.detach(), (targets != self.ignore_index).sum())
        return loss

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics; and, the first time, the classes that no mask has."""
        super().on_validation_epoch_end()
        if not self.trainer.sanity_checking:
            self._warn_of_missing_classes("val", self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Log the test metrics, and the classes that no mask has."""
        super().on_test_epoch_end()
        self._warn_of_missing_classes("test", self.test_metrics)

    def compared(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the predicted and the true class of each pixel, int64 ``(N, H, W)``."""
        return logits.argmax(dim=1), targets

    def _warn_of_missing_classes(self, split: str, metrics: MetricCollection) -> None:
        counts: Any = metrics["mean_iou"]
        if split in self._counted_splits:
            return
        self._counted_splits.add(split)
        pixels = self.trainer.strategy.reduce(counts.confmat.sum(dim=1), reduce_op="sum").tolist()
        counted = [index for index in range(self.num_classes) if index != self.ignore_index]
        present = [place for place, index in enumerate(counted) if pixels[index]]
        if present and self.trainer.is_global_zero:
            names = self.all_class_names()
            warn_of_missing_classes(split, present, [names[index] for index in counted], "pixel")
        elif self.trainer.is_global_zero:
            logger.warning(
                "%s: no pixel of any mask has a class: all of them are %d, which is ignored. The metrics and the loss "
                "are NaN. Check the masks.",
                split, self.ignore_index,
            )  # fmt: skip

    def for_export(self) -> nn.Module:
        """Return the module to export: this model with positive logits, which give the same probabilities."""
        return PositiveLogits(self)

    def archive_heads(self) -> list[dict[str, Any]]:
        """Return the head of the NN Archive, by which a device decodes the logits."""
        return [archive_head(self.all_class_names(), self.output_names)]

    def result_tables(self, class_names: Sequence[str] | None = None) -> dict[str, list[list[Any]]]:
        """Return the intersection over union of each class, from the confusion matrix; empty if it has no counts."""
        if not self.confusion_matrix.update_called:
            return {}
        named = list(class_names or self.class_names or ())[: self.num_classes]
        names = [*named, *map(str, range(len(named), self.num_classes))]
        ious = iou_of_classes(self.confusion_matrix.compute().cpu().double()).tolist()
        rows = [list(row) for row in zip(names, ious, strict=True)]
        return {"class_iou": [["class", "IoU"], *rows]}


class PositiveLogits(nn.Module):
    """Shifts the logits ``(N, classes, H, W)`` of a model so that the smallest of each pixel is 1.

    depthai's SegmentationParser assigns no class to a pixel whose logits are all 0 or less.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Compute the shifted logits."""
        logits: Tensor = self.model(images)
        return logits - logits.amin(dim=1, keepdim=True) + 1.0
