"""The average is updated after each step and is what is measured, wherever the callback stands in the list."""

import copy
import inspect
import itertools
import pickle
import warnings

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import (
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
)
from lightning.pytorch.plugins import MixedPrecision
from timm.optim import Lookahead
from torch import nn
from torch.nn import functional

from cuelight.callbacks.added.seed_each_batch import SeedEachBatch
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.errors import CuelightError
from support.averages import DECAY, AverageByHand
from support.comparing import close, same, weights_of
from support.tiny import FEATURES, SkipsSomeBatches, TinyData, TinyModel
from support.trainers import fit, quiet_trainer


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
        assert same(with_average.raw, without.raw)

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
        assert caplog.text.count("After step 6, there is NaN or infinity in network.0.weight, ") == 1
        assert caplog.text.count("The average was not updated after step 5: until the end of the training") == 1

    @pytest.mark.parametrize("recovers", [False, True])
    def test_buffers_that_are_not_finite_are_named(self, tmp_path, caplog, recovers):
        class Poisoned(TinyModel):
            def on_train_batch_start(self, batch, batch_idx):
                if self.global_step in ({6, 7} if recovers else {6}):
                    self.network[1].running_mean[0] = 0.0 if self.global_step == 7 else torch.inf
                    self.network[1].running_var[0] = 1.0 if self.global_step == 7 else torch.nan

        ema = EMACallback(**DECAY)
        fit(tmp_path, [ema], Poisoned())
        named = "network.1.running_mean, network.1.running_var"
        assert f"After step 7, there is NaN or infinity in {named}. The average is not updated" in caplog.text
        at_the_end = f"not updated after step 6: until the end of the training, there was NaN or infinity in {named}."
        assert (at_the_end in caplog.text) is not recovers
        assert (ema.updates, ema.skipped) == ((9, 1) if recovers else (6, 4))

    def test_a_resume_says_when_the_average_was_updated(self, tmp_path, caplog):
        class Poisoned(TinyModel):
            def on_train_batch_start(self, batch, batch_idx):
                self.network[1].running_mean[0] = torch.nan if self.global_step >= 3 else 0.0

        fit(tmp_path, [EMACallback(**DECAY), ModelCheckpoint(tmp_path, "poisoned")], Poisoned())
        caplog.clear()
        fit(tmp_path, [EMACallback(**DECAY)], Poisoned(), resume=tmp_path / "poisoned.ckpt", max_epochs=3)
        assert "After step 11, there is NaN or infinity in network.1.running_mean." in caplog.text
        assert "The average was not updated after step 3: until the end" in caplog.text


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
            assert averaged or same(held, raw)
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

        trainer = quiet_trainer(tmp_path, max_epochs=2)
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
        trainer = quiet_trainer(tmp_path, [saver], max_epochs=2)
        trainer.callbacks = [by_hand, seventh, *([ema, saver] if first else [saver, ema])]
        torch.manual_seed(0)
        trainer.fit(TinyModel(), datamodule=TinyData())
        checkpoint = torch.load(tmp_path / "step.ckpt", weights_only=True)
        assert close(checkpoint["state_dict"], seventh.average)
        assert same(checkpoint["current_model_state"], seventh.raw)

    def test_the_sanity_check_sees_what_the_module_holds(self, tmp_path):
        class Sanity(pl.Callback):
            seen = None

            def on_validation_start(self, trainer, pl_module):
                if trainer.sanity_checking:
                    self.seen = weights_of(pl_module)

        sanity, model = Sanity(), TinyModel()
        first = weights_of(model)
        fit(tmp_path, [EMACallback(**DECAY), sanity], model)
        assert same(sanity.seen, first)


class TestWithOthers:
    def test_another_model_has_no_average(self, tmp_path):
        trainer, _ = fit(tmp_path, [EMACallback(**DECAY)])
        trainer.test(other := TinyModel(), datamodule=TinyData(), verbose=False)
        trainer.save_checkpoint(tmp_path / "other.ckpt")
        checkpoint = torch.load(tmp_path / "other.ckpt", weights_only=True)
        assert same(checkpoint["state_dict"], weights_of(other))
        assert "current_model_state" not in checkpoint

    def test_another_trainer_leaves_the_model_of_the_first_alone(self, tmp_path):
        ema = EMACallback(**DECAY)
        trainer, module = fit(tmp_path, [ema])
        _, second = fit(tmp_path, [ema], max_epochs=1)
        held = weights_of(module), weights_of(second)
        trainer.save_checkpoint(tmp_path / "first.ckpt")
        assert same(torch.load(tmp_path / "first.ckpt", weights_only=True)["state_dict"], held[0])
        assert same(weights_of(second), held[1])

    def test_weights_loaded_for_a_test_are_tested_as_they_are(self, tmp_path):
        other = TinyModel()
        quiet_trainer(tmp_path, max_epochs=2).fit(other, datamodule=TinyData())
        trainer = quiet_trainer(tmp_path, max_epochs=2)
        trainer.strategy.connect(other)
        trainer.save_checkpoint(tmp_path / "other.ckpt")

        class Tested(pl.Callback):
            def on_test_start(self, trainer, pl_module):
                self.weights = weights_of(pl_module)

        tested = Tested()
        trainer, module = fit(tmp_path, [EMACallback(**DECAY), tested])
        trained = weights_of(module)
        trainer.test(module, datamodule=TinyData(), verbose=False)
        assert same(tested.weights, trained)
        trainer.test(module, datamodule=TinyData(), ckpt_path=tmp_path / "other.ckpt", weights_only=True, verbose=False)
        assert same(tested.weights, weights_of(other))
        trainer.save_checkpoint(tmp_path / "then.ckpt")
        checkpoint = torch.load(tmp_path / "then.ckpt", weights_only=True)
        assert same(checkpoint["state_dict"], weights_of(other))
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
        assert same(first.weights, held)
        assert ema.updates == 5

    def test_steps_of_the_learning_rate_finder_do_not_count(self, tmp_path):
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

    @pytest.mark.slow
    def test_compiled_module_holds_the_average(self, tmp_path):
        model, by_hand = TinyModel(), AverageByHand()
        torch.manual_seed(0)
        trainer = quiet_trainer(tmp_path, [EMACallback(**DECAY), by_hand], max_epochs=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.fit(torch.compile(model, backend="aot_eager"), datamodule=TinyData())
        assert close(weights_of(model), by_hand.average)

    def test_a_pattern_that_fits_no_buffer_is_refused(self, tmp_path):
        with pytest.raises(CuelightError, match=r'no buffer matches "\*.runing_mean". Did you mean ".*running_mean"\?'):
            fit(tmp_path, [EMACallback(**DECAY, average_buffers="*.runing_mean")])

    def test_a_copy_of_a_callback_that_was_used_begins_anew(self, tmp_path):
        ema = EMACallback(**DECAY, average_buffers=["*.running_mean"])
        fit(tmp_path, [ema])
        for copied in (copy.deepcopy(ema), pickle.loads(pickle.dumps(ema))):
            assert copied.updates == 0
            fit(tmp_path, [copied])
            assert (copied.updates, copied.average_buffers) == (10, ["*.running_mean"])
