"""Base of the models that compute logits from images: losses, metrics, logging, checkpoints."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from cuelight.config.schema import Part
from cuelight.errors import CheckpointError, ConfigError, Problem
from cuelight.training.optimization import Optimization
from cuelight.utils.words import checked_names

logger = logging.getLogger(__name__)

MIN_CLASSES = 2

_CLASS_NAMES = "class_names"
_TRAINING_METRICS = "training_metrics"


class SupervisedModel(pl.LightningModule):
    """Base of the models whose batches are images and targets.

    Losses and metrics are exact over all images of all processes, continue after a resume in the middle of an epoch,
    and are logged only where the trainer logs. The class names are saved in every checkpoint.

    A subclass creates its network and the metrics below, and implements :meth:`update_loss`.

    Args:
        num_classes: Number of classes.
        class_names: Name of each class, in the order of the outputs.
        optimization: Makes the optimizer and the scheduler; AdamW with a learning rate of 1e-3 if left out.

    Attributes:
        train_loss: Averages the loss over a training epoch.
        val_loss: Averages the loss over a validation.
        test_loss: Averages the loss over a test.
        train_metrics: Metrics of a training epoch by their names.
        val_metrics: Metrics of a validation, with the prefix ``val/``.
        test_metrics: Metrics of a test, with the prefix ``test/``.
        confusion_matrix: Updated in a test, and in a validation outside of a training.
    """

    output_names: tuple[str, ...] = ("logits",)

    train_loss: Metric
    val_loss: Metric
    test_loss: Metric
    train_metrics: nn.ModuleDict
    val_metrics: MetricCollection
    test_metrics: MetricCollection
    confusion_matrix: Metric

    def __init__(
        self, num_classes: int, class_names: Sequence[str] | None = None, optimization: Optimization | None = None
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.class_names = list(class_names) if class_names is not None else None
        self.optimization = optimization or Optimization(Part(name="AdamW", params={"lr": 1e-3}))

    @abstractmethod
    def update_loss(self, mean_loss: Metric, logits: Any, targets: Any, training: bool) -> Tensor:
        """Compute the loss of a batch and add it to the mean.

        Args:
            mean_loss: Averages the losses.
            logits: Output of the network.
            targets: Targets of the batch.
            training: Whether the loss is minimized; otherwise it is only reported, for example without label smoothing.

        Returns:
            The loss of the batch, a scalar.
        """

    def compared(self, logits: Any, targets: Any) -> tuple[Any, Any]:
        """Convert logits and targets to what the metrics compare."""
        return logits, targets

    def log_metrics(self, metrics: MetricCollection, **options: Any) -> None:
        """Log metrics with further arguments of Lightning's ``log_dict``."""
        self.log_dict(metrics, **options)

    def images_and_targets(self, batch: Sequence[Any]) -> tuple[Tensor, Any]:
        """Split a batch into images ``(N, C, H, W)`` and targets."""
        images, targets = batch
        return images, targets

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        """Return the mean loss of a batch, and update the metrics."""
        images, targets = self.images_and_targets(batch)
        logits = self(images)
        loss = self.update_loss(self.train_loss, logits, targets, training=True)
        for metric in self._training_metrics().values():
            metric.update(*self.compared(logits.detach(), targets))
        # Logging in Lightning takes several times as long as the metrics, so it happens only where it is needed.
        log_every_n_steps = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if batch_idx == 0 or (log_every_n_steps and (self.global_step + 1) % log_every_n_steps == 0):
            self.log("train/loss_step", loss.detach(), prog_bar=True)
        if self.trainer.is_last_batch:
            self._log_training_metrics()
        return loss

    def on_train_epoch_start(self) -> None:
        """Reset the training metrics."""
        self.train_loss.reset()
        for metric in self._training_metrics().values():
            metric.reset()

    def on_train_epoch_end(self) -> None:
        """Log the training metrics, also of an epoch that was cut short."""
        self._log_training_metrics()

    def on_validation_epoch_start(self) -> None:
        """Reset the validation metrics; ``trainer.validate`` leaves tensors of inference mode in them."""
        self.val_loss.reset()
        self.val_metrics.reset()
        self.confusion_matrix.reset()

    def validation_step(self, batch: Sequence[Any], batch_idx: int) -> None:
        """Update the validation metrics with a batch."""
        self._evaluate(self.val_loss, self.val_metrics, batch)

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics; here, so that a process without a batch of its own takes part."""
        self.log("val/loss", self.val_loss, prog_bar=True)
        self.log_metrics(self.val_metrics, prog_bar=True)

    def on_test_epoch_start(self) -> None:
        """Reset the test metrics; a logged metric is reset by Lightning, its values are not."""
        self.test_metrics.reset()
        self.confusion_matrix.reset()

    def test_step(self, batch: Sequence[Any], batch_idx: int) -> None:
        """Update the test metrics with a batch."""
        self._evaluate(self.test_loss, self.test_metrics, batch)

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        self.log("test/loss", self.test_loss)
        self.log_metrics(self.test_metrics)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and the scheduler."""
        return self.optimization(self)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the class names, and the training metrics of the epoch so far."""
        checkpoint[_CLASS_NAMES] = self.class_names
        checkpoint[_TRAINING_METRICS] = {name: _state(metric) for name, metric in self._counted_in_training().items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the training metrics, and the class names if this model has none."""
        counted, metrics = checkpoint.get(_TRAINING_METRICS, {}), self._counted_in_training()
        try:
            saved = None if (names := checkpoint.get(_CLASS_NAMES)) is None else list(checked_names(names))
            if counted.keys() == metrics.keys():  # otherwise it is of another task, and loading its weights fails
                # Only the counts of the first process are saved; each process continues with them in place of its own.
                for name, metric in metrics.items():
                    _restore(metric, counted[name])
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise CheckpointError(
                f"{_TRAINING_METRICS} or {_CLASS_NAMES} in the checkpoint is damaged: {error}. Use another checkpoint."
            ) from error
        if self.class_names is None:
            self.class_names = saved
        elif saved is not None and saved != self.class_names:
            logger.warning(
                "The checkpoint was trained for the classes %s, but the data has %s, so class names do not match "
                "the outputs. Use the data of the checkpoint, or train a new model.",
                saved,
                self.class_names,
            )

    def all_class_names(self) -> list[str]:
        """Return the name of each output; the index as text where there is none."""
        given = self.class_names or []
        return [*given, *(str(index) for index in range(len(given), self.num_classes))]

    def _training_metrics(self) -> dict[str, Metric]:
        return dict(self.train_metrics.items())  # type: ignore[arg-type]  # all of them are metrics

    def _counted_in_training(self) -> dict[str, Metric]:
        return {"loss": self.train_loss, **self._training_metrics()}

    def _log_training_metrics(self) -> None:
        for name, metric in self._counted_in_training().items():
            self.log(f"train/{name}", metric, prog_bar=True, on_step=False, on_epoch=True)

    def _evaluate(self, mean_loss: Metric, metrics: MetricCollection, batch: Sequence[Any]) -> None:
        images, targets = self.images_and_targets(batch)
        logits = self(images)
        self.update_loss(mean_loss, logits, targets, training=False)
        compared = self.compared(logits, targets)
        metrics.update(*compared)
        if self.trainer.state.fn != "fit":  # it is not shown during training
            self.confusion_matrix.update(*compared)


def count_classes(num_classes: int | None, class_names: Sequence[str] | None, least: int = MIN_CLASSES) -> int:
    """Return the number of classes of a model: ``num_classes``, or one for each of ``class_names``.

    Raises:
        ConfigError: If it is not known, below ``least``, or less than there are names.
    """
    named = len(class_names) if class_names is not None else None
    count = num_classes if num_classes is not None else named
    if class_names is not None and named is not None and named < least and num_classes in (None, named):
        has = f"only the class {class_names[0]}" if class_names else "no class"
        needs = f"needs at least {least} classes to choose between" if least > 1 else "needs at least 1 class"
        raise ConfigError([Problem(f"the data has {has}; a model {needs}.", "data")])
    if count is None or count < least:
        got = "but neither it nor class_names was given" if count is None else f"got {count}"
        classes = f"{least} classes" if least > 1 else "1 class"
        message = f"expected at least {classes}, {got}. Set num_classes, or class_names of the data module."
        raise ConfigError([Problem(message, "model.params.num_classes")])
    if named is not None and named > count:
        message = f"the data has {named} classes, but num_classes is {count}. Leave num_classes out, or raise it."
        raise ConfigError([Problem(message, "model.params.num_classes")])
    return count


def _state(metric: Metric) -> dict[str, Tensor]:
    """Return the state of a metric that is not part of the model's ``state_dict``."""
    metric.persistent(True)
    state = {name: value.clone() for name, value in metric.state_dict().items()}
    metric.persistent(False)
    return state


def _restore(metric: Metric, state: Mapping[str, Tensor]) -> None:
    """Load what :func:`_state` returned."""
    own = _state(metric)
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in own.items()}:
        raise ValueError(f"the counts of {type(metric).__name__} have other names or shapes")
    metric.load_state_dict(state)
