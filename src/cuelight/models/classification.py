"""Image classification: one class for each image."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from cuelight.config.schema import Part
from cuelight.errors import ConfigError, Problem
from cuelight.models.backbones import backbone_problems, build_backbone
from cuelight.models.optimization import Optimization

logger = logging.getLogger(__name__)

_MIN_CLASSES = 2
_CLASS_NAMES = "class_names"
_TRAINING_METRICS = "training_metrics"


class ClassificationModel(pl.LightningModule):
    """Classifies images with any network of timm.

    Batches are images ``(N, C, H, W)`` and labels ``(N,)`` of integers. Logged are ``train/loss`` and
    ``train/accuracy`` of each epoch, ``train/loss_step`` every ``log_every_n_steps``, and for validation and test
    ``loss``, ``accuracy`` (over all images) and ``f1`` (the mean over the classes), each exact over all images of all
    processes. The loss is the cross-entropy; label smoothing counts in training only, so that ``val/loss`` can be
    compared between trainings.

    Args:
        backbone: Name of a timm network, such as "resnet18" or "mobilenetv3_small_100".
        pretrained: Whether to start from pretrained weights, which are downloaded once.
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
    output_names: ClassVar[tuple[str, ...]] = ("logits",)
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
        backbone: str = "resnet18",
        pretrained: bool = False,
        num_classes: Annotated[int, Field(ge=_MIN_CLASSES)] | None = None,
        in_channels: Annotated[int, Field(ge=1)] = 3,
        input_size: tuple[int, int] = (224, 224),
        class_names: list[str] | None = None,
        label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        drop_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        backbone_params: dict[str, Any] | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        super().__init__()
        self.class_names = list(class_names) if class_names is not None else None
        self.num_classes = _count_classes(num_classes, self.class_names)
        self.label_smoothing = label_smoothing
        self.optimization = optimization or Optimization(Part(name="AdamW", params={"lr": 1e-3}))
        height, width = input_size
        self.backbone = build_backbone(
            backbone, pretrained, self.num_classes, in_channels, (height, width), drop_rate, backbone_params or {}
        )
        self.example_input_array = torch.zeros(1, in_channels, height, width)
        self.train_loss, self.train_accuracy = _mean_loss(), _accuracy(self.num_classes)
        self.val_loss, self.val_metrics = _mean_loss(), _evaluation_metrics(self.num_classes, "val/")
        self.test_loss, self.test_metrics = _mean_loss(), _evaluation_metrics(self.num_classes, "test/")
        self.confusion_matrix = MulticlassConfusionMatrix(self.num_classes, validate_args=False)

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Check the backbone before anything is made.

        Args:
            params: The parameters that a file sets.
            path: Their key path, for the messages.

        Returns:
            What is wrong.
        """
        backbone, pretrained = params.get("backbone", "resnet18"), bool(params.get("pretrained"))
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

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """Compute the loss of a batch and count it and the accuracy.

        Args:
            batch: Images ``(N, C, H, W)`` and labels ``(N,)``.
            batch_idx: Number of the batch in the epoch.

        Returns:
            The mean loss.
        """
        images, labels = batch
        logits = self(images)
        losses = functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing, reduction="none")
        self.train_loss.update(losses.detach())
        self.train_accuracy.update(logits.detach(), labels)
        loss = losses.mean()
        # Logging costs Lightning several times what the metrics cost, so it happens only where it is seen.
        log_every_n_steps = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if batch_idx == 0 or (log_every_n_steps and (self.global_step + 1) % log_every_n_steps == 0):
            self.log("train/loss_step", loss.detach(), prog_bar=True)
        if self.trainer.is_last_batch:
            self._log_training_metrics()
        return loss

    def on_train_epoch_start(self) -> None:
        """Start the metrics anew."""
        self.train_loss.reset()
        self.train_accuracy.reset()

    def on_train_epoch_end(self) -> None:
        """Log the metrics also where the epoch was cut short."""
        self._log_training_metrics()

    def on_validation_epoch_start(self) -> None:
        """Start the metrics anew; what ``trainer.validate`` left behind are tensors of inference mode."""
        self.val_loss.reset()
        self.val_metrics.reset()
        self.confusion_matrix.reset()

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Count a validation batch into the metrics.

        Args:
            batch: Images ``(N, C, H, W)`` and labels ``(N,)``.
            batch_idx: Number of the batch.
        """
        self._evaluate(self.val_loss, self.val_metrics, batch)

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics; here, so that a process without a batch of its own takes part."""
        self.log("val/loss", self.val_loss, prog_bar=True)
        self.log_dict(self.val_metrics, prog_bar=True)

    def on_test_epoch_start(self) -> None:
        """Start to count the confusions anew."""
        self.confusion_matrix.reset()

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Count a test batch into the metrics.

        Args:
            batch: Images ``(N, C, H, W)`` and labels ``(N,)``.
            batch_idx: Number of the batch.
        """
        self._evaluate(self.test_loss, self.test_metrics, batch)

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        self.log("test/loss", self.test_loss)
        self.log_dict(self.test_metrics)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimizer and the scheduler.

        Returns:
            What ``optimization`` makes for this module.
        """
        return self.optimization(self)

    def archive_heads(self) -> list[dict[str, Any]]:
        """Say how a device decodes the logits.

        Returns:
            The one head of an NN Archive.
        """
        given = self.class_names or []
        names = [*given, *(str(index) for index in range(len(given), self.num_classes))]
        metadata = {"classes": names, "n_classes": self.num_classes, "is_softmax": False}
        return [{"parser": "ClassificationParser", "outputs": list(self.output_names), "metadata": metadata}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the names of the classes with the weights, and what this epoch has counted so far.

        Args:
            checkpoint: What is about to be saved.
        """
        checkpoint[_CLASS_NAMES] = self.class_names
        checkpoint[_TRAINING_METRICS] = {"loss": _state(self.train_loss), "accuracy": _state(self.train_accuracy)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the names of the classes, if this model was made without, and go on counting.

        Args:
            checkpoint: What was loaded.
        """
        if counted := checkpoint.get(_TRAINING_METRICS):
            # Of several processes each goes on with what the first had counted, which stands for its share.
            self.train_loss.load_state_dict(counted["loss"])
            self.train_accuracy.load_state_dict(counted["accuracy"])
        saved = checkpoint.get(_CLASS_NAMES)
        if self.class_names is None:
            self.class_names = saved
        elif saved is not None and saved != self.class_names:
            logger.warning(
                "The checkpoint was trained for the classes %s, but the data has %s: the same outputs now get other "
                "names. Use the data that it was trained on, or train anew.",
                saved,
                self.class_names,
            )

    def _log_training_metrics(self) -> None:
        self.log("train/loss", self.train_loss, prog_bar=True, on_step=False, on_epoch=True)
        self.log("train/accuracy", self.train_accuracy, prog_bar=True, on_step=False, on_epoch=True)

    def _evaluate(self, mean_loss: MeanMetric, metrics: MetricCollection, batch: Sequence[Tensor]) -> None:
        images, labels = batch
        logits = self(images)
        mean_loss.update(functional.cross_entropy(logits, labels, reduction="none"))
        metrics.update(logits, labels)
        if self.trainer.state.fn != "fit":  # nobody looks at it while the model still changes
            self.confusion_matrix.update(logits, labels)


def _mean_loss() -> MeanMetric:
    # A loss that is no number must show; torchmetrics would leave it out. (With "disable" it ignores weights.)
    return MeanMetric(nan_strategy="disable")


def _accuracy(num_classes: int) -> MulticlassAccuracy:
    return MulticlassAccuracy(num_classes, average="micro", validate_args=False)


def _evaluation_metrics(num_classes: int, prefix: str) -> MetricCollection:
    f1 = MulticlassF1Score(num_classes, average="macro", validate_args=False)
    return MetricCollection({"accuracy": _accuracy(num_classes), "f1": f1}, prefix=prefix, compute_groups=False)


def _state(metric: Metric) -> dict[str, Tensor]:
    """The state of a metric that is no part of the model's own ``state_dict``."""
    metric.persistent(True)
    state = {name: value.clone() for name, value in metric.state_dict().items()}
    metric.persistent(False)
    return state


def _count_classes(num_classes: int | None, class_names: list[str] | None) -> int:
    named = len(class_names) if class_names is not None else None
    count = num_classes if num_classes is not None else named
    if count is None or count < _MIN_CLASSES:
        got = "neither it nor class_names was given" if count is None else f"got {count}"
        message = f"expected at least {_MIN_CLASSES} classes, {got}. The data module tells it; without one, set it."
        raise ConfigError([Problem(message, "model.params.num_classes")])
    if named is not None and named > count:
        message = f"the data has {named} classes, but num_classes is {count}. Leave num_classes out, or raise it."
        raise ConfigError([Problem(message, "model.params.num_classes")])
    return count
