"""Multi-label classification: any number of classes for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric, MetricCollection
from torchvision.ops import sigmoid_focal_loss

from cuelight.data.targets.multi_labels import UNKNOWN
from cuelight.errors import ConfigError, Problem
from cuelight.registry.kinds import NamesOf
from cuelight.tasks.multilabel.archive import archive_head
from cuelight.tasks.multilabel.decode import OUTPUT
from cuelight.tasks.multilabel.metrics import LabelMetrics
from cuelight.training.backbones import backbone_problems, build_backbone
from cuelight.training.mean_loss import WeightedMeanLoss
from cuelight.training.optimization import Optimization
from cuelight.training.supervised import SupervisedModel, count_classes
from cuelight.training.thresholds import WITHOUT_HITS, saved_thresholds

_BACKBONE = "resnet18"
_THRESHOLDS = "thresholds"
_LOSSES = {"bce": functional.binary_cross_entropy_with_logits, "focal": sigmoid_focal_loss}


class MultiLabelModel(SupervisedModel):
    """Classifies images that have any number of classes, with any network of timm.

    Batches are images ``(N, C, H, W)`` and labels ``(N, classes)``: 1 for a class in the image, 0 for none, -1 if it is
    unknown, which counts nowhere. Logged are ``train/loss``, ``train/loss_step``, and for validation and test ``loss``,
    the mean over all known labels, ``map`` (average precision) and ``f1`` (at the thresholds), both means over the
    classes that an image has, and exact over all images of all processes.

    Args:
        backbone: Name of a timm network, such as "resnet18" or "mobilenetv3_small_100".
        pretrained: Whether to start from pretrained weights, which are downloaded once; or a file that has them.
        num_classes: Number of classes; taken from the data if left out.
        in_channels: Channels of the images; taken from the data if left out.
        input_size: Height and width of the images in pixels; taken from the data if left out.
        class_names: Name of each class, in the order of the labels; they are kept in every checkpoint.
        loss: bce, the binary cross-entropy, or focal, which weighs easy labels less (T.-Y. Lin et al., 2017, "Focal
            Loss for Dense Object Detection", with alpha 0.25 and gamma 2).
        threshold: The least score of each class of an image, in predictions and in the NN Archive; if left out, for
            each class the one with the best F1 in the last validation.
        drop_rate: Dropout before the classifier, 0 to below 1.
        backbone_params: More arguments of the timm network, such as {drop_path_rate: 0.1}.
        optimization: Makes the optimizer and the scheduler; AdamW with a learning rate of 1e-3 if left out.

    Raises:
        ConfigError: If the backbone or one of its arguments is not known, or there is no class.
        CuelightError: If the pretrained weights cannot be fetched.

    Examples:
        >>> model = MultiLabelModel("resnet18", num_classes=10, in_channels=1, input_size=(28, 28))
        >>> model.eval()(model.example_input_array).shape
        torch.Size([1, 10])
    """

    task: ClassVar[str] = "multilabel"
    main_metric: ClassVar[str] = "map"
    main_metric_mode: ClassVar[str] = "max"
    logged_metrics: ClassVar[tuple[str, ...]] = ("train/loss", "train/loss_step", "val/loss", "val/map", "val/f1")
    output_names = (OUTPUT,)

    def __init__(
        self,
        backbone: Annotated[str, NamesOf("network")] = _BACKBONE,
        pretrained: bool | str = False,
        num_classes: Annotated[int, Field(ge=1)] | None = None,
        in_channels: Annotated[int, Field(ge=1)] = 3,
        input_size: tuple[int, int] = (224, 224),
        class_names: list[str] | None = None,
        loss: Literal["bce", "focal"] = "bce",
        threshold: Annotated[float, Field(ge=0, le=1)] | None = None,
        drop_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        backbone_params: dict[str, Any] | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        super().__init__(count_classes(num_classes, class_names, least=1), class_names, optimization)
        if class_names is not None and len(class_names) < self.num_classes:
            message = (
                f"the data has labels of {len(class_names)} classes, but num_classes is {num_classes}. Leave it out."
            )
            raise ConfigError([Problem(message, "model.params.num_classes")])
        height, width = input_size
        self.backbone = build_backbone(
            backbone, pretrained, self.num_classes, in_channels, (height, width), drop_rate, backbone_params or {}
        )
        self.example_input_array = torch.zeros(1, in_channels, height, width)
        self.loss = _LOSSES[loss]
        self.given_thresholds = None if threshold is None else [threshold] * self.num_classes
        self.chosen_thresholds = [WITHOUT_HITS] * self.num_classes
        self.train_loss, self.val_loss, self.test_loss = WeightedMeanLoss(), WeightedMeanLoss(), WeightedMeanLoss()
        self.train_metrics = nn.ModuleDict()
        self.val_metrics, self.test_metrics = (self._metrics(prefix) for prefix in ("val/", "test/"))
        self.confusion_matrix = MetricCollection({}, compute_groups=False)  # type: ignore[assignment]  # counts nothing

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Check the backbone in the parameters of a YAML file, without building it; ``path`` is their key path."""
        backbone, pretrained = params.get("backbone", _BACKBONE), params.get("pretrained", False)
        return backbone_problems(backbone, pretrained, params.get("backbone_params"), path)

    @property
    def thresholds(self) -> list[float]:
        """The least score of each class of an image."""
        return self.chosen_thresholds if self.given_thresholds is None else self.given_thresholds

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
        """Return the mean loss of the known labels of a batch, and update ``mean_loss``, weighted by their number."""
        known = targets != UNKNOWN
        wide = torch.promote_types(logits.dtype, torch.float32)
        losses = self.loss(logits.to(wide), targets.to(wide), reduction="none")
        loss: Tensor = torch.where(known, losses, 0).sum() / known.sum().clamp(min=1)
        mean_loss.update(loss.detach(), known.sum())
        return loss

    def compared(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities and the labels, float32 ``(N, classes)``."""
        return logits.float().sigmoid(), targets.float()

    def on_validation_start(self) -> None:
        """Set the thresholds of the metrics: in a training, the best ones unless they are given."""
        fitting = self.trainer.state.fn == "fit"
        _labels(self.val_metrics).thresholds = self.given_thresholds if fitting else self.thresholds

    def on_test_start(self) -> None:
        """Set the thresholds of the metrics to those of the model."""
        _labels(self.test_metrics).thresholds = self.thresholds

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics, and take the thresholds with the best F1 in a training."""
        super().on_validation_epoch_end()
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self.chosen_thresholds = _labels(self.val_metrics).best_thresholds

    def log_metrics(self, metrics: MetricCollection, **options: Any) -> None:
        """Log all values of the metrics."""
        self.log_dict(metrics.compute(), **options)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the thresholds of the last validation too."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[_THRESHOLDS] = self.chosen_thresholds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the thresholds too."""
        super().on_load_checkpoint(checkpoint)
        self.chosen_thresholds = saved_thresholds(checkpoint, _THRESHOLDS, self.chosen_thresholds)

    def decoding(self) -> dict[str, Any]:
        """Return how the outputs of the exported model become classes."""
        return {_THRESHOLDS: self.thresholds}

    def result_tables(self, class_names: Sequence[str] | None = None) -> dict[str, list[list[Any]]]:
        """Return average precision, F1 and threshold of each class; none if nothing was measured."""
        tested, validated = _labels(self.test_metrics), _labels(self.val_metrics)
        measured = tested if tested.f1 else validated
        columns = {
            "class_ap": ("AP", measured.precisions),
            "class_f1": ("F1", measured.f1),
            _THRESHOLDS: ("threshold", measured.thresholds or self.thresholds),
        }
        names = self.all_class_names()
        return {
            key: [["class", title], *map(list, zip(names, values, strict=True))]
            for key, (title, values) in columns.items()
            if measured.f1
        }

    def exported(self, logits: Tensor) -> Tensor:
        """Return the outputs of the exported file: probabilities."""
        return logits.sigmoid()

    def for_export(self) -> nn.Module:
        """Return the module to export: this model with probabilities, which no parser of depthai computes."""
        return nn.Sequential(self, nn.Sigmoid())

    def archive_heads(self) -> list[dict[str, Any]]:
        """Return the head of the NN Archive, with the class names and the thresholds."""
        return [archive_head(self.all_class_names(), self.output_names, self.thresholds)]

    def _metrics(self, prefix: str) -> MetricCollection:
        return MetricCollection({"labels": LabelMetrics(self.num_classes)}, prefix=prefix, compute_groups=False)


def _labels(metrics: MetricCollection) -> LabelMetrics:
    found: Any = metrics["labels"]
    measured: LabelMetrics = found
    return measured
