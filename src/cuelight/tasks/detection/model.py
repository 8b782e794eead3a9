"""Object detection: boxes with a class each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, ClassVar

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from cuelight.data.targets.boxes import BoxTarget
from cuelight.errors import ConfigWarning, Problem
from cuelight.registry.kinds import NamesOf
from cuelight.tasks.detection.archive import USUAL_STRIDES, archive_head, output_names
from cuelight.tasks.detection.curves import draw_curves
from cuelight.tasks.detection.decode import Decoding, candidates
from cuelight.tasks.detection.examples import objects_of
from cuelight.tasks.detection.explain import DetectionScores
from cuelight.tasks.detection.losses import (
    DEFAULT_LOSS,
    DetectionLoss,
    loss_problems,
    over_all_ranks,
)
from cuelight.tasks.detection.matching import Objects
from cuelight.tasks.detection.metrics import BoxConfusionMatrix, DetectionMetrics, Found, PaperMetrics
from cuelight.tasks.detection.networks import ActivationName, NeckName, build_detector, stride_problems
from cuelight.tasks.detection.outputs import ForParser, found_in, images_of, with_probabilities
from cuelight.training.backbones import backbone_problems
from cuelight.training.mean_loss import WeightedMeanLoss
from cuelight.training.optimization import Optimization
from cuelight.training.supervised import SupervisedModel, count_classes
from cuelight.training.thresholds import WITHOUT_HITS, saved_thresholds

FLOOR = 0.01
"""The least score of the detections that are measured."""

_BACKBONE = "resnet18"
_LEAST_WEIGHT = 1e-6  # for batches without objects
_THRESHOLD = "conf_threshold"
BACKGROUND = "background"

Share = Annotated[float, Field(ge=0, le=1)]


class DetectionModel(SupervisedModel):
    """Detects objects with a backbone of timm, a feature pyramid, and a head without anchors for each stride.

    Objects are assigned to cells as in TOOD (C. Feng et al., 2021), as in YOLOv6 (C. Li et al., 2022) and PP-YOLOE
    (S. Xu et al., 2022). Batches are images ``(N, C, H, W)`` and a
    :class:`~cuelight.data.targets.boxes.BoxTarget`. Logged are ``train/loss``, ``train/loss_step``, and for validation
    and test ``loss``, ``map`` (mean average precision over the IoUs 0.5 to 0.95), ``map_50``, ``map_75``, and
    ``precision``, ``recall`` and ``f1`` at ``conf_threshold``; a test adds ``map_class_nms`` and ``map_50_class_nms``,
    measured as in papers. All others are measured after the suppression of an OAK, whatever the classes.

    Args:
        backbone: Name of a network of timm that gives feature maps, with or without a tag of its weights.
        pretrained: Whether the backbone starts from pretrained weights, downloaded once; or a file that has them.
        num_classes: Number of classes; taken from the data if left out.
        in_channels: Channels of the images; taken from the data if left out.
        input_size: Height and width of the images in pixels, multiples of the largest stride; taken from the data if
            left out.
        class_names: Name of each class, in the order of the labels; they are kept in every checkpoint.
        neck: The feature pyramid: fpn, or pan, which adds a way back up.
        neck_channels: Channels of the pyramid and of the head.
        strides: Pixels per cell of each output, ascending. Devices with an older depthai only read 8, 16, 32.
        head_depth: Convolutions of 3 x 3 in each branch of the head.
        activation: After the convolutions of pyramid and head: relu, hardswish or silu.
        loss: The weight of each loss: one for classes, varifocal or bce, and one for boxes, giou or ciou.
        topk: The number of cells that are assigned to an object, at most.
        alpha: Exponent of the score in the choice of these cells.
        beta: Exponent of the IoU in the choice of these cells.
        conf_threshold: The least score of a box in predictions and in the NN Archive; if left out, the one with the
            best F1 in the last validation.
        iou_threshold: A box is dropped if its IoU with a better one is at least this.
        max_det: The largest number of boxes in an image; an OAK has no such limit.
        backbone_params: More arguments of timm's ``create_model``, such as {drop_path_rate: 0.1}.
        optimization: Makes the optimizer and the scheduler; AdamW with a learning rate of 1e-3 if left out.

    Raises:
        ConfigError: If a name or an argument is not known, the backbone has no feature map of a stride, or the size of
            the images is no multiple of the largest one.
        CuelightError: If the pretrained weights cannot be fetched.

    Examples:
        >>> model = DetectionModel("resnet10t", num_classes=3, input_size=(64, 64))
        >>> [tuple(maps.shape) for maps in model.eval()(model.example_input_array)]
        [(1, 7, 8, 8), (1, 7, 4, 4), (1, 7, 2, 2)]
    """

    task: ClassVar[str] = "detection"
    main_metric: ClassVar[str] = "map"
    main_metric_mode: ClassVar[str] = "max"
    confusion_unit: ClassVar[str] = "boxes"
    has_exact_targets: ClassVar[bool] = True
    logged_metrics: ClassVar[tuple[str, ...]] = (
        *("train/loss", "train/loss_step", "val/loss", "val/map", "val/map_50", "val/map_75"),
        *("val/precision", "val/recall", "val/f1", "val/conf_threshold"),
    )
    read_candidates = staticmethod(candidates)
    read_objects = staticmethod(objects_of)

    def __init__(
        self,
        backbone: Annotated[str, NamesOf("network")] = _BACKBONE,
        pretrained: bool | str = False,
        num_classes: Annotated[int, Field(ge=1)] | None = None,
        in_channels: Annotated[int, Field(ge=1)] = 3,
        input_size: tuple[int, int] = (640, 640),
        class_names: list[str] | None = None,
        neck: NeckName = "fpn",
        neck_channels: Annotated[int, Field(ge=1)] = 64,
        strides: list[Annotated[int, Field(ge=1)]] | None = None,
        head_depth: Annotated[int, Field(ge=0)] = 2,
        activation: ActivationName = "relu",
        loss: dict[str, float] | None = None,
        topk: Annotated[int, Field(ge=1)] = 10,
        alpha: Annotated[float, Field(ge=0)] = 1.0,
        beta: Annotated[float, Field(ge=0)] = 6.0,
        conf_threshold: Share | None = None,
        iou_threshold: Annotated[float, Field(gt=0, le=1)] = 0.6,
        max_det: Annotated[int, Field(ge=1)] = 300,
        backbone_params: dict[str, Any] | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        super().__init__(count_classes(num_classes, class_names, least=1), class_names, optimization)
        self.strides = USUAL_STRIDES if strides is None else tuple(strides)
        height, width = input_size
        self.network = build_detector(
            backbone,
            pretrained,
            in_channels,
            (height, width),
            backbone_params or {},
            self.strides,
            num_classes=self.num_classes,
            neck=neck,
            neck_channels=neck_channels,
            head_depth=head_depth,
            activation=activation,
        )
        self.output_names = tuple(output_names(len(self.strides)))
        self.example_input_array = torch.zeros(1, in_channels, height, width)
        self.loss: nn.Module = DetectionLoss(DEFAULT_LOSS if loss is None else loss, self.strides, topk, alpha, beta)
        self.given_threshold, self.chosen_threshold = conf_threshold, WITHOUT_HITS
        self.iou_threshold, self.max_det = iou_threshold, max_det
        self.train_loss, self.val_loss, self.test_loss = WeightedMeanLoss(), WeightedMeanLoss(), WeightedMeanLoss()
        self.train_metrics = nn.ModuleDict()
        self.val_metrics = self._metrics("val/")
        self.test_metrics = self._metrics("test/")
        self.confusion_matrix = BoxConfusionMatrix(self.num_classes)

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Check backbone, strides and loss in the parameters of a YAML file; ``path`` is their key path."""
        backbone = params.get("backbone", _BACKBONE)
        strides, loss = _given(params, "strides", USUAL_STRIDES), _given(params, "loss", DEFAULT_LOSS)
        found = backbone_problems(backbone, params.get("pretrained", False), params.get("backbone_params"), path)
        found = found or stride_problems(backbone, strides, path)
        return [*found, *loss_problems(loss, f"{path}.loss" if path else "loss")]

    @classmethod
    def parameter_warnings(cls, params: Mapping[str, Any], path: str) -> Iterator[ConfigWarning]:
        """Warn of strides that older devices do not read; ``path`` is the key path of the parameters."""
        if tuple(_given(params, "strides", USUAL_STRIDES)) != USUAL_STRIDES:
            yield ConfigWarning(
                "depthai before 3.12 assumes the strides 8, 16 and 32 in an NN Archive, and decodes others to wrong "
                "boxes. Leave strides out, or use depthai 3.12 or newer on the device.",
                f"{path}.strides",
            )

    @property
    def conf_threshold(self) -> float:
        """The least score of a box."""
        return self.chosen_threshold if self.given_threshold is None else self.given_threshold

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute distances and logits for each stride.

        Args:
            images: Normalised images, float ``(N, C, H, W)``.

        Returns:
            ``(N, 4 + num_classes, H / stride, W / stride)`` for each stride: the distances from the center of a cell to
            the left, top, right and bottom side of a box, in strides, then the logits of the classes.
        """
        maps: tuple[Tensor, ...] = self.network(images)
        return maps

    def update_loss(self, mean_loss: Metric, logits: Sequence[Tensor], targets: BoxTarget, training: bool) -> Tensor:
        """Return the loss of a batch, and update ``mean_loss``; both are divided by the sum of the target scores.

        In training, that is the sum over the batches of all processes.
        """
        total, weight = self.loss(logits, targets)
        own = weight.clamp(min=_LEAST_WEIGHT)
        mean_loss.update(total.detach() / own, own)
        loss: Tensor = total / (over_all_ranks(weight) if training else own)
        return loss

    def compared(self, logits: Sequence[Tensor], targets: BoxTarget) -> tuple[list[Found], list[Objects]]:
        """Return detections above a score of 0.01, and the objects of each image."""
        how = Decoding(self.strides, min(FLOOR, self.conf_threshold), self.iou_threshold, self.max_det)
        outputs = self.exported([values.float() for values in logits])
        return found_in(outputs, how, self.read_candidates), list(map(self.read_objects, images_of(targets)))

    def on_validation_start(self) -> None:
        """Set the threshold of the metrics: in a training, the best one unless it is given."""
        self._set_thresholds(self.given_threshold if self.trainer.state.fn == "fit" else self.conf_threshold)

    def on_test_start(self) -> None:
        """Set the threshold of the metrics to that of the model."""
        self._set_thresholds(self.conf_threshold)

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics, and take the threshold with the best F1 in a training."""
        super().on_validation_epoch_end()
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self.chosen_threshold = _boxes(self.val_metrics).best_threshold

    def log_metrics(self, metrics: MetricCollection, **options: Any) -> None:
        """Log all values of the metrics."""
        self.log_dict(metrics.compute(), **options)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the threshold of the last validation too."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[_THRESHOLD] = self.chosen_threshold

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the threshold too."""
        super().on_load_checkpoint(checkpoint)
        [self.chosen_threshold] = saved_thresholds(checkpoint, _THRESHOLD, [self.chosen_threshold])

    def decoding(self) -> dict[str, Any]:
        """Return how the outputs of the exported model become boxes."""
        return asdict(Decoding(self.strides, self.conf_threshold, self.iou_threshold, self.max_det))

    @property
    def confusion_classes(self) -> list[str]:
        """The name of each row of the confusion matrix."""
        return [*self.all_class_names(), BACKGROUND]

    def result_tables(self, class_names: Sequence[str] | None = None) -> dict[str, list[list[Any]]]:
        """Return the average precision of each class and of each size; none if nothing was measured."""
        if (found := self._measured().precisions) is None:
            return {}
        names = self.all_class_names()
        classes = [[name, found.by_class.get(label)] for label, name in enumerate(names)]
        sizes = [list(of_size) for of_size in found.by_size.items()]
        return {"class_ap": [["class", "AP"], *classes], "size_ap": [["size of the objects", "AP"], *sizes]}

    def result_pictures(self) -> dict[str, Image.Image]:
        """Return the curves of precision and recall; none if nothing was measured."""
        measured = self._measured()
        if measured.curves is None:
            return {}
        return {"precision_recall": draw_curves(measured.curves, self.all_class_names(), self.conf_threshold)}

    def exported(self, outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the outputs of the exported file, with probabilities as the parser of depthai reads them."""
        return tuple(map(with_probabilities, outputs))

    def for_export(self) -> nn.Module:
        """Return the module to export: this model with probabilities as the parser of depthai reads them."""
        return ForParser(self)

    def archive_heads(self) -> list[dict[str, Any]]:
        """Return the head of the NN Archive, by which a device decodes the outputs."""
        return [archive_head(self.all_class_names(), self.output_names, self.decoding())]

    def class_scores(self) -> DetectionScores:
        """Return the class scores of the outputs of ``forward``."""
        return DetectionScores()

    def _metrics(self, prefix: str) -> MetricCollection:
        metrics: dict[str, Metric] = {"boxes": DetectionMetrics(self.num_classes, self.max_det)}
        if prefix == "test/":
            metrics["paper"] = PaperMetrics()
        return MetricCollection(dict(metrics), prefix=prefix, compute_groups=False)

    def _measured(self) -> DetectionMetrics:
        """The metrics of the last evaluation: a test, or a validation outside of a training."""
        tested = _boxes(self.test_metrics)
        return tested if tested.precisions is not None else _boxes(self.val_metrics)

    def _set_thresholds(self, threshold: float | None) -> None:
        _boxes(self.val_metrics).threshold = _boxes(self.test_metrics).threshold = threshold
        self.confusion_matrix.threshold = self.conf_threshold


def _boxes(metrics: MetricCollection) -> DetectionMetrics:
    found: Any = metrics["boxes"]
    measured: DetectionMetrics = found
    return measured


def _given(params: Mapping[str, Any], name: str, default: Any) -> Any:
    return default if params.get(name) is None else params[name]
