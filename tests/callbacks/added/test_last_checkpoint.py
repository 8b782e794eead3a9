"""A training that is stopped anywhere and resumed is, bit for bit, the one that was never stopped."""

import signal

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from cuelight.callbacks.added.last_checkpoint import LastCheckpoint
from cuelight.callbacks.added.seed_each_batch import SeedEachBatch
from cuelight.callbacks.added.stop_after_steps import StopAfterSteps
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.lightning.gradient_accumulation_scheduler import GradientAccumulationScheduler
from cuelight.errors import TrainingInterrupted
from cuelight.weights.checkpoint_io import AtomicCheckpointIO
from support.comparing import same, weights_of
from support.tiny import TinyData, TinyModel
from support.trainers import quiet_trainer

NEVER = -1


class Crash(Exception):
    """Stands for anything that ends a process."""


class TroubleAt(pl.Callback):
    """Counts what happens in a training, and makes trouble at one of these moments."""

    def __init__(self, moment, trouble) -> None:
        self.moment, self.trouble, self.moments = moment, trouble, 0

    def _pass(self, trainer, *_, **__) -> None:
        if trainer.sanity_checking:
            return
        self.moments += 1
        if self.moments == self.moment:
            self.trouble()

    on_train_epoch_start = on_train_batch_start = on_validation_batch_start = on_train_epoch_end = _pass


def crash() -> None:
    raise Crash


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def train(
    directory,
    moment=NEVER,
    trouble=None,
    resume=None,
    interval="step",
    max_steps=None,
    averaged=False,
    scheduling=None,
    **options,
):
    torch.manual_seed(1)
    model = TinyModel(interval)
    watcher = TroubleAt(moment, trouble)
    early, best = EarlyStopping("val/loss", patience=50), ModelCheckpoint(monitor="val/loss", filename="best")
    limit = [StopAfterSteps(max_steps)] if max_steps else []
    average = [EMACallback(0.9, decay_tau=3)] if averaged else []
    accumulation = [GradientAccumulationScheduler(scheduling)] if scheduling else []
    callbacks = [SeedEachBatch(1), watcher, early, best, *average, *accumulation, *limit, LastCheckpoint()]
    settings = {"max_epochs": 2, "num_sanity_val_steps": 2, "plugins": [AtomicCheckpointIO()]}
    trainer = quiet_trainer(directory, callbacks, **settings | options)
    trainer.callbacks = callbacks  # Lightning moves checkpoints to the end
    try:
        trainer.fit(model, datamodule=TinyData(), ckpt_path=resume, weights_only=True)
    except (TrainingInterrupted, Crash):
        return model.trace
    scores = (early.wait_count, early.best_score, best.best_model_score, trainer.optimizers[0].param_groups[0]["lr"])
    return model.trace, weights_of(model), scores, watcher.moments


@pytest.mark.parametrize("trouble", [interrupt, pytest.param(crash, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"interval": "epoch"},
        {"accumulate_grad_batches": 2},
        {"val_check_interval": 0.5},
        {"accumulate_grad_batches": 3, "val_check_interval": 2},
        {"check_val_every_n_epoch": 2, "max_epochs": 3},
        {"max_steps": 7},
        {"averaged": True},
        {"scheduling": {0: 3, 1: 2}},
        pytest.param({"averaged": True, "accumulate_grad_batches": 3, "val_check_interval": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_stopped_at_any_moment_and_resumed_equals_uninterrupted(tmp_path, trouble, options) -> None:
    trace, state, scores, moments = train(tmp_path / "uninterrupted", **options)
    for moment in range(1, moments + 1):
        directory = tmp_path / str(moment)
        before = train(directory, moment, trouble, **options)
        last = directory / "checkpoints" / "last.ckpt"
        resumed = train(directory, resume=last if last.is_file() else None, **options)
        assert same(state, resumed[1]), moment
        assert scores == resumed[2], moment
        if trouble is interrupt:
            assert before + resumed[0] == trace, moment


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, 10),
        ({"interval": "epoch"}, 10),
        ({"val_check_interval": 2}, 10),
        ({"accumulate_grad_batches": 2}, 6),
        ({"averaged": True}, 10),
        ({"scheduling": {0: 3, 1: 2}}, 5),
    ],
    ids=str,
)
def test_a_limit_in_the_middle_of_an_epoch_leaves_the_rest_to_the_resume(tmp_path, options, steps) -> None:
    trace, state, (*_, rate), _ = train(tmp_path / "uninterrupted", **options)
    for limit in range(1, steps):
        directory = tmp_path / str(limit)
        before = train(directory, max_steps=limit, **options)
        resumed = train(directory, resume=directory / "checkpoints" / "last.ckpt", **options)
        assert before[0] + resumed[0] == trace, limit
        assert same(state, resumed[1]), limit
        assert resumed[2][-1] == rate, limit


def test_signals_are_given_back(tmp_path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(tmp_path)
    train(tmp_path / "again", 3, interrupt)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


class TestsAtTheEnd(pl.Callback):
    """Measures with the trainer of the training."""

    def on_train_end(self, trainer, pl_module) -> None:
        trainer.validate(pl_module, datamodule=TinyData(), verbose=False)


def trainer_with(folder, callback, **options):
    return quiet_trainer(folder, [callback, LastCheckpoint()], **{"num_sanity_val_steps": 2} | options)


def test_signals_are_given_back_after_a_measurement_within_the_training(tmp_path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    trainer_with(tmp_path, TestsAtTheEnd()).fit(TinyModel(), datamodule=TinyData())
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


class SignalAt(pl.Callback):
    """Gets a SIGTERM in a hook that comes before the one of ``LastCheckpoint``."""

    def __init__(self, hook) -> None:
        setattr(self, hook, lambda *_: signal.raise_signal(signal.SIGTERM))


@pytest.mark.parametrize(("hook", "batches"), [("on_sanity_check_start", 1), ("on_train_start", 0)])
def test_signal_that_lightning_gets_before_ends_the_training_as_any_other(tmp_path, hook, batches) -> None:
    """Lightning would raise a SystemExit without a code after the first batch, as if all had gone well."""
    trainer = trainer_with(tmp_path, SignalAt(hook), num_sanity_val_steps=batches)
    with pytest.raises((TrainingInterrupted, SystemExit)) as stopped:
        trainer.fit(TinyModel(), datamodule=TinyData())
    assert str(stopped.value) == str(TrainingInterrupted(signal.SIGTERM))
    assert trainer.global_step == 0


def test_stop_names_the_signal(tmp_path) -> None:
    trainer = trainer_with(tmp_path, TroubleAt(2, lambda: signal.raise_signal(signal.SIGTERM)))
    with pytest.raises(TrainingInterrupted) as stopped:
        trainer.fit(TinyModel(), datamodule=TinyData())
    assert stopped.value.signal_number == signal.SIGTERM
