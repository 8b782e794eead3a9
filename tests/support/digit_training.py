"""A training on a few real digits, with all in the network that a look at it might disturb."""

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from cuelight.data.datasets.digits import Digits, load_digits
from cuelight.images import tensors
from support import trainers

BATCH_SIZE = 8
STEPS = 4  # of an epoch


class NoisyDigits(Dataset):
    """Digits with noise from the global generator, as augmentation in the main process draws it."""

    def __init__(self, images, labels, noise):
        self.images, self.labels, self.noise = images, labels, noise

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        return image + self.noise * torch.randn_like(image), self.labels[index]


class DigitData(pl.LightningDataModule):
    """Four shuffled training batches and two for validation, normalized and named as Digits does."""

    preprocessing = Digits().preprocessing
    class_names = Digits().class_names

    def __init__(self, noise=0.1, batch_size=BATCH_SIZE):
        super().__init__()
        images, labels = load_digits()
        chosen = torch.arange(6 * BATCH_SIZE) * 104 % len(labels)
        self.images = tensors.prepare(self.preprocessing, torch.from_numpy(images)[chosen])
        self.labels = torch.from_numpy(labels)[chosen]
        self.noise, self.batch_size = noise, batch_size

    def train_dataloader(self):
        rows = NoisyDigits(self.images[: STEPS * BATCH_SIZE], self.labels[: STEPS * BATCH_SIZE], self.noise)
        return DataLoader(rows, batch_size=BATCH_SIZE, shuffle=True)

    def val_dataloader(self):
        rows = NoisyDigits(self.images[STEPS * BATCH_SIZE :], self.labels[STEPS * BATCH_SIZE :], 0.0)
        return DataLoader(rows, batch_size=self.batch_size)


class DigitModel(pl.LightningModule):
    """Convolutions with BatchNorm, an in-place ReLU and dropout; keeps the loss of every batch in ``losses``."""

    def __init__(self, example=True):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout2d(0.2),
            nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(16, 10))
        self.losses = []
        if example:
            self.example_input_array = torch.zeros(1, 1, 28, 28)

    def forward(self, images):
        return self.head(self.body(images))

    def training_step(self, batch, batch_idx):
        loss = functional.cross_entropy(self(batch[0]), batch[1])
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch, batch_idx):
        loss = functional.cross_entropy(self(batch[0]), batch[1])
        self.losses.append(loss.item())
        self.log("val/loss", loss)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def trainer_for(folder, callbacks, **settings):
    usual = {
        "max_epochs": 2,
        "num_sanity_val_steps": 2,
        "logger": CSVLogger(folder, name="", version=""),
        "log_every_n_steps": 1,
    }
    return trainers.quiet_trainer(folder, callbacks, **usual | settings)


def fit(folder, callbacks, make_model=DigitModel, data=None, **settings):
    """Train on few digits; return the trainer and the model."""
    usual = {"logger": CSVLogger(folder, name="", version=""), "log_every_n_steps": 1}
    return trainers.fit(folder, callbacks, make_model, data or DigitData(), **usual | settings)


def pictures_in(folder):
    return sorted(path.name for path in (folder / "gradcam").glob("*"))
