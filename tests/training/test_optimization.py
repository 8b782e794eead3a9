import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from torch.utils.data import DataLoader

from cuelight.config.schema import Part, SchedulerPart
from cuelight.errors import ConfigError
from cuelight.training.optimization import Optimization
from cuelight.training.schedules import scheduler_problems
from support.trainers import fit

SGD = Part(name="SGD", params={"lr": 0.1})


class Module(BoringModel):
    """Records the learning rate of every optimizer step, and the one after the last."""

    def __init__(self, optimization):
        super().__init__()
        self.optimization = optimization
        self.rates = []

    def configure_optimizers(self):
        return self.optimization(self)

    def on_before_optimizer_step(self, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_end(self):
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def train_dataloader(self):
        return DataLoader(RandomDataset(32, 10))


def train(scheduler, limit=None, module=Module, resume=None, **options):
    model = module(Optimization(SGD, scheduler, limit))
    return fit(None, model=model, data=None, resume=resume, **{"max_epochs": 3, "limit_val_batches": 0} | options)[1]


TRAININGS = {
    "plain": {},
    "accumulated": {"accumulate_grad_batches": 3},
    "scheduled accumulation": {"callbacks": [GradientAccumulationScheduler({0: 1, 2: 4})]},
    "max_steps": {"max_steps": 13},
}


@pytest.mark.parametrize("options", TRAININGS.values(), ids=TRAININGS.keys())
@pytest.mark.parametrize("warmup", [0, 4])
@pytest.mark.parametrize(
    ("name", "params", "end"),
    [
        ("CosineAnnealingLR", {"eta_min": 0.01}, 0.01),
        ("LinearLR", {"start_factor": 1.0, "end_factor": 0.2}, 0.02),
        ("PolynomialLR", {"power": 2.0}, 0.0),
    ],
)
def test_schedule_ends_with_the_last_step(name, params, end, warmup, options):
    rates = train(SchedulerPart(name=name, params=params, interval="step", warmup=warmup), **options).rates
    assert rates[-1] == pytest.approx(end, abs=1e-12)
    assert rates[-2] > end + 1e-5  # not earlier
    assert rates[: warmup + 1] == pytest.approx([0.1 * (step + 1) / (warmup + 1) for step in range(warmup + 1)])
    assert all(later < earlier for earlier, later in zip(rates[warmup:], rates[warmup + 1 :], strict=False))


@pytest.mark.parametrize("options", TRAININGS.values(), ids=TRAININGS.keys())
def test_one_cycle_ends_with_the_last_step(options):
    rates = train(SchedulerPart(name="OneCycleLR", params={"max_lr": 0.1}, interval="step"), **options).rates
    assert rates[0] == pytest.approx(0.1 / 25)
    assert max(rates) == pytest.approx(0.1, rel=0.05)
    assert rates[-2] == pytest.approx(0.1 / 25 / 1e4)  # the rate of the last step
    assert rates[-3] > 2 * rates[-2]


@pytest.mark.parametrize("options", TRAININGS.values(), ids=TRAININGS.keys())
def test_epoch_schedule_ends_with_the_last_epoch(options):
    rates = train(SchedulerPart(name="LinearLR", params={"start_factor": 1.0, "end_factor": 0.4}), **options).rates
    epochs = 2 if "max_steps" in options else 3
    expected = [0.1 - 0.06 * epoch / epochs for epoch in range(epochs)]
    assert list(dict.fromkeys(rates))[:epochs] == pytest.approx(expected)
    if "max_steps" not in options:
        assert rates[-1] == pytest.approx(0.04)


def test_warmup_in_epochs():
    scheduler = SchedulerPart(name="CosineAnnealingLR", warmup=2)
    rates = list(dict.fromkeys(train(scheduler, max_epochs=4).rates))
    assert rates == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.05, 0.0], abs=1e-12)


def test_lengths_of_the_file_are_kept():
    rates = train(SchedulerPart(name="CosineAnnealingLR", params={"T_max": 5}, interval="step")).rates
    assert rates[5] == pytest.approx(0, abs=1e-12)
    rates = train(SchedulerPart(name="OneCycleLR", params={"max_lr": 0.1, "epochs": 6, "steps_per_epoch": 10},
                              interval="step")).rates  # fmt: skip
    assert rates[-1] > 0.01


@pytest.mark.parametrize("params", [{"total_steps": 29}, {"epochs": 3, "steps_per_epoch": 9}])
def test_one_cycle_that_ends_before_the_training_is_refused(params):
    part = SchedulerPart(name="OneCycleLR", interval="step", params={"max_lr": 0.1} | params)
    with pytest.raises(
        ConfigError, match=r"scheduler.params: OneCycleLR ends after 2. steps, but .* takes 30 steps; it f"
    ):
        train(part)
    with pytest.raises(ConfigError, match=r"OneCycleLR ends after 2. steps, but the training has no known end"):
        train(part, max_epochs=-1)


def test_one_cycle_may_end_with_the_training():
    train(SchedulerPart(name="OneCycleLR", interval="step", params={"max_lr": 0.1, "total_steps": 30}))


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        (
            "CosineAnnealingLR",
            {"T_max": 20},
            "ends after 20 steps, but the training takes 30 steps; the learning rate r",
        ),
        ("PolynomialLR", {"total_iters": 20}, "the learning rate stays 0. Leave total_iters out"),
        ("CosineAnnealingLR", {"T_max": 30}, ""),
        ("LinearLR", {"total_iters": 20}, ""),
    ],
)
def test_a_schedule_that_ends_before_the_training_is_a_warning(name, params, said, caplog):
    train(SchedulerPart(name=name, interval="step", params=params))
    assert said in caplog.text
    assert bool(said) == ("but the training" in caplog.text)


def test_constant_lr_keeps_its_own_length():
    rates = train(SchedulerPart(name="ConstantLR", params={"factor": 0.5, "total_iters": 2})).rates
    assert [rates[0], rates[10], rates[20]] == pytest.approx([0.05, 0.05, 0.1])


def test_schedule_ends_at_a_limit_that_the_trainer_does_not_know():
    rates = train(SchedulerPart(name="CosineAnnealingLR", interval="step"), limit=13).rates
    assert rates[13] == pytest.approx(0, abs=1e-12)


def test_plateau_lowers_the_rate():
    class Stuck(Module):
        def validation_step(self, batch, batch_idx):
            self.log("val/score", 1.0)

    scheduler = SchedulerPart(
        name="ReduceLROnPlateau", params={"mode": "max", "patience": 1, "factor": 0.5}, monitor="val/score"
    )
    rates = train(scheduler, module=Stuck, max_epochs=4, limit_val_batches=1).rates
    assert [rates[0], rates[10], rates[20], rates[30]] == pytest.approx([0.1, 0.1, 0.1, 0.05])


def test_training_without_a_known_end_is_refused():
    with pytest.raises(ConfigError, match="length of the training is not known, so CosineAnnealingLR needs T_max"):
        train(SchedulerPart(name="CosineAnnealingLR"), max_epochs=-1)


def test_warmup_longer_than_the_training_is_refused():
    with pytest.raises(
        ConfigError, match=r"trainer.scheduler.warmup: expected a warm-up shorter than the training of 3"
    ):
        train(SchedulerPart(name="StepLR", params={"step_size": 1}, warmup=3))


def test_no_epochs_are_no_error():
    train(SchedulerPart(name="CosineAnnealingLR", warmup=3), max_epochs=0)


@pytest.mark.parametrize(
    ("part", "path", "message"),
    [
        ({"name": "OneCycleLR", "params": {"max_lr": 1.0}, "warmup": 2}, "trainer.scheduler.warmup", "pct_start"),
        ({"name": "ReduceLROnPlateau", "interval": "step"}, "trainer.scheduler.interval", "interval must be epoch"),
    ],
)
def test_contradictions_are_found_before_the_training(part, path, message):
    (problem,) = scheduler_problems(SchedulerPart(**part))
    assert problem.path == path
    assert message in problem.message
    with pytest.raises(ConfigError, match=message):
        Optimization(SGD, SchedulerPart(**part))


def test_frozen_parameters_are_left_out():
    model = Module(Optimization(SGD))
    model.layer.bias.requires_grad_(False)
    optimizer = model.configure_optimizers()
    assert [id(p) for group in optimizer.param_groups for p in group["params"]] == [id(model.layer.weight)]
    model.layer.weight.requires_grad_(False)
    with pytest.raises(ConfigError, match="nothing to train"):
        model.configure_optimizers()


def test_schedule_goes_on_after_a_resume(tmp_path):
    scheduler = SchedulerPart(name="CosineAnnealingLR", interval="step", warmup=7)
    whole = train(scheduler, max_epochs=4).rates

    class StopAfterTwo(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "two.ckpt")
                trainer.should_stop = True

    first = train(scheduler, max_epochs=4, callbacks=[StopAfterTwo()])
    second = train(scheduler, max_epochs=4, resume=tmp_path / "two.ckpt")
    assert first.rates[:-1] + second.rates == whole
    assert len(first.rates) == 21


def test_without_a_scheduler_there_is_only_the_optimizer():
    optimizer = Optimization(Part(name="AdamW", params={"lr": 0.002}))(Module(None))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["lr"] == 0.002
