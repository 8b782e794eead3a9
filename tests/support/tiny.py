"""A classification problem that trains in a fraction of a second, with a network that has all that can go wrong."""

import lightning.pytorch as pl
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from cuelight.data.loading.prefetching import ResumableLoader
from cuelight.data.loading.sampling import EpochSampler

SAMPLES = 40
BATCH_SIZE = 8
FEATURES = 6


class Rows(TensorDataset):
    """Rows by the keys of EpochSampler."""

    def __getitem__(self, key):
        features, labels = super().__getitem__(key.position)
        return features, labels


def _collate(samples):
    features, labels = zip(*samples, strict=True)
    return torch.stack(features), torch.stack(labels), ()


class TinyData(pl.LightningDataModule):
    """Five training batches, shuffled anew in each epoch, and three for validation and for test."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.features = torch.randn(SAMPLES, FEATURES, generator=generator)
        self.labels = (self.features.sum(1) > 0).long()

    def train_dataloader(self):
        rows = Rows(self.features, self.labels)
        sampler = EpochSampler(rows, BATCH_SIZE, 3)
        sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)
        return ResumableLoader(rows, batch_size=BATCH_SIZE, sampler=sampler, collate_fn=_collate)

    def val_dataloader(self):
        rows = TensorDataset(self.features[:24], self.labels[:24])
        return DataLoader(rows, batch_size=BATCH_SIZE)

    test_dataloader = val_dataloader


class TinyModel(pl.LightningModule):
    """Two linear layers with BatchNorm and dropout; keeps the loss of every batch and validation in ``trace``."""

    def __init__(self, interval: str = "step") -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 2)
        )
        self.interval = interval
        self.trace = []

    def forward(self, features):
        return self.network(features)

    def training_step(self, batch, batch_idx):
        loss = functional.cross_entropy(self(batch[0]), batch[1])
        self.trace.append((self.current_epoch, batch_idx, loss.item()))
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", functional.cross_entropy(self(batch[0]), batch[1]), batch_size=len(batch[0]))

    def test_step(self, batch, batch_idx):
        self.log("test/loss", functional.cross_entropy(self(batch[0]), batch[1]), batch_size=len(batch[0]))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        scheduler = (
            torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=200)
            if self.interval == "step"
            else torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": self.interval}}


class SkipsSomeBatches(TinyModel):
    """Returns no loss for some batches."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return None if batch_idx % 2 == 0 else loss
