"""Image classification: one class for each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from cuelight.data.class_weights import ClassWeights, resolve_class_weights
from cuelight.errors import Problem
from cuelight.registry.kinds import NamesOf
from cuelight.tasks.classification.archive import archive_head
from cuelight.training.backbones import backbone_problems, build_backbone
from cuelight.training.optimization import Optimization
from cuelight.training.supervised import MIN_CLASSES, SupervisedModel, count_classes


class ClassificationModel(SupervisedModel):
    """Classifies images with any network of timm.

    Batches are images ``(N, C, H, W)`` and labels ``(N,)`` of integers. Logged are ``train/loss`` and
    ``train/accuracy`` of each epoch, ``train/loss_step`` every ``log_every_n_steps``, and for validation and test
    ``loss``, ``accuracy`` (over all images) and ``f1`` (the mean over the classes), each exact over all images of all
    processes. The loss is the cross-entropy; label smoothing counts in training only, so that ``val/loss`` can be
    compared between trainings; class weights count in both.

    Labels may also be shares of the classes, float ``(N, num_classes)``, as MixUp and CutMix make them. The class with
    the largest share is then the one that ``train/accuracy`` compares.

    Args:
        backbone: Name of a timm network, such as "resnet18" or "mobilenetv3_small_100".
        pretrained: Whether to start from pretrained weights, which are downloaded once; or a file that has them.
        num_classes: Number of classes; taken from the data if left out.
        in_channels: Channels of the images; taken from the data if left out.
        input_size: Height and width of the images in pixels; taken from the data if left out.
        class_names: Name of each class, in the order of the labels; they are kept in every checkpoint.
        label_smoothing: Share of the target spread evenly over all classes in training, 0 to below 1.
        class_weights: ``balanced``, which gives a class with half as many training images twice the weight; or one
            number for each class, in their order or by their names. Each loss is weighted by that of its class, and the
            mean is divided by the sum of the weights. All are the same if left out.
        drop_rate: Dropout before the classifier, 0 to below 1.
        backbone_params: More arguments of the timm network, such as {drop_path_rate: 0.1}.
        class_counts: Number of training images of each class, for ``balanced``.
        optimization: Makes the optimizer and the scheduler; AdamW with a learning rate of 1e-3 if left out.

    Raises:
        ConfigError: If the backbone or one of its arguments is not known, or there are fewer than two classes.
        CuelightError: If the pretrained weights cannot be fetched.

    Examples:
        >>> model = ClassificationModel("resnet18", num_classes=10, in_channels=1, input_size=(28, 28))
        >>> model.eval()(model.example_input_array).shape
        torch.Size([1, 10])
    """

    task: ClassVar[str] = "classification"
    main_metric: ClassVar[str] = "accuracy"
    main_metric_mode: ClassVar[str] = "max"
    logged_metrics: ClassVar[tuple[str, ...]] = (
        "train/loss",
        "train/loss_step",
        "train/accuracy",
        "val/loss",
        "val/accuracy",
        "val/f1",
    )

    class_weights: Tensor | None

    def __init__(
        self,
        backbone: Annotated[str, NamesOf("network")] = "resnet18",
        pretrained: bool | str = False,
        num_classes: Annotated[int, Field(ge=MIN_CLASSES)] | None = None,
        in_channels: Annotated[int, Field(ge=1)] = 3,
        input_size: tuple[int, int] = (224, 224),
        class_names: list[str] | None = None,
        label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        class_weights: ClassWeights | None = None,
        drop_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        backbone_params: dict[str, Any] | None = None,
        class_counts: list[int] | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        super().__init__(count_classes(num_classes, class_names), class_names, optimization)
        self.label_smoothing = label_smoothing
        weights = None
        if class_weights is not None:
            path = "model.params.class_weights"
            weights = torch.tensor(resolve_class_weights(class_weights, self.all_class_names(), class_counts, path))
        self.register_buffer("class_weights", weights, persistent=False)
        height, width = input_size
        self.backbone = build_backbone(
            backbone, pretrained, self.num_classes, in_channels, (height, width), drop_rate, backbone_params or {}
        )
        self.example_input_array = torch.zeros(1, in_channels, height, width)
        self.train_loss, self.val_loss, self.test_loss = _MeanLoss(), _MeanLoss(), _MeanLoss()
        self.train_metrics = nn.ModuleDict({"accuracy": _accuracy(self.num_classes)})
        self.val_metrics = _evaluation_metrics(self.num_classes, "val/")
        self.test_metrics = _evaluation_metrics(self.num_classes, "test/")
        self.confusion_matrix = MulticlassConfusionMatrix(self.num_classes, validate_args=False)

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Check the backbone in the parameters of a YAML file, without building it; ``path`` is their key path."""
        backbone, pretrained = params.get("backbone", "resnet18"), params.get("pretrained", False)
        return backbone_problems(backbone, pretrained, params.get("backbone_params"), path)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            images: Normalised images, float ``(N, C, H, W)``.

        Returns:
            Logits ``(N, num_classes)``.
        """
        logits: Tensor = self.backbone(images)
        return logits

    def update_loss(self, mean_loss: Metric, logits: Tensor, targets: Tensor, training: bool) -> Tensor:
        """Return the weighted mean of the losses, with label smoothing in training, and update ``mean_loss``."""
        smoothing = self.label_smoothing if training else 0.0
        if targets.is_floating_point():  # the model may have more classes than the data
            targets = functional.pad(targets, (0, self.num_classes - targets.shape[1]))
        losses = functional.cross_entropy(
            logits, targets, self.class_weights, label_smoothing=smoothing, reduction="none"
        )
        weights = torch.ones_like(losses) if self.class_weights is None else _weigh(self.class_weights, targets)
        mean_loss.update(losses.detach(), weights)
        return losses.mean() / weights.mean()

    def compared(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, and the class of each image: of shares, the largest one."""
        return logits, targets.argmax(1) if targets.is_floating_point() else targets

    def archive_heads(self) -> list[dict[str, Any]]:
        """Return the head of the NN Archive, by which a device decodes the logits."""
        return [archive_head(self.all_class_names(), self.output_names)]


def _weigh(class_weights: Tensor, targets: Tensor) -> Tensor:
    """Return the weight of each image by its class, or by the shares of its classes."""
    return (targets * class_weights).sum(1) if targets.is_floating_point() else class_weights[targets]


class _MeanLoss(MeanMetric):
    """The sum of losses, divided by the sum of their weights; one NaN makes it NaN.

    ``MeanMetric`` either leaves such losses out or takes no weights. Checkpoints have the names of its sums.
    """

    def update(self, losses: Tensor, weights: Tensor) -> None:  # type: ignore[override]
        """Add weighted losses ``(N,)`` and their weights."""
        self.mean_value += losses.to(self.dtype).sum()
        self.weight += weights.to(self.dtype).sum()


def _accuracy(num_classes: int) -> MulticlassAccuracy:
    return MulticlassAccuracy(num_classes, average="micro", validate_args=False)


def _evaluation_metrics(num_classes: int, prefix: str) -> MetricCollection:
    f1 = MulticlassF1Score(num_classes, average="macro", validate_args=False)
    return MetricCollection({"accuracy": _accuracy(num_classes), "f1": f1}, prefix=prefix, compute_groups=False)
