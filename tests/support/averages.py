"""A second computation of averaged weights, from copies and by the formula, to compare ``EMACallback`` with."""

import math

import lightning.pytorch as pl
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from support.comparing import weights_of

FEATURES = 6
SAMPLES = 40
BATCH_SIZE = 8
DECAY = {"decay": 0.9, "decay_tau": 5}  # for EMACallback, as AverageByHand has them


class AverageByHand(pl.Callback):
    """Averages copies of the weights after each batch that changed a parameter."""

    def __init__(self, decay=0.9, tau=5):
        self.decay, self.tau = decay, tau
        self.average, self.raw, self.updates = {}, {}, 0

    def on_train_start(self, trainer, pl_module):
        if not self.average:
            self.average = self.raw = weights_of(pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        before, self.raw = self.raw, weights_of(pl_module)
        if any(not torch.equal(before[name], self.raw[name]) for name, _ in pl_module.named_parameters()):
            self.step(self.raw)

    def step(self, weights):
        self.updates += 1
        decay = self.decay * (1 - math.exp(-self.updates / self.tau)) if self.tau else self.decay
        self.average = {
            name: decay * self.average[name] + (1 - decay) * value if value.is_floating_point() else value
            for name, value in weights.items()
        }


class ByHand(pl.Callback):
    """Averages copies of the weights, and keeps what the model held at the moments that matter.

    Attributes:
        average: The average after the last step.
        raw: The weights after each optimizer step.
        validated: What each validation found in the model, and the average of then; the weights if there was none.
        went_on: What each batch found in the model, and what the batch before had left.
        ended: What the model held at the end.
    """

    def __init__(self, decay, tau=None, every=1, start=0):
        self.decay, self.tau, self.every, self.start = decay, tau, every, start
        self.average = None
        self.updates = self.steps = 0
        self.raw, self.validated, self.went_on = [], [], []
        self.left = self.ended = None

    def on_train_start(self, trainer, pl_module):
        self.steps = trainer.global_step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        found = weights_of(pl_module)
        if self.left is not None:
            self.went_on.append((found, self.left))
        if self.average is None and trainer.global_step >= self.start:
            self.average = found

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.left = weights_of(pl_module)
        if trainer.global_step == self.steps:
            return
        self.steps = trainer.global_step
        self.raw.append(self.left)
        if self.average is not None and self.steps % self.every == 0:
            self._update(self.raw[-1])

    def on_validation_start(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.validated.append((weights_of(pl_module), self.left if self.average is None else self.average))

    def on_train_end(self, trainer, pl_module):
        self.ended = weights_of(pl_module)

    def _update(self, new):
        self.updates += 1
        decay = self.decay if self.tau is None else self.decay * (1 - math.exp(-self.updates / self.tau))
        self.average = {
            name: decay * old + (1 - decay) * new[name] if old.is_floating_point() else new[name]
            for name, old in self.average.items()
        }


class EvenModel(pl.LightningModule):
    """No dropout, and BatchNorm only if asked for: a batch has the same gradient whole or in equal parts.

    Attributes:
        losses: Of every batch of training and of validation.
    """

    def __init__(self, norm=False):
        super().__init__()
        norms = [nn.BatchNorm1d(8)] if norm else []
        self.network = nn.Sequential(nn.Linear(FEATURES, 8), *norms, nn.Tanh(), nn.Linear(8, 3))
        self.scale = nn.Parameter(torch.ones(1))
        self.losses = {"training": [], "validation": []}

    def forward(self, features):
        return self.scale * self.network(features)

    def training_step(self, batch, batch_idx):
        return self._loss("training", *batch)

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self._loss("validation", *batch), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.2, momentum=0.9)

    def _loss(self, stage, features, labels):
        loss = functional.cross_entropy(self(features), labels)
        self.losses[stage].append(loss.item())
        return loss


class EvenData(pl.LightningDataModule):
    """Rows in a fixed order, dealt out so that all ranks together have the batches that a single one would have."""

    def __init__(self):
        super().__init__()
        features = torch.randn(SAMPLES, FEATURES, generator=torch.Generator().manual_seed(0))
        self.rows = TensorDataset(features, (features.sum(1) > 0).long())

    def train_dataloader(self):
        ranks = self.trainer.world_size
        sampler = DistributedSampler(self.rows, ranks, self.trainer.global_rank, shuffle=False)
        return DataLoader(self.rows, batch_size=BATCH_SIZE // ranks, sampler=sampler)

    val_dataloader = train_dataloader
