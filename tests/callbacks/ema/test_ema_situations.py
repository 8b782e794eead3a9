"""Situations of a training in which the average must be right: one that is computed by hand tells."""

from dataclasses import dataclass, field

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, IterableDataset

from cuelight.callbacks.ema.ema_callback import EMACallback
from support.averages import ByHand, EvenData, EvenModel
from support.comparing import close, same, weights_of
from support.trainers import quiet_trainer

EPOCHS = 8


def normed_model():
    return EvenModel(norm=True)


class LateModel(EvenModel):
    """Has no layers before ``configure_model``."""

    def __init__(self):
        pl.LightningModule.__init__(self)
        self.network = None

    def configure_model(self):
        if self.network is None:
            made = EvenModel()
            self.network, self.scale, self.losses = made.network, made.scale, made.losses


class CrashingModel(EvenModel):
    """Fails in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__(norm=True)
        self.epoch = epoch

    def training_step(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (self.epoch, 3):
            raise RuntimeError("crash")
        return super().training_step(batch, batch_idx)


class Stream(IterableDataset):
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


class StreamData(EvenData):
    def train_dataloader(self):
        return DataLoader(Stream(self.rows), batch_size=8)

    val_dataloader = train_dataloader


class Uncopied:
    """Fails when it is copied, or written to be read again."""

    def __reduce_ex__(self, protocol):
        raise AssertionError(f"{type(self).__name__} was copied")


class UncopiedModel(Uncopied, EvenModel):
    pass


class UncopiedLoader(Uncopied, DataLoader):
    pass


class UncopiedData(Uncopied, EvenData):
    def train_dataloader(self):
        return UncopiedLoader(self.rows, batch_size=8)

    val_dataloader = train_dataloader


@dataclass
class Situation:
    """A training of eight epochs with five batches, of which two make a step, and what comes of it."""

    model: type = EvenModel
    data: type = EvenData
    average: dict = field(default_factory=dict)
    trainer: dict = field(default_factory=dict)
    updates: int = 3 * EPOCHS
    validations: int = EPOCHS


SITUATIONS = {
    "rows": Situation(),
    "stream": Situation(data=StreamData),
    "BatchNorm": Situation(normed_model),
    "BatchNorm and stream": Situation(normed_model, StreamData),
    "must not be copied": Situation(UncopiedModel, UncopiedData),
    "layers of configure_model": Situation(LateModel),
    "constant decay": Situation(average={"use_dynamic_decay": False}),
    "every fifth step": Situation(average={"update_every_n_steps": 5}, updates=4),
    "from the tenth step": Situation(average={"update_starting_at_step": 10}, updates=14),
    "every fifth from the tenth": Situation(
        average={"update_every_n_steps": 5, "update_starting_at_step": 10}, updates=2
    ),
    "every batch a step": Situation(trainer={"accumulate_grad_batches": 1}, updates=5 * EPOCHS),
    "no validation": Situation(trainer={"limit_val_batches": 0}, validations=0),
    "some validations": Situation(normed_model, trainer={"check_val_every_n_epoch": 3}, validations=2),
    "validation between steps": Situation(normed_model, trainer={"val_check_interval": 3}),
    "validation before training": Situation(normed_model, trainer={"num_sanity_val_steps": 2}),
    "fast_dev_run": Situation(trainer={"fast_dev_run": True}, updates=1, validations=1),
    "gpu": Situation(normed_model, trainer={"accelerator": "gpu", "deterministic": False}),
}


class Run:
    def __init__(self, folder, situation, averaging=True, resume=None, more=()):
        self.ema = EMACallback(**({"decay": 0.9, "decay_tau": 5} | situation.average))
        tau = self.ema.decay_tau if self.ema.use_dynamic_decay else None
        self.hand = ByHand(self.ema.decay, tau, self.ema.update_every_n_steps, self.ema.update_starting_at_step)
        torch.manual_seed(0)
        self.model = situation.model()
        settings = {"max_epochs": EPOCHS, "accumulate_grad_batches": 2, "devices": 1, "deterministic": True}
        callbacks = [self.hand, *more, *([self.ema] if averaging else [])]
        self.trainer = quiet_trainer(folder, callbacks, **{"max_epochs": 2} | settings | situation.trainer)
        self.trainer.fit(self.model, datamodule=situation.data(), ckpt_path=resume, weights_only=True)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.gpu if name == "gpu" else ()) for name in SITUATIONS],
)
def situation(request):
    return SITUATIONS[request.param]


@pytest.fixture(scope="module")
def run(situation, tmp_path_factory):
    return Run(tmp_path_factory.mktemp("run"), situation)


class TestEverySituation:
    def test_number_of_updates_is_exact(self, situation, run) -> None:
        assert run.ema.updates == situation.updates

    def test_every_validation_sees_the_average(self, situation, run) -> None:
        assert len(run.hand.validated) == situation.validations
        assert all(close(found, average) for found, average in run.hand.validated)

    def test_every_batch_finds_the_weights_that_the_one_before_left(self, run) -> None:
        assert all(same(found, left) for found, left in run.hand.went_on)

    def test_weights_are_trained_as_without_the_average(self, situation, run, tmp_path) -> None:
        without = Run(tmp_path, situation, averaging=False)
        assert all(same(one, other) for one, other in zip(run.hand.raw, without.hand.raw, strict=True))

    def test_trained_module_holds_the_average(self, run) -> None:
        found = weights_of(run.model)
        assert close(found, run.hand.average)
        assert not close(found, run.hand.raw[-1], 1e-3)


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_resumed_after_a_crash_equals_uninterrupted(tmp_path, epoch) -> None:
    saving = {"enable_checkpointing": True}
    whole = Run(tmp_path, Situation(normed_model))
    with pytest.raises(RuntimeError, match="crash"):
        Run(tmp_path, Situation(lambda: CrashingModel(epoch), trainer=saving), more=[ModelCheckpoint(tmp_path)])
    (saved,) = tmp_path.glob("*.ckpt")
    resumed = Run(tmp_path, Situation(normed_model), resume=saved)
    assert len(resumed.hand.raw) == 3 * (EPOCHS - epoch)
    assert same(weights_of(whole.model), weights_of(resumed.model))
    assert same(whole.hand.raw[-1], resumed.hand.raw[-1])


def test_a_stream_of_unknown_length_is_not_warned_about(tmp_path, caplog) -> None:
    usual = {"decay": 0.999, "use_dynamic_decay": True, "decay_tau": 100}
    Run(tmp_path, Situation(data=StreamData, average=usual))
    assert "EMACallback" not in caplog.text
