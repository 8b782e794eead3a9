"""Cuelight's callbacks in a plain Trainer of Lightning's, with a module that knows nothing of Cuelight.

``python examples/lightning_trainer.py`` trains into ``runs/plain``, and in the end tests and exports the best weights.
Press Ctrl-C: the state is saved at the next batch. Run it again: it goes on there.
"""

from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.nn import functional

from cuelight.callbacks import (
    EMACallback,
    ExportOnTrainEnd,
    LastCheckpoint,
    MetadataLogger,
    ModelPruning,
    SeedEachBatch,
    TestOnTrainEnd,
    Timer,
)
from cuelight.data import Digits
from cuelight.errors import TrainingInterrupted
from cuelight.weights.checkpoint_io import AtomicCheckpointIO

DIRECTORY = Path("runs", "plain")


class Perceptron(pl.LightningModule):
    """Two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(28 * 28, 128)
        self.classifier = nn.Linear(128, 10)
        self.example_input_array = torch.zeros(1, 1, 28, 28)  # what is exported takes this

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits ``(N, 10)`` of images ``(N, 1, 28, 28)``."""
        logits: Tensor = self.classifier(functional.relu(self.hidden(images.flatten(1))))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Compute the loss of a batch."""
        images, labels = batch
        return functional.cross_entropy(self(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Measure a validation batch."""
        images, labels = batch
        self.log("val/accuracy", (self(images).argmax(dim=1) == labels).float().mean(), batch_size=len(labels))

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Measure a test batch."""
        images, labels = batch
        self.log("test/accuracy", (self(images).argmax(dim=1) == labels).float().mean(), batch_size=len(labels))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Train all parameters with AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def main() -> None:
    """Train, or go on where a Ctrl-C stopped the training before."""
    pl.seed_everything(42)
    trainer = pl.Trainer(
        max_epochs=100,
        accelerator="cpu",
        default_root_dir=DIRECTORY,
        logger=False,
        plugins=[AtomicCheckpointIO()],
        callbacks=[
            SeedEachBatch(42),
            EMACallback(decay=0.997, decay_tau=500),
            ModelPruning(
                "l1_unstructured",
                parameters_to_prune="hidden",
                parameter_names=["weight"],
                amount=0.05,
                use_lottery_ticket_hypothesis=False,
            ),
            Timer("10m"),
            MetadataLogger(),
            ModelCheckpoint(monitor="val/accuracy", mode="max"),
            LastCheckpoint(),
            TestOnTrainEnd(),
            ExportOnTrainEnd(exporter={"dynamic_batch": True}),
        ],
    )
    last = DIRECTORY / "checkpoints" / "last.ckpt"
    try:
        trainer.fit(
            Perceptron(),
            datamodule=Digits(batch_size=64),
            ckpt_path=last if last.is_file() else None,
            weights_only=True,
        )
    except TrainingInterrupted as stopped:
        raise SystemExit(128 + stopped.signal_number) from stopped


if __name__ == "__main__":
    main()
