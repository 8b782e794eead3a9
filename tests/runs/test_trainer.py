"""Each setting of the trainer section does what it says."""

import lightning.pytorch as pl
import pytest
import torch
from torch._dynamo.utils import counters

from cuelight.callbacks.added.last_checkpoint import LastCheckpoint
from cuelight.config.schema import TrainerConfig
from cuelight.runs.run import Run
from cuelight.runs.trainer import build_trainer, take_model_callbacks
from support.comparing import same
from support.experiments import experiment, last, metric_rows, own_parts

BATCHES = 5


@pytest.fixture(autouse=True)
def _parts():
    own_parts()


def train(digits, folder, **trainer):
    """Train, and tell of each optimizer step: number, batch of the epoch, epoch, norm of the gradient."""
    probe = {"name": "Probe", "params": {"path": str(folder / "probe.txt")}}
    settings = {"epochs": 2, "scheduler": None, "callbacks": [probe]} | trainer
    run = Run.from_yaml(experiment(digits, **settings))
    run.train(folder)
    steps = [line.split() for line in (folder / "probe.txt").read_text().splitlines()]
    return run, [(int(step), int(batch), int(epoch), float(norm)) for step, batch, epoch, norm in steps]


def validated_at(run):
    return [int(row["step"]) for row in metric_rows(run.directory) if row["val/loss"]]


def test_number_of_epochs(digits, tmp_path) -> None:
    run, steps = train(digits, tmp_path, epochs=3)
    assert [(epoch, batch) for _, batch, epoch, _ in steps] == [(e, b) for e in range(3) for b in range(BATCHES)]
    assert validated_at(run) == [4, 9, 14]


def test_no_epochs_train_nothing(digits, tmp_path) -> None:
    run = Run.from_yaml(experiment(digits, epochs=0, scheduler=None))
    result = run.train(tmp_path)
    assert result.best is None


@pytest.mark.parametrize("max_steps", [1, 5, 7])
def test_max_steps_end_with_a_validation(digits, tmp_path, max_steps) -> None:
    run, steps = train(digits, tmp_path, max_steps=max_steps)
    assert len(steps) == max_steps
    assert last(run.directory)["global_step"] == max_steps
    assert validated_at(run)[-1] == max_steps - 1


def test_max_time_of_nothing_ends_after_the_first_batch(digits, tmp_path) -> None:
    _, steps = train(digits, tmp_path, max_time={"seconds": 0.000001})
    assert len(steps) == 1


def test_max_time_that_is_not_reached_changes_nothing(digits, tmp_path) -> None:
    _, steps = train(digits, tmp_path, max_time="10h")
    assert len(steps) == 2 * BATCHES


@pytest.mark.parametrize(
    ("interval", "steps"), [(1, [4, 9, 14, 19]), (2, [9, 19]), (3, [14]), (0.4, [1, 3, 6, 8, 11, 13, 16, 18])]
)
def test_validation_interval(digits, tmp_path, interval, steps) -> None:
    run, _ = train(digits, tmp_path, epochs=4, validation_interval=interval)
    assert validated_at(run) == steps


@pytest.mark.parametrize(("factor", "per_epoch"), [(2, [1, 3, 4]), (5, [4]), (10, [4])])
def test_accumulation_steps_after_n_batches_and_at_the_end_of_the_epoch(digits, tmp_path, factor, per_epoch) -> None:
    _, steps = train(digits, tmp_path, accumulate_grad_batches=factor)
    assert [batch for _, batch, _, _ in steps] == per_epoch * 2


def test_gradient_clipping(digits, tmp_path) -> None:
    _, free = train(digits, tmp_path / "free" if (tmp_path / "free").mkdir() is None else tmp_path, epochs=1)
    assert max(norm for *_, norm in free) > 0.5
    norms = {"name": "StepNorms", "params": {"path": str(tmp_path / "norms.txt")}}
    Run.from_yaml(experiment(digits, epochs=1, gradient_clip_val=0.5, callbacks=[norms])).train(tmp_path)
    clipped = [float(norm) for norm in (tmp_path / "norms.txt").read_text().split()]
    assert len(clipped) == BATCHES
    assert max(clipped) <= 0.5 * (1 + 1e-5)
    assert max(clipped) > 0.4


def test_mixed_precision_keeps_the_weights_in_float32(digits, tmp_path) -> None:
    run, _ = train(digits, tmp_path, precision="bf16-mixed", epochs=1)
    other = tmp_path / "other"
    other.mkdir()
    plain, _ = train(digits, other, epochs=1)
    weights, reference = last(run.directory)["state_dict"], last(plain.directory)["state_dict"]
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32, torch.int64}
    assert not same(weights, reference)
    for name, tensor in reference.items():
        torch.testing.assert_close(weights[name], tensor, rtol=0.2, atol=0.1)


@pytest.mark.slow
def test_compiled_model_has_the_same_names_and_nearly_the_same_weights(digits, tmp_path) -> None:
    def weights(folder, **trainer):
        tree = experiment(
            digits, epochs=1, optimizer={"name": "SGD", "params": {"lr": 0.05}}, scheduler=None, **trainer
        )
        tree["model"]["params"] = {"dropout": 0.0}  # compiled dropout draws other numbers
        run = Run.from_yaml(tree)
        run.train(folder)
        return last(run.directory)["state_dict"]

    plain = weights(tmp_path / "plain")
    counters.clear()
    compiled = weights(tmp_path / "compiled", compile=True)
    assert counters["stats"]["unique_graphs"] > 0
    assert compiled.keys() == plain.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=1e-2, atol=1e-3)


def test_seed_decides_the_result(digits, tmp_path) -> None:
    runs = []
    for number, seed in enumerate([1, 1, 2]):
        (tmp_path / str(number)).mkdir()
        runs.append(train(digits, tmp_path / str(number), seed=seed, epochs=1)[0])
    one, again, other = (last(run.directory)["state_dict"] for run in runs)
    assert same(one, again)
    assert not same(one, other)


def test_callbacks_are_exactly_those_given_in_their_order(tmp_path) -> None:
    given = [LastCheckpoint(), pl.callbacks.LearningRateMonitor(), pl.callbacks.ModelCheckpoint(), pl.Callback()]
    trainer = build_trainer(TrainerConfig(accelerator="cpu", devices=1), given, [], tmp_path)
    assert trainer.callbacks == given
    assert trainer.default_root_dir == str(tmp_path)
    assert trainer.loggers == []


def test_callbacks_of_a_module_are_asked_for_once() -> None:
    class Bringing(pl.LightningModule):
        def configure_callbacks(self):
            return pl.callbacks.LearningRateMonitor()

    module = Bringing()
    (brought,) = take_model_callbacks(module)
    assert isinstance(brought, pl.callbacks.LearningRateMonitor)
    assert take_model_callbacks(module) == []


def test_files_are_in_the_run_directory_also_if_no_tracker_writes_there(digits, tmp_path) -> None:
    tracker = {"tensorboard": False, "csv": False, "mlflow": {"tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}"}}
    run = Run.from_yaml(experiment(digits, epochs=1, scheduler=None) | {"tracker": tracker})
    directory = run.train(tmp_path / "runs").directory
    checkpoints = {path.name for path in (directory / "checkpoints").iterdir()}
    assert checkpoints == {"best_accuracy.ckpt", "best_loss.ckpt", "last.ckpt"}
    assert (directory / "test" / "results.json").is_file()
    assert (directory / "outcomes.json").is_file()
