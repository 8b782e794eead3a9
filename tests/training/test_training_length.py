import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from torch.utils.data import DataLoader, IterableDataset

from cuelight.training.training_length import TrainingLength, training_length
from support.trainers import fit


class Counted(BoringModel):
    """Counts before the training, and what really happened in it."""

    def __init__(self):
        super().__init__()
        self.counted = None
        self.epochs_begun = 0

    def configure_optimizers(self):
        self.counted = training_length(self)
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_train_epoch_start(self):
        self.epochs_begun += 1


class Data(pl.LightningDataModule):
    def __init__(self, samples=10):
        super().__init__()
        self.samples = samples
        self.iterators = 0

    def train_dataloader(self):
        data = self

        class Loader(DataLoader):
            def __iter__(self):
                data.iterators += 1
                return super().__iter__()

        return Loader(RandomDataset(32, self.samples))


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.ones(32)


def train(data, **options):
    trainer, model = fit(None, model=Counted, data=data, **{"max_epochs": 3, "limit_val_batches": 0} | options)
    return model, trainer


OPTIONS = {
    "plain": {},
    "accumulated": {"accumulate_grad_batches": 3},
    "scheduled accumulation": {"callbacks": [GradientAccumulationScheduler({0: 1, 2: 4})]},
    "steps end within an epoch": {"max_steps": 13},
    "steps end with an epoch": {"max_steps": 20},
    "steps without epochs": {"max_epochs": -1, "max_steps": 17},
    "steps later than epochs": {"max_steps": 1000},
    "some batches": {"limit_train_batches": 4, "accumulate_grad_batches": 3},
    "a share of the batches": {"limit_train_batches": 0.55},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("source", ["datamodule", "loader"])
def test_counts_what_really_happens(options, source):
    model, trainer = train(Data() if source == "datamodule" else DataLoader(RandomDataset(32, 10)), **options)
    assert model.counted == TrainingLength(trainer.global_step, model.epochs_begun)


def test_counts_without_starting_to_load():
    data = Data()
    train(data, max_epochs=1)
    assert data.iterators == 1


def test_data_without_a_length_needs_max_steps():
    endless = DataLoader(Endless())
    assert train(endless, max_epochs=-1, max_steps=7)[0].counted == TrainingLength(7, 1)
    assert train(endless, max_epochs=3, limit_train_batches=2)[0].counted == TrainingLength(6, 3)


def test_no_epochs_are_no_steps():
    assert train(Data(), max_epochs=0)[0].counted == TrainingLength(0, 0)
