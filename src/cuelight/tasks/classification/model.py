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
    compared between trainings.

    Args:
        backbone: Name of a timm network, such as "resnet18" or "mobilenetv3_small_100".
        pretrained: Whether to start from pretrained weights, which are downloaded once; or a file that has them.
        num_classes: Number of classes; taken from the data if left out.
        in_channels: Channels of the images; taken from the data if left out.
        input_size: Height and width of the images in pixels; taken from the data if left out.
        class_names: Name of each class, in the order of the labels; they are kept in every checkpoint.
        label_smoothing: Share of the target spread evenly over all classes in training, 0 to below 1.
        drop_rate: Dropout before the classifier, 0 to below 1.
        backbone_params: More arguments of the timm network, such as {drop_path_rate: 0.1}.
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

    def __init__(
        self,
        backbone: Annotated[str, NamesOf("network")] = "resnet18",
        pretrained: bool | str = False,
        num_classes: Annotated[int, Field(ge=MIN_CLASSES)] | None = None,
        in_channels: Annotated[int, Field(ge=1)] = 3,
        input_size: tuple[int, int] = (224, 224),
        class_names: list[str] | None = None,
        label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        drop_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        backbone_params: dict[str, Any] | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        super().__init__(count_classes(num_classes, class_names), class_names, optimization)
        self.label_smoothing = label_smoothing
        height, width = input_size
        self.backbone = build_backbone(
            backbone, pretrained, self.num_classes, in_channels, (height, width), drop_rate, backbone_params or {}
        )
        self.example_input_array = torch.zeros(1, in_channels, height, width)
        self.train_loss = _mean_loss()
        self.train_metrics = nn.ModuleDict({"accuracy": _accuracy(self.num_classes)})
        self.val_loss, self.val_metrics = _mean_loss(), _evaluation_metrics(self.num_classes, "val/")
        self.test_loss, self.test_metrics = _mean_loss(), _evaluation_metrics(self.num_classes, "test/")
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
        """Return the mean loss of a batch, with label smoothing in training, and update ``mean_loss``."""
        smoothing = self.label_smoothing if training else 0.0
        losses = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
        mean_loss.update(losses.detach())
        return losses.mean()

    def archive_heads(self) -> list[dict[str, Any]]:
        """Return the head of the NN Archive, by which a device decodes the logits."""
        return [archive_head(self.all_class_names(), self.output_names)]


def _mean_loss() -> MeanMetric:
    # A NaN loss must be visible; torchmetrics would skip it. (With "disable" it ignores weights.)
    return MeanMetric(nan_strategy="disable")


def _accuracy(num_classes: int) -> MulticlassAccuracy:
    return MulticlassAccuracy(num_classes, average="micro", validate_args=False)


def _evaluation_metrics(num_classes: int, prefix: str) -> MetricCollection:
    f1 = MulticlassF1Score(num_classes, average="macro", validate_args=False)
    return MetricCollection({"accuracy": _accuracy(num_classes), "f1": f1}, prefix=prefix, compute_groups=False)
