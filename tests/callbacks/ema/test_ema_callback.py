"""The average is what is measured and saved, whatever happens in a training and wherever the callback stands."""

import copy
import inspect
import itertools
import math
import pickle
import warnings
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.callbacks import (
    Checkpoint,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    OnExceptionCheckpoint,
    StochasticWeightAveraging,
)
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import FSDPStrategy
from timm.optim import Lookahead
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from cuelight.callbacks.added.seed_each_batch import SeedEachBatch
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.lightning.model_pruning import ModelPruning
from cuelight.errors import CuelightError
from cuelight.weights.checkpoint_io import AtomicCheckpointIO
from support.averages import AverageByHand, close, equal, weights_of
from support.tiny import FEATURES, TinyData, TinyModel

DECAY = {"decay": 0.9, "decay_tau": 5}


class Crash(Exception):
    """Stands for anything that ends a training."""


def make_trainer(directory, callbacks, **options):
    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": 2,
            "callbacks": callbacks,
            "default_root_dir": directory,
            "logger": False,
            "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
            "enable_progress_bar": False,
            "enable_model_summary": False,
            **options,
        }
    )


def fit(directory, callbacks, model=None, resume=None, **options):
    torch.manual_seed(0)
    model = model or TinyModel()
    trainer = make_trainer(directory, callbacks, **options)
    trainer.fit(model, datamodule=TinyData(), ckpt_path=resume, weights_only=True)
    return trainer, model


def load(path):
    return torch.load(path, weights_only=True)


class SkipsSomeBatches(TinyModel):
    """Returns no loss for some batches."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return None if batch_idx % 2 == 0 else loss


class TwoOptimizers(TinyModel):
    """Steps with two optimizers in each batch, one of them in every other only; keeps the weights after each step."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.after_steps = []

    def training_step(self, batch, batch_idx):
        first, second = self.optimizers()
        for optimizer in (first, second) if batch_idx % 2 == 0 else (first,):
            optimizer.zero_grad()
            self.manual_backward(functional.cross_entropy(self(batch[0]), batch[1]))
            optimizer.step()
            self.after_steps.append(weights_of(self))

    def configure_optimizers(self):
        layers = list(self.network)
        return torch.optim.SGD(layers[0].parameters(), 0.1), torch.optim.SGD(layers[-1].parameters(), 0.1)


class Wrapper(torch.optim.Optimizer):
    """Hands everything on to another optimizer, and has none of what torch's own constructor prepares."""

    def __init__(self, inner):
        self.inner = inner

    param_groups = property(lambda self: self.inner.param_groups)
    state = property(lambda self: self.inner.state)
    defaults = property(lambda self: self.inner.defaults)

    def step(self, closure=None):
        return self.inner.step(closure)

    def zero_grad(self, set_to_none=True):
        self.inner.zero_grad(set_to_none)

    def state_dict(self):
        return self.inner.state_dict()


class TestWhenItIsUpdated:
    @pytest.mark.parametrize(
        ("model", "options", "updates"),
        [
            (TinyModel, {}, 10),
            (TinyModel, {"accumulate_grad_batches": 2}, 6),
            (TinyModel, {"accumulate_grad_batches": 4, "val_check_interval": 3}, 4),
            (TinyModel, {"gradient_clip_val": 0.01}, 10),
            (TinyModel, {"precision": "bf16-mixed"}, 10),
            (SkipsSomeBatches, {}, 4),
            (SkipsSomeBatches, {"accumulate_grad_batches": 2}, 4),
        ],
        ids=str,
    )
    def test_after_each_optimizer_step_and_only_then(self, tmp_path, model, options, updates):
        ema, by_hand = EMACallback(**DECAY), AverageByHand()
        _, module = fit(tmp_path, [ema, by_hand], model(), **options)
        assert close(weights_of(module), by_hand.average)
        assert ema.updates == by_hand.updates == updates

    @pytest.mark.parametrize("batches", [1, 2])
    def test_not_after_steps_that_a_gradient_scaler_skips(self, tmp_path, batches):
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)  # too large, until it was halved a few times
        half = MixedPrecision("16-mixed", "cpu", scaler)
        ema, by_hand = EMACallback(**DECAY), AverageByHand()
        trainer, module = fit(tmp_path, [ema, by_hand], plugins=[half], accumulate_grad_batches=batches)
        assert close(weights_of(module), by_hand.average)
        assert 0 < by_hand.updates < trainer.global_step
        assert ema.updates == by_hand.updates

    def test_with_an_accumulation_that_changes(self, tmp_path):
        ema, by_hand = EMACallback(**DECAY), AverageByHand()
        _, module = fit(tmp_path, [GradientAccumulationScheduler({0: 1, 1: 4}), ema, by_hand])
        assert close(weights_of(module), by_hand.average)
        assert ema.updates == 5 + 2

    def test_after_each_step_of_several_optimizers(self, tmp_path):
        ema, by_hand, model = EMACallback(**DECAY), AverageByHand(), TwoOptimizers()
        by_hand.average = weights_of(model)
        _, module = fit(tmp_path, [ema], model)
        for weights in model.after_steps:
            by_hand.step(weights)
        held = weights_of(module)
        parameters = [name for name, _ in module.named_parameters()]
        assert close({name: held[name] for name in parameters}, {name: by_hand.average[name] for name in parameters})
        assert ema.updates == 2 * (5 + 3)

    def test_with_a_constant_decay(self, tmp_path):
        by_hand = AverageByHand(decay=0.8, tau=None)
        _, module = fit(tmp_path, [EMACallback(0.8, use_dynamic_decay=False), by_hand])
        assert close(weights_of(module), by_hand.average)

    def test_every_n_steps(self, tmp_path):
        ema = EMACallback(**DECAY, update_every_n_steps=4)
        fit(tmp_path, [ema])
        assert ema.updates == 10 // 4

    def test_begins_with_the_weights_of_the_step_at_which_it_starts(self, tmp_path):
        class KeepWeights(pl.Callback):
            kept: list = []  # noqa: RUF012 - of one test

            def on_train_batch_end(self, trainer, pl_module, *_):
                self.kept.append(weights_of(pl_module))

        ema = EMACallback(0.9, use_dynamic_decay=False, update_starting_at_step=9)
        _, module = fit(tmp_path, [KeepWeights(), ema])
        ninth, tenth = KeepWeights.kept[-2:]
        name = "network.0.weight"
        assert ema.updates == 1
        torch.testing.assert_close(module.state_dict()[name], 0.9 * ninth[name] + 0.1 * tenth[name])

    def test_training_is_the_same_to_the_last_bit(self, tmp_path):
        with_average, without = AverageByHand(), AverageByHand()
        fit(tmp_path, [SeedEachBatch(1), EMACallback(**DECAY), with_average])
        fit(tmp_path, [SeedEachBatch(1), without])
        assert equal(with_average.raw, without.raw)

    @pytest.mark.parametrize("optimizer", [Lookahead, Wrapper])
    def test_after_the_steps_of_an_optimizer_around_another(self, tmp_path, optimizer):
        class Wrapped(TinyModel):
            def configure_optimizers(self):
                return optimizer(torch.optim.SGD(self.parameters(), 0.1))

        ema, by_hand = EMACallback(**DECAY), AverageByHand()
        _, module = fit(tmp_path, [ema, by_hand], Wrapped())
        assert ema.updates == 10
        assert close(weights_of(module), by_hand.average)

    def test_optimizers_are_left_as_they_were(self, tmp_path):
        trainer, _ = fit(tmp_path, [EMACallback(**DECAY)])
        without, _ = fit(tmp_path, [])
        assert vars(trainer.optimizers[0]).keys() == vars(without.optimizers[0]).keys()
        assert "around" not in repr(trainer.optimizers[0].step)

    def test_weights_that_are_not_finite_are_skipped_and_reported(self, tmp_path, caplog):
        class Diverges(TinyModel):
            def training_step(self, batch, batch_idx):
                loss = super().training_step(batch, batch_idx)
                return loss * (torch.inf if self.current_epoch == 1 else 1)

        ema, by_hand = EMACallback(**DECAY), AverageByHand()
        _, module = fit(tmp_path, [ema, by_hand], Diverges())
        assert (ema.updates, ema.skipped) == (5, 5)
        assert all(torch.isfinite(value).all() for value in module.state_dict().values())
        assert caplog.text.count("NaN or infinity after step 6") == 1


class Watcher(pl.Callback):
    """Notes for each hook whether the module holds the average."""

    def __init__(self, by_hand):
        self.by_hand, self.seen = by_hand, {}


def _watch(hook):
    def note(self, trainer, pl_module, *_, **__):
        if not trainer.sanity_checking and self.by_hand.updates:
            names = [name for name, _ in pl_module.named_parameters()]  # buffers change before the step
            held, average, raw = (
                {name: weights[name] for name in names}
                for weights in (weights_of(pl_module), self.by_hand.average, self.by_hand.raw)
            )
            averaged = close(held, average)
            assert averaged or equal(held, raw)
            self.seen.setdefault(hook, set()).add("average" if averaged else "raw")

    return note


HOOKS = [
    name
    for name, _ in inspect.getmembers(pl.Callback, inspect.isfunction)
    if name.startswith("on_") and "checkpoint" not in name and "exception" not in name
]
for _hook in HOOKS:
    setattr(Watcher, _hook, _watch(_hook))

SEES_AVERAGE = {hook for hook in HOOKS if "validation" in hook} | {"on_train_end", "on_fit_end"}


class TestItsPlaceInTheList:
    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
    def test_makes_no_difference_to_what_callbacks_see(self, tmp_path, order):
        by_hand = AverageByHand()
        by_hand.on_train_batch_end, update = lambda *_: None, by_hand.on_train_batch_end
        watchers = [Watcher(by_hand), Watcher(by_hand)]
        parts = [[EMACallback(**DECAY)], watchers[:1], watchers[1:]]

        class StepByHand(TinyModel):
            """Updates the average by hand right after the step, where no callback of the list is in between."""

            def optimizer_step(self, *arguments, **options):
                super().optimizer_step(*arguments, **options)
                update(None, self)

        trainer = make_trainer(tmp_path, [])
        trainer.callbacks = [by_hand, *itertools.chain(*(parts[index] for index in order))]
        torch.manual_seed(0)
        trainer.fit(StepByHand(), datamodule=TinyData())
        assert watchers[0].seen.keys() >= SEES_AVERAGE
        for watcher in watchers:
            for hook, seen in watcher.seen.items():
                assert seen == {"average" if hook in SEES_AVERAGE else "raw"}, hook
        assert watchers[0].seen == watchers[1].seen

    @pytest.mark.parametrize("first", [True, False])
    def test_makes_no_difference_to_what_is_saved_after_a_step(self, tmp_path, first):
        saver = ModelCheckpoint(tmp_path, "step", every_n_train_steps=7, save_top_k=-1)
        ema, by_hand = EMACallback(**DECAY), AverageByHand()

        class KeepSeventh(pl.Callback):
            def on_train_batch_end(self, *_):
                if by_hand.updates == 7:
                    self.average, self.raw = by_hand.average, by_hand.raw

        seventh = KeepSeventh()
        trainer = make_trainer(tmp_path, [saver])
        trainer.callbacks = [by_hand, seventh, *([ema, saver] if first else [saver, ema])]
        torch.manual_seed(0)
        trainer.fit(TinyModel(), datamodule=TinyData())
        checkpoint = load(tmp_path / "step.ckpt")
        assert close(checkpoint["state_dict"], seventh.average)
        assert equal(checkpoint["current_model_state"], seventh.raw)

    def test_the_sanity_check_sees_what_the_module_holds(self, tmp_path):
        class Sanity(pl.Callback):
            seen = None

            def on_validation_start(self, trainer, pl_module):
                if trainer.sanity_checking:
                    self.seen = weights_of(pl_module)

        sanity, model = Sanity(), TinyModel()
        first = weights_of(model)
        fit(tmp_path, [EMACallback(**DECAY), sanity], model)
        assert equal(sanity.seen, first)


def crash_in(hook, at=2):
    """A callback that raises in a hook, the second time that it is called."""
    calls = itertools.count(1)

    def crash(self, trainer, *_, **__):
        if not trainer.sanity_checking and next(calls) == at:
            raise Crash

    return type("CrashIn", (pl.Callback,), {hook: crash})()


class TestAfterAnException:
    @pytest.mark.parametrize("position", [0, 1])
    @pytest.mark.parametrize(
        "hook",
        [
            "on_validation_start",
            "on_validation_batch_end",
            "on_validation_epoch_end",
            "on_validation_end",
            "on_train_batch_end",
            "on_train_epoch_end",
        ],
    )
    def test_the_model_holds_its_own_weights_and_files_what_their_keys_say(self, tmp_path, hook, position):
        by_hand, saver = AverageByHand(), OnExceptionCheckpoint(tmp_path)
        around = [crash_in(hook), saver]
        around.insert(position, EMACallback(**DECAY))
        model = TinyModel()
        with pytest.raises(Crash):
            fit(tmp_path, [by_hand, *around], model)
        checkpoint = load(tmp_path / "on_exception.ckpt")
        assert equal(weights_of(model), by_hand.raw)
        assert equal(checkpoint["current_model_state"], by_hand.raw)
        assert close(checkpoint["state_dict"], by_hand.average)
        assert checkpoint["averaging_state"]["n_averaged"] == by_hand.updates

    def test_ctrl_c_in_validation(self, tmp_path):
        class Interrupted(TinyModel):
            def validation_step(self, batch, batch_idx):
                if not self.trainer.sanity_checking:
                    raise KeyboardInterrupt

        by_hand, model = AverageByHand(), Interrupted()
        with pytest.raises(SystemExit):
            fit(tmp_path, [EMACallback(**DECAY), by_hand], model)
        assert equal(weights_of(model), by_hand.raw)

    def test_when_the_training_had_ended_the_model_keeps_the_average(self, tmp_path):
        by_hand, model = AverageByHand(), TinyModel()
        with pytest.raises(Crash):
            fit(tmp_path, [crash_in("on_train_end", at=1), EMACallback(**DECAY), by_hand], model)
        assert close(weights_of(model), by_hand.average)


class TestCheckpoints:
    @pytest.mark.parametrize(
        "options",
        [
            {"monitor": "val/loss", "save_top_k": 1},
            {"monitor": "val/loss", "save_top_k": -1},
            {"save_weights_only": True},
            {"save_last": True},
            {"every_n_train_steps": 10},
            {"every_n_epochs": 2},
            {"save_on_train_epoch_end": True},
        ],
        ids=str,
    )
    def test_hold_average_and_own_weights(self, tmp_path, options):
        saver, by_hand = ModelCheckpoint(tmp_path, **options), AverageByHand()
        kept = {}

        class KeepBoth(pl.Callback):
            def on_train_batch_end(self, trainer, *_):
                kept[trainer.global_step] = by_hand.average, by_hand.raw

        fit(tmp_path, [by_hand, KeepBoth(), saver, EMACallback(**DECAY)])
        files = list(tmp_path.glob("*.ckpt"))
        assert files
        for file in files:
            checkpoint = load(file)
            average, raw = kept[checkpoint["global_step"]]
            assert close(checkpoint["state_dict"], average), file
            assert equal(checkpoint["current_model_state"], raw), file
            assert checkpoint["averaging_state"]["n_averaged"] == checkpoint["global_step"]

    @pytest.mark.parametrize("weights_only", [False, True])
    def test_saved_after_the_training(self, tmp_path, weights_only):
        by_hand = AverageByHand()
        trainer, module = fit(tmp_path, [by_hand, EMACallback(**DECAY)])
        trainer.save_checkpoint(tmp_path / "end.ckpt", weights_only=weights_only)
        checkpoint = load(tmp_path / "end.ckpt")
        assert equal(checkpoint["state_dict"], weights_of(module))
        assert equal(checkpoint["current_model_state"], by_hand.raw)
        assert close(weights_of(module), by_hand.average)

    def test_callbacks_that_change_what_is_saved_see_the_average(self, tmp_path):
        class Sees(pl.Callback):
            def on_save_checkpoint(self, trainer, pl_module, checkpoint):
                self.held = weights_of(pl_module)
                self.saved = {name: value.clone() for name, value in checkpoint["state_dict"].items()}

        sees, by_hand = Sees(), AverageByHand()
        fit(tmp_path, [by_hand, sees, EMACallback(**DECAY), ModelCheckpoint(tmp_path)])
        assert equal(sees.held, sees.saved)
        assert close(sees.held, by_hand.average)

    def test_without_average_it_begins_with_their_weights_and_says_so(self, tmp_path, caplog):
        trainer, _ = fit(tmp_path, [])
        trainer.save_checkpoint(tmp_path / "plain.ckpt")
        plain = load(tmp_path / "plain.ckpt")["state_dict"]

        class First(pl.Callback):
            def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
                if trainer.global_step == 10:
                    with ema.weights.in_model():
                        self.average = weights_of(pl_module)

        ema, first = EMACallback(**DECAY), First()
        fit(tmp_path, [ema, first], resume=tmp_path / "plain.ckpt", max_epochs=3)
        assert equal(first.average, plain)
        assert "no average" in caplog.text
        assert ema.updates == 5

    def test_goes_on_in_a_training_without_the_callback(self, tmp_path):
        trainer, module = fit(tmp_path, [EMACallback(**DECAY)])
        trainer.save_checkpoint(tmp_path / "averaged.ckpt")
        expected = weights_of(module)

        class First(pl.Callback):
            def on_train_start(self, trainer, pl_module):
                self.weights = weights_of(pl_module)

        first = First()
        fit(tmp_path, [first], resume=tmp_path / "averaged.ckpt", max_epochs=3)
        assert equal(first.weights, expected)

    def test_lightnings_own_callback_goes_on_from_ours(self, tmp_path):
        trainer, _ = fit(tmp_path, [EMACallback(**DECAY)])
        trainer.save_checkpoint(tmp_path / "ours.ckpt")
        ours = load(tmp_path / "ours.ckpt")

        class First(pl.Callback):
            def on_train_start(self, trainer, pl_module):
                self.raw, self.average = weights_of(pl_module), weights_of(theirs._average_model.module)

        theirs, first = EMAWeightAveraging(decay=0.9), First()
        fit(tmp_path, [theirs, first], resume=tmp_path / "ours.ckpt", max_epochs=3)
        assert equal(first.raw, ours["current_model_state"])
        assert equal(first.average, ours["state_dict"])
        assert theirs._average_model.n_averaged == 15

    def test_ours_goes_on_from_lightnings_own(self, tmp_path):
        _trainer, _ = fit(tmp_path, [EMAWeightAveraging(decay=0.9), ModelCheckpoint(tmp_path, "theirs")])
        theirs = load(tmp_path / "theirs.ckpt")

        class First(pl.Callback):
            def on_train_start(self, trainer, pl_module):
                self.raw = weights_of(pl_module)
                with ema.weights.in_model():
                    self.average = weights_of(pl_module)

        ema, first = EMACallback(0.9), First()
        fit(tmp_path, [ema, first], resume=tmp_path / "theirs.ckpt", max_epochs=3)
        assert equal(first.raw, theirs["current_model_state"])
        assert all(
            torch.equal(value, theirs["state_dict"][name])
            for name, value in first.average.items()
            if value.is_floating_point()
        )
        assert ema.updates == 15


class SaveAt(pl.Callback):
    """Saves at one of the moments of a training, before and after which a resume goes on."""

    def __init__(self, moment=None):
        self.moment, self.moments = moment, 0

    def _pass(self, trainer, *_, **__):
        if trainer.sanity_checking:
            return
        self.moments += 1
        if self.moments == self.moment:
            trainer.save_checkpoint(f"{trainer.default_root_dir}/{self.moment}.ckpt")

    on_train_batch_end = on_train_epoch_end = on_validation_end = _pass


@pytest.mark.parametrize("before", [True, False], ids=["saved before", "saved after"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate_grad_batches": 3},
        {"accumulate_grad_batches": 4, "val_check_interval": 3},
        {"precision": "bf16-true"},
        {"model": SkipsSomeBatches, "update_every_n_steps": 3},
        {"model": SkipsSomeBatches, "accumulate_grad_batches": 2, "update_starting_at_step": 3},
    ],
    ids=str,
)
def test_resumed_from_any_moment_equals_uninterrupted(tmp_path, options, before):
    def run(saver, resume=None, model=TinyModel, update_every_n_steps=1, update_starting_at_step=0, **others):
        ema = EMACallback(0.9, True, 5, update_every_n_steps, update_starting_at_step)
        by_hand = AverageByHand()
        parts = [SeedEachBatch(1), by_hand, *([saver, ema] if before else [ema, saver])]
        torch.manual_seed(0)
        _, module = fit(tmp_path, parts, model(), resume, max_epochs=3, **others)
        return weights_of(module), by_hand.raw, ema.weights.exact_averages(), ema.updates

    counter = SaveAt()
    average, raw, exact, updates = run(counter, **options)
    for moment in range(1, counter.moments):
        run(SaveAt(moment), **options)
        resumed = run(SaveAt(), tmp_path / f"{moment}.ckpt", **options)
        assert equal(average, resumed[0]), moment
        assert equal(raw, resumed[1]), moment
        assert equal(exact, resumed[2]), moment
        assert updates == resumed[3], moment


class TestWithOthers:
    @pytest.mark.parametrize(
        "other",
        [StochasticWeightAveraging(0.1), EMAWeightAveraging(), EMACallback(0.99)],
        ids=lambda c: type(c).__name__,
    )
    def test_a_second_average_is_refused(self, tmp_path, other):
        with pytest.raises(CuelightError, match="each put its own average"):
            fit(tmp_path, [EMACallback(**DECAY), other])

    def test_pruning_back_to_first_values_is_refused(self, tmp_path):
        with pytest.raises(CuelightError, match="use_lottery_ticket_hypothesis: false"):
            fit(tmp_path, [EMACallback(**DECAY), ModelPruning("l1_unstructured")])

    def test_flat_sharding_is_refused(self, tmp_path):
        trainer = SimpleNamespace(strategy=FSDPStrategy(), callbacks=[])
        with pytest.raises(CuelightError, match="ModelParallelStrategy"):
            EMACallback(**DECAY).setup(trainer, TinyModel(), "fit")

    @pytest.mark.parametrize("pruning", [ModelPruning, lightning_callbacks.ModelPruning])
    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize("weights_only", [True, False])
    def test_pruned_weights_are_measured_and_saved_as_zeros(self, tmp_path, pruning, first, weights_only):
        class Measured(TinyModel):
            """Keeps the outputs of the last validation."""

            def validation_step(self, batch, batch_idx):
                super().validation_step(batch, batch_idx)
                self.measured = batch[0], self(batch[0])

        pruner = pruning("l1_unstructured", amount=0.5, use_lottery_ticket_hypothesis=False, parameter_names=["weight"])
        ema, saver = EMACallback(**DECAY), ModelCheckpoint(tmp_path, "pruned", save_weights_only=weights_only)
        trainer = make_trainer(tmp_path, [saver])
        trainer.callbacks = [ema, pruner, saver] if first else [pruner, ema, saver]
        torch.manual_seed(0)
        module = Measured()
        trainer.fit(module, datamodule=TinyData())
        inputs, outputs = module.measured
        saved = TinyModel().eval()
        saved.load_state_dict(load(tmp_path / "pruned.ckpt")["state_dict"])
        assert any((value == 0).float().mean() > 0.3 for value in saved.state_dict().values())
        if pruning is ModelPruning:  # Lightning's own prunes after the validation
            torch.testing.assert_close(saved(inputs), outputs)
        assert equal(weights_of(saved), weights_of(module))
        trainer.save_checkpoint(tmp_path / "end.ckpt")
        for name, value in load(tmp_path / "end.ckpt")["current_model_state"].items():
            assert torch.equal(value == 0, saved.state_dict()[name] == 0), name
        assert equal(weights_of(saved), weights_of(module))

    def test_a_pruned_training_can_be_resumed(self, tmp_path):
        def parts():
            pruner = ModelPruning("l1_unstructured", amount=0.3, use_lottery_ticket_hypothesis=False)
            return [SeedEachBatch(1), EMACallback(**DECAY), pruner, ModelCheckpoint(tmp_path, save_top_k=-1)]

        _, uninterrupted = fit(tmp_path, parts(), max_epochs=3)
        _, resumed = fit(tmp_path, parts(), resume=tmp_path / "epoch=1-step=10.ckpt", max_epochs=3)
        assert equal(weights_of(resumed), weights_of(uninterrupted))

    def test_a_model_that_is_pruned_by_itself_keeps_its_names(self, tmp_path):
        class Pruned(TinyModel):
            def __init__(self):
                super().__init__()
                prune.l1_unstructured(self.network[0], "weight", 0.5)

        def parts():
            return [SeedEachBatch(1), EMACallback(**DECAY), ModelCheckpoint(tmp_path, save_top_k=-1)]

        plugins = [AtomicCheckpointIO()]
        _, uninterrupted = fit(tmp_path, parts(), Pruned(), max_epochs=3, plugins=plugins)
        _, resumed = fit(tmp_path, parts(), Pruned(), tmp_path / "epoch=1-step=10.ckpt", max_epochs=3, plugins=plugins)
        assert equal(weights_of(resumed), weights_of(uninterrupted))

    def test_another_model_has_no_average(self, tmp_path):
        trainer, _ = fit(tmp_path, [EMACallback(**DECAY)])
        trainer.test(other := TinyModel(), datamodule=TinyData(), verbose=False)
        trainer.save_checkpoint(tmp_path / "other.ckpt")
        checkpoint = load(tmp_path / "other.ckpt")
        assert equal(checkpoint["state_dict"], weights_of(other))
        assert "current_model_state" not in checkpoint

    def test_another_trainer_leaves_the_model_of_the_first_alone(self, tmp_path):
        ema = EMACallback(**DECAY)
        trainer, module = fit(tmp_path, [ema])
        _, second = fit(tmp_path, [ema], max_epochs=1)
        held = weights_of(module), weights_of(second)
        trainer.save_checkpoint(tmp_path / "first.ckpt")
        assert equal(load(tmp_path / "first.ckpt")["state_dict"], held[0])
        assert equal(weights_of(second), held[1])

    def test_weights_loaded_for_a_test_are_tested_as_they_are(self, tmp_path):
        other = TinyModel()
        make_trainer(tmp_path, []).fit(other, datamodule=TinyData())
        trainer = make_trainer(tmp_path, [])
        trainer.strategy.connect(other)
        trainer.save_checkpoint(tmp_path / "other.ckpt")

        class Tested(pl.Callback):
            def on_test_start(self, trainer, pl_module):
                self.weights = weights_of(pl_module)

        tested = Tested()
        trainer, module = fit(tmp_path, [EMACallback(**DECAY), tested])
        trained = weights_of(module)
        trainer.test(module, datamodule=TinyData(), verbose=False)
        assert equal(tested.weights, trained)
        trainer.test(module, datamodule=TinyData(), ckpt_path=tmp_path / "other.ckpt", weights_only=True, verbose=False)
        assert equal(tested.weights, weights_of(other))
        trainer.save_checkpoint(tmp_path / "then.ckpt")
        checkpoint = load(tmp_path / "then.ckpt")
        assert equal(checkpoint["state_dict"], weights_of(other))
        assert "current_model_state" not in checkpoint

    def test_predictions_are_those_of_the_average(self, tmp_path):
        by_hand = AverageByHand()
        trainer, module = fit(tmp_path, [EMACallback(**DECAY), by_hand])
        data = TinyData()
        module.predict_step = lambda batch, batch_idx: module(batch[0])
        predicted = trainer.predict(module, data.val_dataloader())
        expected = TinyModel().eval()
        expected.load_state_dict(by_hand.average)
        torch.testing.assert_close(torch.cat(predicted), expected(data.features[:24]))

    def test_a_second_fit_begins_with_what_the_model_holds(self, tmp_path):
        class First(pl.Callback):
            def on_train_start(self, trainer, pl_module):
                self.weights = weights_of(pl_module)

        first, ema = First(), EMACallback(**DECAY)
        trainer, module = fit(tmp_path, [ema, first])
        held = weights_of(module)
        trainer.fit_loop.max_epochs = 3
        trainer.fit(module, datamodule=TinyData())
        assert equal(first.weights, held)
        assert ema.updates == 5

    def test_learning_rate_finder(self, tmp_path):
        finder = LearningRateFinder(num_training_steps=8)
        ema, by_hand, model = EMACallback(**DECAY), AverageByHand(), TinyModel()
        model.lr = 0.01
        _, _module = fit(tmp_path, [finder, ema, by_hand], model)
        assert ema.updates == 10

    def test_lazy_layers_begin_with_their_first_weights(self, tmp_path):
        class Lazy(TinyModel):
            def __init__(self):
                super().__init__()
                self.network[0] = nn.LazyLinear(8)

        class AfterTheFirstForward(pl.Callback):
            def on_before_backward(self, trainer, pl_module, loss):
                self.first = getattr(self, "first", None) or weights_of(pl_module)

        first = AfterTheFirstForward()
        ema = EMACallback(0.5, use_dynamic_decay=False)
        _, module = fit(tmp_path, [first, ema], Lazy(), num_sanity_val_steps=0, limit_train_batches=1, max_epochs=1)
        with ema.weights.out_of_model():
            raw = weights_of(module)
        name = "network.0.weight"
        torch.testing.assert_close(module.state_dict()[name], (first.first[name] + raw[name]) / 2)

    def test_layers_made_in_configure_model(self, tmp_path):
        class MadeLate(TinyModel):
            def __init__(self):
                super().__init__()
                self.network = None

            def configure_model(self):
                if self.network is None:
                    self.network = nn.Sequential(nn.Linear(FEATURES, 4), nn.ReLU(), nn.Linear(4, 2))

        by_hand = AverageByHand()
        trainer, module = fit(tmp_path, [EMACallback(**DECAY), by_hand], MadeLate())
        trainer.save_checkpoint(tmp_path / "late.ckpt")
        assert close(weights_of(module), by_hand.average)
        resumed = EMACallback(**DECAY)
        fit(tmp_path, [resumed], MadeLate(), resume=tmp_path / "late.ckpt", max_epochs=3)
        assert resumed.updates == 15

    def test_frozen_and_tied_parameters(self, tmp_path):
        class Tied(TinyModel):
            def __init__(self):
                super().__init__()
                self.network[0].requires_grad_(requires_grad=False)
                self.again = self.network[4]

            def configure_optimizers(self):
                return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], 0.1)

        model, by_hand = Tied(), AverageByHand()
        frozen = model.network[0].weight.detach().clone()
        _, module = fit(tmp_path, [EMACallback(**DECAY), by_hand], model)
        assert close(weights_of(module), by_hand.average)
        assert torch.equal(module.network[0].weight, frozen)
        assert module.again.weight is module.network[4].weight

    def test_compiled_module(self, tmp_path):
        model, by_hand = TinyModel(), AverageByHand()
        torch.manual_seed(0)
        trainer = make_trainer(tmp_path, [EMACallback(**DECAY), by_hand])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.fit(torch.compile(model, backend="aot_eager"), datamodule=TinyData())
        assert close(weights_of(model), by_hand.average)


class TestParameters:
    @pytest.mark.parametrize(
        "parameters",
        [
            {"decay": 1.0},
            {"decay": -0.1},
            {"decay": "0.9"},
            {"decay": None},
            {"decay_tau": 0},
            {"decay_tau": math.inf},
            {"update_every_n_steps": 0},
            {"update_every_n_steps": 1.5},
            {"update_starting_at_step": -1},
            {"device": "cud"},
        ],
        ids=str,
    )
    def test_out_of_range_is_refused(self, parameters):
        ((name, value),) = parameters.items()
        with pytest.raises(ValueError, match=f"EMACallback: {name}: expected a .*, got {value!r}"):
            EMACallback(**parameters)

    def test_a_pattern_that_fits_no_buffer_is_refused(self, tmp_path):
        with pytest.raises(CuelightError, match=r'no buffer fits "\*.runing_mean". Did you mean ".*running_mean"\?'):
            fit(tmp_path, [EMACallback(**DECAY, average_buffers="*.runing_mean")])

    @pytest.mark.parametrize(
        ("parameters", "hint"),
        [
            ({}, "next to nothing: with decay 0.5, it reaches back over about 2 updates"),
            ({"decay": 0.999}, "next to nothing: decay_tau 2000 is long for 10 updates"),
            ({"decay": 0.5, "use_dynamic_decay": False}, "next to nothing: with decay 0.5"),
            ({"decay": 0.999, "use_dynamic_decay": False}, "the first weights still have a share of 99%"),
            ({"decay": 0.9, "update_every_n_steps": 11}, "never averages"),
            ({"decay": 0.9, "update_starting_at_step": 10}, "never averages"),
        ],
        ids=str,
    )
    def test_a_hint_where_it_does_not_average(self, tmp_path, parameters, hint, caplog):
        fit(tmp_path, [EMACallback(**parameters)])
        assert hint in caplog.text

    @pytest.mark.parametrize("options", [{}, {"fast_dev_run": True}], ids=str)
    def test_no_hint_where_it_averages(self, tmp_path, options, caplog):
        fit(tmp_path, [EMACallback(0.9, decay_tau=1)], **options)
        assert "EMACallback" not in caplog.text

    def test_a_copy_of_a_callback_that_was_used_begins_anew(self, tmp_path):
        ema = EMACallback(**DECAY, average_buffers=["*.running_mean"])
        fit(tmp_path, [ema])
        for copied in (copy.deepcopy(ema), pickle.loads(pickle.dumps(ema))):
            assert copied.updates == 0
            fit(tmp_path, [copied])
            assert (copied.updates, copied.average_buffers) == (10, ["*.running_mean"])
