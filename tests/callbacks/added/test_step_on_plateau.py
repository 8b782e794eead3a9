import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from torch.utils.data import DataLoader

from cuelight.callbacks.added.last_checkpoint import LastCheckpoint
from cuelight.callbacks.added.step_on_plateau import StepOnPlateau
from cuelight.callbacks.added.stop_after_steps import StopAfterSteps
from cuelight.errors import CuelightError
from support.trainers import fit

# By validation; with a patience of 0, each that is no better than the best before lowers the rate.
SCORES = [3.0, 4.0, 2.0, 5.0, 1.0, 6.0, 7.0, 8.0, 0.5, 9.0]


class Model(BoringModel):
    """Validates with a given row of scores, and records the learning rate of every batch."""

    def __init__(self, monitor="val/loss", **options):
        super().__init__()
        self.monitor = monitor
        self.options = options
        self.validations = 0
        self.rates = []
        self.schedulers = []

    def train_dataloader(self):
        return DataLoader(RandomDataset(32, 6))

    def training_step(self, batch, batch_idx):
        self.rates.append((self.current_epoch, batch_idx, self.optimizers().param_groups[0]["lr"]))
        self.log("train/loss", SCORES[self.current_epoch], on_step=False, on_epoch=True)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        return None

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.log("val/loss", SCORES[self.validations])
            self.validations += 1

    def on_save_checkpoint(self, checkpoint):
        checkpoint["validations"] = self.validations

    def on_load_checkpoint(self, checkpoint):
        self.validations = checkpoint["validations"]

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
        scheduler = {"scheduler": self.scheduler, "monitor": self.monitor} | self.options
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class Save(pl.Callback):
    def __init__(self, path, hook, epoch=1, batch=3):
        self.path, self.hook, self.epoch, self.batch = path, hook, epoch, batch

    def save(self, trainer, hook, batch=None):
        if (hook, trainer.current_epoch, trainer.sanity_checking) == (self.hook, self.epoch, False) and batch in (
            None,
            self.batch,
        ):
            trainer.save_checkpoint(self.path)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.save(trainer, "batch", batch_idx)

    def on_validation_end(self, trainer, pl_module):
        self.save(trainer, "validation")

    def on_train_epoch_end(self, trainer, pl_module):
        self.save(trainer, "epoch")


def train(model, *callbacks, resume=None, **options):
    return fit(None, callbacks, model, None, resume, **{"max_epochs": 4, "limit_val_batches": 1} | options)[1]


@pytest.mark.parametrize("monitor", ["val/loss", "train/loss"])
def test_uninterrupted_training_equals_lightnings(monitor):
    lightning, ours = train(Model(monitor)), train(Model(monitor), StepOnPlateau())
    assert ours.rates == lightning.rates
    assert ours.scheduler.state_dict() == lightning.scheduler.state_dict()
    assert sorted({rate for *_, rate in ours.rates}) == [0.5, 1.0]


@pytest.mark.parametrize("hook", ["epoch", "validation", "batch"])
def test_resumed_equals_uninterrupted(tmp_path, hook):
    checkpoint = tmp_path / "saved.ckpt"
    whole = train(Model(), StepOnPlateau(), Save(checkpoint, hook))
    resumed = train(Model(), StepOnPlateau(), resume=checkpoint)
    assert resumed.rates == whole.rates[-len(resumed.rates) :]
    assert resumed.scheduler.state_dict() == whole.scheduler.state_dict()
    assert {rate for *_, rate in resumed.rates} == {0.5} if hook != "batch" else {1.0, 0.5}


def test_resumed_on_a_metric_of_the_training(tmp_path):
    checkpoint = tmp_path / "saved.ckpt"
    whole = train(Model("train/loss"), StepOnPlateau(), Save(checkpoint, "epoch"))
    resumed = train(Model("train/loss"), StepOnPlateau(), resume=checkpoint)
    assert resumed.rates == whole.rates[-len(resumed.rates) :]


def test_steps_only_where_there_was_a_validation():
    rates = train(Model(), StepOnPlateau(), check_val_every_n_epoch=2, max_epochs=5).rates
    assert [rate for _, batch, rate in rates if batch == 0] == [1.0, 1.0, 1.0, 1.0, 0.5]


def test_steps_after_each_of_several_validations():
    rates = train(Model(), StepOnPlateau(), val_check_interval=0.5, max_epochs=2).rates
    assert [rate for *_, rate in rates] == [1.0] * 6 + [0.5] * 6


def test_schedules_by_step_are_left_to_lightning():
    plain = train(Model("train/loss", interval="step", strict=False))
    assert train(Model("train/loss", interval="step", strict=False), StepOnPlateau()).rates == plain.rates


def test_metric_that_is_not_logged_is_an_error_if_strict():
    with pytest.raises(CuelightError, match=r'monitors val/los, which was not logged. Did you mean "val/loss"'):
        train(Model("val/los"), StepOnPlateau())
    train(Model("val/los", strict=False), StepOnPlateau())


def test_an_epoch_that_was_cut_steps_when_it_is_complete(tmp_path):
    monitor = "train/loss"
    whole = train(Model(monitor), StepOnPlateau(), LastCheckpoint(str(tmp_path)))
    for limit in range(1, 7):
        folder = tmp_path / str(limit)
        train(Model(monitor), StepOnPlateau(), StopAfterSteps(limit), LastCheckpoint(str(folder)))
        resumed = train(Model(monitor), StepOnPlateau(), LastCheckpoint(str(folder)), resume=folder / "last.ckpt")
        assert resumed.scheduler.state_dict() == whole.scheduler.state_dict(), limit
