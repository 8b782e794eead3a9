"""Parts of one's own, a network and a callback, made known to Cuelight by a decorator.

A file may name them after ``--source examples/own_parts/parts.py``. Their parameters are checked against the types
written here, and ``cuelight callbacks GradientNorm`` shows this documentation.
"""

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional

from cuelight import registry
from cuelight.training import Optimization


@registry.models.register
class SmallNet(pl.LightningModule):
    """A network of two convolutions.

    ``num_classes`` and ``in_channels`` are taken from the data, ``optimization`` from the trainer section, because
    the constructor has parameters of these names.

    Args:
        width: Channels of the first convolution.
        num_classes: Number of classes.
        in_channels: Channels of the images.
        optimization: Makes the optimizer and the scheduler.
    """

    # With these, the checkpoint with the best val/accuracy is kept and tested.
    main_metric = "accuracy"
    main_metric_mode = "max"

    def __init__(
        self, optimization: Optimization, width: int = 16, num_classes: int = 10, in_channels: int = 1
    ) -> None:
        super().__init__()
        self.optimization = optimization
        self.network = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(2 * width * 16, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits ``(N, num_classes)`` of images ``(N, C, H, W)``."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Compute the loss of a batch."""
        images, labels = batch
        loss = functional.cross_entropy(self(images), labels)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Measure a validation batch."""
        self._evaluate(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Measure a test batch."""
        self._evaluate(batch, "test")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimizer and the scheduler that the file names."""
        return self.optimization(self)

    def _evaluate(self, batch: tuple[Tensor, Tensor], stage: str) -> None:
        images, labels = batch
        logits = self(images)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        metrics = {f"{stage}/loss": functional.cross_entropy(logits, labels), f"{stage}/accuracy": accuracy}
        self.log_dict(metrics, prog_bar=True, batch_size=len(labels), sync_dist=True)


@registry.callbacks.register
class GradientNorm(pl.Callback):
    """Logs the norm of all gradients before an optimizer step.

    Args:
        norm_type: Which norm: 2 is the length of the vector, 1 the sum of magnitudes.
    """

    def __init__(self, norm_type: float = 2.0) -> None:
        self.norm_type = norm_type

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Log the norm, when values are due to be logged."""
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        pl_module.log("train/gradient_norm", nn.utils.get_total_norm(gradients, self.norm_type))
