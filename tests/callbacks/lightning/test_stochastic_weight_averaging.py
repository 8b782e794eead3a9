import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader

from cuelight.callbacks.lightning.stochastic_weight_averaging import StochasticWeightAveraging
from support.comparing import same, weights_of
from support.trainers import fit

RATE = 0.05


class Model(BoringModel):
    def __init__(self):
        super().__init__()
        self.history = []

    def train_dataloader(self):
        return DataLoader(torch.ones(4, 32))  # all alike, so that a plain loader can be left in the middle

    def on_train_epoch_start(self):
        self.history.append(self.layer.weight.detach().clone())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(*callbacks, epochs=7, resume=None):
    limits = {"limit_train_batches": 4, "limit_val_batches": 1}
    return fit(None, callbacks, Model, None, resume, max_epochs=epochs, **limits)[1]


class Save(pl.Callback):
    def __init__(self, path, batch=None):
        self.path, self.batch = path, batch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 3 and batch_idx == self.batch:
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 3 and self.batch is None:
            trainer.save_checkpoint(self.path)


def test_weights_are_averaged_equally_or_exponentially():
    average = train(StochasticWeightAveraging(RATE, swa_epoch_start=3))
    expected = torch.stack(average.history[2:]).mean(dim=0)
    torch.testing.assert_close(average.layer.weight.detach(), expected)
    ema = train(StochasticWeightAveraging(RATE, swa_epoch_start=3, avg_fn="ema"))
    expected = ema.history[2]
    for weights in ema.history[3:]:
        expected = 0.999 * expected + 0.001 * weights
    torch.testing.assert_close(ema.layer.weight.detach(), expected)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("batch", [None, 1], ids=["epoch", "batch"])
def test_resumed_equals_uninterrupted(tmp_path, batch, strategy):
    def new():
        return StochasticWeightAveraging(RATE, swa_epoch_start=2, annealing_epochs=4, annealing_strategy=strategy)

    whole = train(new(), Save(tmp_path / "a.ckpt", batch))
    resumed = train(new(), resume=tmp_path / "a.ckpt")
    assert torch.equal(whole.layer.weight, resumed.layer.weight)


class WithStatistics(Model):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(32)

    def forward(self, x):
        return super().forward(self.norm(x))

    def train_dataloader(self):
        return DataLoader(torch.randn(8, 32), batch_size=4)  # statistics need more than one


@pytest.mark.parametrize("kind", [Model, WithStatistics])
def test_the_average_is_in_a_file_of_its_own(tmp_path, kind):
    def end(kept, stop_after=None):
        model, path = kind(), tmp_path / f"{kept}{stop_after}"
        saved = [ModelCheckpoint(path / "checkpoints", save_last=True)] if kept else []
        stop = [StopAfterEpoch(stop_after)] if stop_after else []
        callbacks = [*stop, StochasticWeightAveraging(RATE, swa_epoch_start=1), *saved]
        limits = {"limit_train_batches": 2, "limit_val_batches": 1, "num_sanity_val_steps": 0}
        fit(path, callbacks, model, None, max_epochs=3, **limits)
        return model, path / "checkpoints" / "swa.ckpt"

    model, file = end(kept=True)
    saved = torch.load(file, weights_only=True)["state_dict"]
    torch.testing.assert_close(saved["layer.weight"], torch.stack(model.history[:3]).mean(dim=0))
    assert same(saved, weights_of(model))
    kind().load_state_dict(saved)
    assert not end(kept=True, stop_after=1)[1].exists()  # the average was lost, so nothing may claim to be it
    assert not end(kept=False)[1].exists()


class StopAfterEpoch(pl.Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch == self.epoch - 1
