"""The average over several processes: as whole copies (DDP), and as one shard of the weights on each (FSDP2)."""

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.nn import functional

from cuelight.callbacks.ema.ema_callback import EMACallback
from support.averages import ByHand, EvenData, EvenModel
from support.comparing import close, same, weights_of
from support.ranks import on_ranks
from support.trainers import quiet_trainer

DECAY, TAU = 0.9, 5
MOMENTS = ["validating", "epoch", "trained"]


class Save(pl.Callback):
    """Saves in the second validation and at the end of the second epoch, and keeps what should be in the files."""

    def __init__(self, folder, hand):
        self.folder, self.hand = folder, hand
        self.expected = {}

    def save(self, trainer, moment):
        trainer.save_checkpoint(f"{self.folder}/{moment}")
        self.expected[moment] = self.hand.average, self.hand.raw[-1]

    def on_validation_end(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            self.save(trainer, "validating")

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            self.save(trainer, "epoch")


class Run:
    """A training with an average by hand, and files of three moments unless it is resumed.

    To look at a sharded model makes it forget what it has gathered, so one training is watched by nobody.
    """

    def __init__(self, folder, model=EvenModel, averaging=True, watched=True, resume=None, more=(), **settings):
        torch.manual_seed(0)
        self.model, self.ema, self.hand = model(), EMACallback(DECAY, decay_tau=TAU), ByHand(DECAY, TAU)
        saved = Save(folder, self.hand)
        watching = [self.hand, saved] if resume is None else [self.hand]
        callbacks = [*(watching if watched else []), *more, *([self.ema] if averaging else [])]
        trainer = quiet_trainer(folder, callbacks, **{"max_epochs": 2} | settings)
        trainer.fit(self.model, datamodule=EvenData(), ckpt_path=resume, weights_only=True)
        if watched and resume is None:
            saved.save(trainer, "trained")
        self.expected = saved.expected

    def facts(self):
        """What another process can be told."""
        names = "average", "raw", "validated", "ended"
        return {name: getattr(self.hand, name) for name in names} | {
            "updates": self.ema.updates,
            "skipped": self.ema.skipped,
            "expected": self.expected,
            "losses": self.model.losses,
        }


def saved_at(moment, folder):
    """The average and the weights in a file, or in a folder to which each rank has written its part."""
    path = folder / moment
    if path.is_file():
        whole = torch.load(path, weights_only=True)
        return whole["state_dict"], whole["current_model_state"]
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    dcp_to_torch_save(path, folder / f"{moment}.joined")
    joined = torch.load(folder / f"{moment}.joined", weights_only=True)
    return joined["state_dict"], torch.load(path / "meta.pt", weights_only=True)["current_model_state"]


def loss_of(weights):
    model = EvenModel()
    model.load_state_dict(weights)
    features, labels = EvenData().rows.tensors
    return functional.cross_entropy(model(features), labels).item()


def ddp_fit(folder, **settings):
    return Run(folder, devices=2, strategy="ddp", **settings).facts()


def ddp_fits(folder):
    return {"plain": ddp_fit(folder), "accumulating": ddp_fit(folder / "accumulating", accumulate_grad_batches=2)}


def normed_model():
    return EvenModel(norm=True)


def ddp_resumed(folder):
    settings = {"model": normed_model, "max_epochs": 4}
    return {"whole": ddp_fit(folder, **settings), "resumed": ddp_fit(folder, resume=folder / "epoch", **settings)}


def started_by_lightning(folder, strategy):
    torch.manual_seed(0)
    model = EvenModel()
    trainer = quiet_trainer(folder, [EMACallback(DECAY, decay_tau=TAU)], max_epochs=2, devices=2, strategy=strategy)
    trainer.fit(model, datamodule=EvenData())
    return weights_of(model)


class TestCopies:
    """DDP."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        return tmp_path_factory.mktemp("ddp")

    @pytest.fixture(scope="class")
    def ranks(self, folder):
        return on_ranks(ddp_fits, folder)

    @pytest.fixture(scope="class")
    def resumed_ranks(self, tmp_path_factory):
        return on_ranks(ddp_resumed, tmp_path_factory.mktemp("resumed"))

    def test_average_is_that_of_one_process_with_the_same_global_batches(self, tmp_path, ranks) -> None:
        one = Run(tmp_path, devices=1).hand.average
        assert all(close(rank["plain"]["ended"], one) for rank in ranks)

    def test_all_ranks_hold_the_same_average(self, ranks) -> None:
        one, other = (rank["plain"]["ended"] for rank in ranks)
        assert same(one, other)

    @pytest.mark.parametrize("moment", MOMENTS)
    def test_checkpoint_holds_average_and_weights(self, folder, ranks, moment) -> None:
        average, raw = saved_at(moment, folder)
        expected_average, expected_raw = ranks[0]["plain"]["expected"][moment]
        assert close(average, expected_average)
        assert same(raw, expected_raw)

    def test_accumulated_batches_make_one_update(self, ranks) -> None:
        assert [rank["accumulating"]["updates"] for rank in ranks] == [6, 6]  # 2 epochs of 5 batches, in pairs

    def test_average_over_accumulated_batches_is_right(self, ranks) -> None:
        assert all(close(rank["accumulating"]["ended"], rank["accumulating"]["average"]) for rank in ranks)

    @pytest.mark.slow
    def test_resumed_equals_uninterrupted(self, resumed_ranks) -> None:
        for rank in resumed_ranks:
            assert same(rank["whole"]["ended"], rank["resumed"]["ended"])
            assert same(rank["whole"]["raw"][-1], rank["resumed"]["raw"][-1])

    @pytest.mark.slow
    def test_all_ranks_hold_the_same_averaged_statistics_of_batches(self, resumed_ranks) -> None:
        one, other = (rank["whole"]["ended"] for rank in resumed_ranks)
        assert same(one, other)

    @pytest.mark.slow
    @pytest.mark.parametrize("strategy", ["ddp_fork", "ddp_spawn"])
    def test_average_comes_back_to_the_process_that_started_the_others(self, tmp_path, ranks, strategy) -> None:
        (found,) = on_ranks(started_by_lightning, tmp_path, strategy, count=1, grouped=False)
        assert close(found, ranks[0]["plain"]["average"])


class ShardedModel(EvenModel):
    def configure_model(self):
        from torch.distributed.fsdp import fully_shard

        mesh = self.device_mesh["data_parallel"]
        for layer in (self.network[0], self.network[-1]):
            fully_shard(layer, mesh=mesh)
        fully_shard(self, mesh=mesh)  # its own parameter stays gathered after a forward pass


class ShardedAsOneModel(EvenModel):
    def configure_model(self):
        from torch.distributed.fsdp import fully_shard

        fully_shard(self, mesh=self.device_mesh["data_parallel"])


class NormedShardedModel(ShardedModel):
    def __init__(self):
        super().__init__(norm=True)


class Poison(pl.Callback):
    """Makes the shard of one rank NaN in the last step of the first epoch."""

    def __init__(self, rank):
        self.rank = rank

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step == 4 and trainer.global_rank == self.rank:
            pl_module.network[-1].weight.grad.to_local()[0, 0] = torch.nan


def sharding(size, distributed=False):
    return {
        "devices": size,
        "strategy": ModelParallelStrategy(
            data_parallel_size=size,
            tensor_parallel_size=1,
            save_distributed_checkpoint=distributed,
            process_group_backend="gloo",
        ),
    }


def sharded_fits(folder, size, distributed):
    settings = {"model": ShardedModel, "max_epochs": 3}
    whole = Run(folder, **settings, **sharding(size, distributed))
    stored = [average.shape for group in whole.ema.weights._groups for average in group.average]
    unwatched = Run(folder / "unwatched", watched=False, **settings, **sharding(size, distributed))
    without = Run(folder / "without", averaging=False, **settings, **sharding(size, distributed))
    resumed = Run(folder, resume=folder / "epoch", **settings, **sharding(size, distributed))
    return {
        "whole": whole.facts(),
        "stored": stored,
        "exchanges": exchanges(whole),
        "unwatched": unwatched.facts(),
        "without": without.facts(),
        "resumed": resumed.facts(),
    }


def exchanges(run):
    """How often processes exchange data for an update and for bringing the average in and out; for a forward pass."""
    from torch.distributed.tensor.debug import CommDebugMode

    average = run.ema.weights
    with CommDebugMode() as forward, torch.no_grad():
        run.model(torch.zeros(2, 6))
    with CommDebugMode() as update, average.out_of_model():
        average.update(DECAY)
    return {"forward": forward.get_total_counts(), "update": update.get_total_counts()}


def sharded_statistics(folder):
    return Run(folder, model=NormedShardedModel, **sharding(2)).facts()


def sharded_after_sanity_check(folder):
    """What is measured in one epoch, with and without a check before that leaves parameters gathered."""
    settings = {"model": ShardedAsOneModel, "max_epochs": 1, "watched": False}
    runs = [Run(folder, num_sanity_val_steps=batches, **settings, **sharding(2)) for batches in (0, 2)]
    return [run.model.losses["validation"][-5:] for run in runs]


def sharded_halves(folder):
    settings = {"model": ShardedModel, "max_epochs": 3, "precision": "bf16-true"}
    whole = Run(folder, **settings, **sharding(2))
    return whole.facts(), Run(folder, resume=folder / "epoch", **settings, **sharding(2)).facts()


def poisoned_fits(folder):
    return {
        "poisoned": Run(folder, model=ShardedModel, more=[Poison(rank=1)], max_epochs=1, **sharding(2)).facts(),
        "before": Run(folder, model=ShardedModel, max_steps=4, **sharding(2)).facts(),
    }


def lightnings_average(folder):
    trainer = quiet_trainer(folder, [EMAWeightAveraging(decay=DECAY)], max_epochs=2, **sharding(2))
    trainer.fit(ShardedModel(), datamodule=EvenData())


@pytest.mark.slow
class TestShards:
    """FSDP2, with checkpoints in one file or one part for each rank; on one rank gathering shares memory."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        return tmp_path_factory.mktemp("sharded")

    @pytest.fixture(
        scope="class",
        params=[(2, False), (2, True), (1, False), (1, True)],
        ids=["whole", "parts", "one rank", "one rank, part"],
    )
    def ranks(self, request, folder):
        size, distributed = request.param
        return on_ranks(sharded_fits, folder, size, distributed, count=size)

    @pytest.fixture(scope="class")
    def poisoned_ranks(self, tmp_path_factory):
        return on_ranks(poisoned_fits, tmp_path_factory.mktemp("poisoned"))

    def test_every_validation_sees_the_average(self, ranks) -> None:
        validated = [pair for rank in ranks for pair in rank["whole"]["validated"]]
        assert len(validated) == 3 * len(ranks)
        assert all(close(found, average) for found, average in validated)

    def test_trained_model_holds_the_average(self, ranks) -> None:
        assert all(close(rank["whole"]["ended"], rank["whole"]["average"]) for rank in ranks)

    def test_weights_are_trained_as_without_the_average(self, ranks) -> None:
        for rank in ranks:
            pairs = zip(rank["whole"]["raw"], rank["without"]["raw"], strict=True)
            assert all(same(one, other) for one, other in pairs)

    def test_training_goes_on_with_the_weights_that_it_had(self, ranks) -> None:
        for rank in ranks:
            assert rank["unwatched"]["losses"]["training"] == rank["without"]["losses"]["training"]

    def test_validation_measures_the_average(self, ranks) -> None:
        measured = torch.tensor([rank["unwatched"]["losses"]["validation"] for rank in ranks]).mean(0)
        expected = [loss_of(average) for _, average in ranks[0]["whole"]["validated"]]
        assert measured.view(3, 5).mean(1).tolist() == pytest.approx(expected, rel=1e-5)

    def test_ranks_store_each_value_once(self, ranks) -> None:
        stored = [sum(shape.numel() for shape in rank["stored"]) for rank in ranks]
        assert sum(stored) == sum(tensor.numel() for tensor in EvenModel().parameters())
        assert max(stored) < sum(stored) or len(ranks) == 1

    def test_nothing_is_gathered_for_the_average(self, ranks) -> None:
        seen = all(rank["exchanges"]["forward"] > 0 for rank in ranks)
        assert seen or len(ranks) == 1
        assert all(rank["exchanges"]["update"] == 0 for rank in ranks)

    @pytest.mark.parametrize("moment", MOMENTS)
    def test_checkpoint_holds_average_and_weights(self, folder, ranks, moment) -> None:
        average, raw = saved_at(moment, folder)
        expected_average, expected_raw = ranks[0]["whole"]["expected"][moment]
        assert close(average, expected_average)
        assert same(raw, expected_raw)

    def test_resumed_equals_uninterrupted(self, ranks) -> None:
        for rank in ranks:
            assert len(rank["resumed"]["raw"]) == 5
            assert same(rank["whole"]["ended"], rank["resumed"]["ended"])
            assert same(rank["whole"]["raw"][-1], rank["resumed"]["raw"][-1])

    def test_statistics_of_batches_are_averaged_on_each_rank(self, tmp_path) -> None:
        assert all(close(rank["ended"], rank["average"]) for rank in on_ranks(sharded_statistics, tmp_path))

    def test_begins_with_the_first_weights_also_after_a_sanity_check(self, tmp_path) -> None:
        for without, checked in on_ranks(sharded_after_sanity_check, tmp_path):
            assert without == checked

    def test_half_precision_resumed_equals_uninterrupted(self, tmp_path) -> None:
        for whole, resumed in on_ranks(sharded_halves, tmp_path):
            assert same(whole["ended"], resumed["ended"])

    def test_all_ranks_skip_a_step_that_made_one_shard_nan(self, poisoned_ranks) -> None:
        counts = [(rank["poisoned"]["updates"], rank["poisoned"]["skipped"]) for rank in poisoned_ranks]
        assert counts == [(4, 1), (4, 1)]

    def test_average_stays_as_it_was_before_the_nan(self, poisoned_ranks) -> None:
        assert all(same(rank["poisoned"]["ended"], rank["before"]["ended"]) for rank in poisoned_ranks)

    def test_lightnings_own_average_cannot_copy_a_sharded_model(self, tmp_path) -> None:
        """Why this callback is the one for FSDP2."""
        with pytest.raises(AssertionError, match="FSDP does not support deepcopy"):
            on_ranks(lightnings_average, tmp_path)
