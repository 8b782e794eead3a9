"""Checkpoints hold the average and the weights of the training, and a training goes on from both."""

import itertools

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    OnExceptionCheckpoint,
)
from torch.nn.utils import prune

from cuelight.callbacks.added.seed_each_batch import SeedEachBatch
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.lightning.model_pruning import ModelPruning
from cuelight.weights.checkpoint_io import AtomicCheckpointIO
from support.averages import DECAY, AverageByHand
from support.comparing import close, same, weights_of
from support.tiny import SkipsSomeBatches, TinyData, TinyModel
from support.trainers import fit, quiet_trainer


class Crash(Exception):
    """Stands for anything that ends a training."""


def load(path):
    return torch.load(path, weights_only=True)


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
        assert same(weights_of(model), by_hand.raw)
        assert same(checkpoint["current_model_state"], by_hand.raw)
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
        assert same(weights_of(model), by_hand.raw)

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
            assert same(checkpoint["current_model_state"], raw), file
            assert checkpoint["averaging_state"]["n_averaged"] == checkpoint["global_step"]

    @pytest.mark.parametrize("weights_only", [False, True])
    def test_saved_after_the_training(self, tmp_path, weights_only):
        by_hand = AverageByHand()
        trainer, module = fit(tmp_path, [by_hand, EMACallback(**DECAY)])
        trainer.save_checkpoint(tmp_path / "end.ckpt", weights_only=weights_only)
        checkpoint = load(tmp_path / "end.ckpt")
        assert same(checkpoint["state_dict"], weights_of(module))
        assert same(checkpoint["current_model_state"], by_hand.raw)
        assert close(weights_of(module), by_hand.average)

    def test_callbacks_that_change_what_is_saved_see_the_average(self, tmp_path):
        class Sees(pl.Callback):
            def on_save_checkpoint(self, trainer, pl_module, checkpoint):
                self.held = weights_of(pl_module)
                self.saved = {name: value.clone() for name, value in checkpoint["state_dict"].items()}

        sees, by_hand = Sees(), AverageByHand()
        fit(tmp_path, [by_hand, sees, EMACallback(**DECAY), ModelCheckpoint(tmp_path)])
        assert same(sees.held, sees.saved)
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
        assert same(first.average, plain)
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
        assert same(first.weights, expected)

    def test_lightnings_own_callback_goes_on_from_ours(self, tmp_path):
        trainer, _ = fit(tmp_path, [EMACallback(**DECAY)])
        trainer.save_checkpoint(tmp_path / "ours.ckpt")
        ours = load(tmp_path / "ours.ckpt")

        class First(pl.Callback):
            def on_train_start(self, trainer, pl_module):
                self.raw, self.average = weights_of(pl_module), weights_of(theirs._average_model.module)

        theirs, first = EMAWeightAveraging(decay=0.9), First()
        fit(tmp_path, [theirs, first], resume=tmp_path / "ours.ckpt", max_epochs=3)
        assert same(first.raw, ours["current_model_state"])
        assert same(first.average, ours["state_dict"])
        assert theirs._average_model.n_averaged == 15

    @pytest.mark.parametrize("moment", [3, 4, 7])
    def test_lightnings_own_callback_counts_no_step_twice(self, tmp_path, moment):
        class SaveAfterBatch(pl.Callback):
            batches = 0

            def on_train_batch_end(self, trainer, *_):
                self.batches += 1
                if self.batches == moment:
                    trainer.save_checkpoint(tmp_path / "ours.ckpt")

        accumulating = {"accumulate_grad_batches": 3, "max_epochs": 3}
        fit(tmp_path, [EMACallback(**DECAY), SaveAfterBatch()], **accumulating)
        theirs = EMAWeightAveraging(decay=0.9)
        trainer, _ = fit(tmp_path, [theirs], resume=tmp_path / "ours.ckpt", **accumulating)
        assert theirs._average_model.n_averaged == trainer.global_step == 6

    @pytest.mark.parametrize(("saved_at", "warns"), [(10, False), (5, False), (15, True)])
    def test_where_the_average_begins_is_no_checkpoint_without_an_average(self, tmp_path, caplog, saved_at, warns):
        plain = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=saved_at, save_top_k=-1)
        fit(tmp_path, [plain], max_epochs=3)
        ema = EMACallback(**DECAY, update_starting_at_step=10)
        fit(tmp_path, [ema], resume=tmp_path / f"step={saved_at}.ckpt", max_epochs=4)
        assert ("no averaged weights" in caplog.text) is warns
        assert ema.updates == 20 - max(saved_at, 10)

    def test_a_resume_is_advised_by_the_updates_that_it_has(self, tmp_path, caplog):
        fit(tmp_path, [ModelCheckpoint(tmp_path, "plain")], max_epochs=2)
        fit(tmp_path, [EMACallback(0.9, decay_tau=5)], resume=tmp_path / "plain.ckpt", max_epochs=3)
        assert "decay_tau 5 is too large for 5 updates" in caplog.text
        assert "5 updates are too few for an average" in caplog.text

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
        assert same(first.raw, theirs["current_model_state"])
        assert all(
            torch.equal(value, theirs["state_dict"][name])
            for name, value in first.average.items()
            if value.is_floating_point()
        )
        assert ema.updates == 15


class SaveOften(pl.Callback):
    """Saves at each moment of a training from which a resume may go on."""

    def __init__(self):
        self.moments = 0

    def _save(self, trainer, *_, **__):
        if not trainer.sanity_checking:
            self.moments += 1
            trainer.save_checkpoint(f"{trainer.default_root_dir}/{self.moments}.ckpt")

    on_train_batch_end = on_train_epoch_end = on_validation_end = _save


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
    def run(*saver, resume=None, model=TinyModel, update_every_n_steps=1, update_starting_at_step=0, **others):
        ema = EMACallback(0.9, True, 5, update_every_n_steps, update_starting_at_step)
        by_hand = AverageByHand()
        parts = [SeedEachBatch(1), by_hand, *([*saver, ema] if before else [ema, *saver])]
        _, module = fit(tmp_path, parts, model, resume=resume, max_epochs=3, **others)
        return weights_of(module), by_hand.raw, ema.weights.exact_averages(), ema.updates

    saver = SaveOften()
    uninterrupted = run(**options)
    assert same(run(saver, **options), uninterrupted)
    for moment in range(1, saver.moments):
        assert same(run(resume=tmp_path / f"{moment}.ckpt", **options), uninterrupted), moment


class TestPruned:
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
        trainer = quiet_trainer(tmp_path, [saver], max_epochs=2)
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
        assert same(weights_of(saved), weights_of(module))
        trainer.save_checkpoint(tmp_path / "end.ckpt")
        for name, value in load(tmp_path / "end.ckpt")["current_model_state"].items():
            assert torch.equal(value == 0, saved.state_dict()[name] == 0), name
        assert same(weights_of(saved), weights_of(module))

    def test_a_pruned_training_can_be_resumed(self, tmp_path):
        def parts():
            pruner = ModelPruning("l1_unstructured", amount=0.3, use_lottery_ticket_hypothesis=False)
            return [SeedEachBatch(1), EMACallback(**DECAY), pruner, ModelCheckpoint(tmp_path, save_top_k=-1)]

        _, uninterrupted = fit(tmp_path, parts(), max_epochs=3)
        _, resumed = fit(tmp_path, parts(), resume=tmp_path / "epoch=1-step=10.ckpt", max_epochs=3)
        assert same(weights_of(resumed), weights_of(uninterrupted))

    def test_a_model_that_is_pruned_by_itself_keeps_its_names(self, tmp_path):
        class Pruned(TinyModel):
            def __init__(self):
                super().__init__()
                prune.l1_unstructured(self.network[0], "weight", 0.5)

        def parts():
            return [SeedEachBatch(1), EMACallback(**DECAY), ModelCheckpoint(tmp_path, save_top_k=-1)]

        plugins = [AtomicCheckpointIO()]
        _, uninterrupted = fit(tmp_path, parts(), Pruned, max_epochs=3, plugins=plugins)
        _, resumed = fit(
            tmp_path, parts(), Pruned, resume=tmp_path / "epoch=1-step=10.ckpt", max_epochs=3, plugins=plugins
        )
        assert same(weights_of(resumed), weights_of(uninterrupted))
