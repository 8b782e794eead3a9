"""The steps after a training, in anyone's trainer: in order, isolated, recorded, and without a trace in the trainer."""

import json
import os
import signal
from pathlib import Path

import lightning.pytorch as pl
import onnx
import onnxruntime
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from cuelight.callbacks.added.last_checkpoint import LastCheckpoint
from cuelight.callbacks.archive_on_train_end import ArchiveOnTrainEnd
from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.export_on_train_end import ExportOnTrainEnd
from cuelight.callbacks.lightning.model_pruning import ModelPruning
from cuelight.callbacks.test_on_train_end import TestOnTrainEnd
from cuelight.errors import CuelightError, ExportError
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.train_end import measured_weights
from cuelight.train_end.from_trainer import finished_by
from cuelight.train_end.outcomes import TrainEndError, read_outcomes
from cuelight.train_end.running import StepResult
from cuelight.weights.best import BestCheckpoint, best_checkpoint
from cuelight.weights.checkpoint_io import AtomicCheckpointIO
from cuelight.weights.fingerprint import fingerprint_of_file
from cuelight.weights.reading import load_checkpoint
from support.comparing import same
from support.ranks import on_ranks
from support.tiny import FEATURES, TinyData, TinyModel
from support.trackers import KeepingLogger, KeepingTracker
from support.trainers import fit, quiet_trainer

LOSS = {"monitor": "val/loss", "filename": "best_loss"}
ACCURACY = {"monitor": "val/accuracy", "mode": "max", "filename": "best_accuracy"}


class Measured(TinyModel):
    """TinyModel with an accuracy, and with an example of what it takes."""

    main_metric = "accuracy"

    def __init__(self) -> None:
        super().__init__()
        self.example_input_array = torch.zeros(1, FEATURES)

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        self.log("val/accuracy", (self(batch[0]).argmax(1) == batch[1]).float().mean(), batch_size=len(batch[0]))

    def test_step(self, batch, batch_idx):
        super().test_step(batch, batch_idx)
        self.log("test/accuracy", (self(batch[0]).argmax(1) == batch[1]).float().mean(), batch_size=len(batch[0]))


class Failing(TrainEndStep):
    """Fails."""

    def work(self, training, report, console):
        raise ExportError("the disk has gone away.")

    def is_done(self, training, outcome):
        return False


class Broken(Failing):
    """Fails as only a bug does."""

    def work(self, training, report, console):
        return StepResult(training.directory / "x", str([].pop()))


class Watch(pl.Callback):
    """Notes all that a step must leave alone."""

    def __init__(self, *others):
        self.others = others
        self.seen = None

    @property
    def state_key(self):
        return f"Watch{id(self)}"

    def on_train_end(self, trainer, pl_module):
        self.seen = everything(trainer, pl_module)


class Ended(pl.Callback):
    """Notes that its turn came."""

    def __init__(self):
        self.turns = []

    def on_train_end(self, trainer, pl_module):
        self.turns.append("on_train_end")

    def on_fit_end(self, trainer, pl_module):
        self.turns.append("on_fit_end")


def everything(trainer, module):
    parts = list(module.modules())
    keeping = [callback for callback in trainer.callbacks if not isinstance(callback, (Watch, TrainEndStep))]
    return {
        "state": (trainer.state.fn, trainer.state.status, trainer.state.stage),
        "callbacks": [id(callback) for callback in trainer.callbacks],
        "callback states": [clone(callback.state_dict()) for callback in keeping],
        "callback attributes": [sorted(vars(callback)) for callback in keeping],
        "metrics": clone([dict(trainer.callback_metrics), dict(trainer.logged_metrics), trainer.progress_bar_metrics]),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "modes": [part.training for part in parts],
        "hooks": [[len(getattr(part, name)) for name in vars(part) if name.endswith("_hooks")] for part in parts],
        "weights": clone(module.state_dict()),
        "gradients": clone({name: parameter.grad for name, parameter in module.named_parameters()}),
        "tensors": [id(tensor) for tensor in (*module.parameters(), *module.buffers())],
        "devices": [str(tensor.device) for tensor in module.parameters()],
        "attributes": sorted(vars(module)),
        "owner": [id(owner) for owner in (module.trainer, trainer.lightning_module, trainer.datamodule)],
        "owner of the data": id(trainer.datamodule.trainer),
        "optimizers": clone([optimizer.state_dict() for optimizer in trainer.optimizers]),
        "progress": (trainer.global_step, trainer.current_epoch, trainer.should_stop),
        "random": torch.get_rng_state().clone(),
        "process": (torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()),
        # luxonis-ml sets one when it is imported.
        "environment": {name: value for name, value in os.environ.items() if "ALBUMENTATIONS" not in name},
        "loggers": [id(logger) for logger in trainer.loggers],
    }  # fmt: skip


def clone(value):
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: clone(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [clone(entry) for entry in value]
    return value


def train(folder, *callbacks, model=None, epochs=2, data=None, resume=None, **settings):
    torch.manual_seed(0)
    usual = {"max_epochs": epochs, "num_sanity_val_steps": 2, "log_every_n_steps": 1}
    settings = usual | {"logger": CSVLogger(folder, name="", version="")} | settings
    trainer = quiet_trainer(folder, callbacks, plugins=[AtomicCheckpointIO()], **settings)
    trainer.callbacks = list(callbacks)  # Lightning moves checkpoints to the end
    trainer.fit(model or Measured(), datamodule=data or TinyData(), ckpt_path=resume, weights_only=True)
    return trainer


def keep(*kinds):
    return [ModelCheckpoint(**kind) for kind in kinds]


def onnx_of(folder, name="Measured"):
    return folder / "export" / f"{name}.onnx"


def run_onnx(path, features):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rows = [session.run(None, {session.get_inputs()[0].name: row[None].numpy()})[0] for row in features]
    return torch.cat([torch.from_numpy(row) for row in rows])


@pytest.mark.parametrize("step", [TestOnTrainEnd, ExportOnTrainEnd, ArchiveOnTrainEnd])
def test_a_step_leaves_everything_as_it_was(tmp_path, step) -> None:
    before, after = Watch(), Watch()
    checkpoints = keep(LOSS, ACCURACY)
    made = step()
    train(tmp_path, *checkpoints, EMACallback(decay=0.9), LastCheckpoint(), first(), before, made, after)
    assert made.outcome.status == "ok", made.outcome
    for name, seen in before.seen.items():
        assert same(seen, after.seen[name]), name


def first():
    """Another step before: the first one gives the signals back, which is meant to last."""
    return TestOnTrainEnd(view="train")


def test_steps_run_in_order_and_a_failure_stops_nothing_but_is_raised(tmp_path, caplog) -> None:
    ended = Ended()
    steps = [ExportOnTrainEnd(), Failing(), Broken(), TestOnTrainEnd()]
    with pytest.raises(TrainEndError) as raised:
        train(tmp_path, *keep(LOSS), *steps, ended)
    assert ended.turns == ["on_train_end", "on_fit_end"]
    outcomes = read_outcomes(tmp_path)
    assert list(outcomes) == ["ExportOnTrainEnd", "Failing", "Broken", "TestOnTrainEnd"]
    assert [outcome.status for outcome in outcomes.values()] == ["ok", "failed", "failed", "ok"]
    assert outcomes["Failing"].reason == "the disk has gone away."
    assert outcomes["Broken"].reason == "IndexError: pop from empty list"
    assert "work" in "".join(outcomes["Broken"].details["traceback"])
    assert "Failing failed: the disk has gone away." in caplog.text
    message = str(raised.value)
    assert message.startswith("The training is complete and saved, but 2 post-training steps failed:")
    assert "Failing: the disk has gone away." in message
    assert str(tmp_path / "outcomes.json") in message
    assert [outcome.step for outcome in raised.value.outcomes] == list(outcomes)


def test_outcome_says_what_was_done_with_which_weights(tmp_path) -> None:
    train(tmp_path, *keep(LOSS, ACCURACY), TestOnTrainEnd(), ExportOnTrainEnd(), ArchiveOnTrainEnd())
    outcomes = read_outcomes(tmp_path)
    weights = fingerprint_of_file(tmp_path / "checkpoints" / "best_accuracy.ckpt")
    assert {outcome.weights_fingerprint for outcome in outcomes.values()} == {weights}
    assert {outcome.checkpoint for outcome in outcomes.values()} == {"checkpoints/best_accuracy.ckpt"}
    assert all(outcome.seconds > 0 and outcome.is_intact(tmp_path) for outcome in outcomes.values())
    assert [list(outcome.files) for outcome in outcomes.values()] == [
        ["test/results.json"], ["export/Measured.onnx"], ["archive/Measured.tar"],
    ]  # fmt: skip
    results = json.loads((tmp_path / "test" / "results.json").read_text())["test"]
    assert results["weights_fingerprint"] == weights
    assert results["metrics"] == outcomes["TestOnTrainEnd"].details["metrics"]
    for file in (onnx_of(tmp_path), tmp_path / "archive" / "Measured.tar"):
        assert OnnxModel.open(file).metadata.fingerprint == weights


def test_the_best_checkpoint_is_read_once_for_all_steps(tmp_path, monkeypatch) -> None:
    read = []
    monkeypatch.setattr(
        measured_weights, "load_checkpoint", lambda path: read.append(path.name) or load_checkpoint(path)
    )
    train(tmp_path, *keep(LOSS), TestOnTrainEnd(), ExportOnTrainEnd(), ArchiveOnTrainEnd())
    assert read == ["best_loss.ckpt"]


class Renaming(Measured):
    """Its checkpoints have other names than the module."""

    def on_save_checkpoint(self, checkpoint):
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name.removeprefix("network."): value for name, value in state.items()}

    def on_load_checkpoint(self, checkpoint):
        checkpoint["state_dict"] = {f"network.{name}": value for name, value in checkpoint["state_dict"].items()}


def test_a_module_that_renames_its_weights_is_tested_and_exported(tmp_path) -> None:
    steps = [ExportOnTrainEnd(), TestOnTrainEnd(), ArchiveOnTrainEnd()]
    train(tmp_path, *keep(LOSS), *steps, model=Renaming())
    assert [step.outcome.status for step in steps] == ["ok"] * 3, [step.outcome.reason for step in steps]


class Halved(Measured):
    """Its weights lose half of their digits while it is tested."""

    def on_test_start(self):
        self.half().float()


def test_a_measurement_that_changes_the_module_changes_nothing_that_is_exported(tmp_path) -> None:
    train(tmp_path, *keep(LOSS), TestOnTrainEnd(), ExportOnTrainEnd(), model=Halved())
    expected = Measured().eval()
    expected.load_state_dict(load_checkpoint(tmp_path / "checkpoints" / "best_loss.ckpt")["state_dict"])
    features = TinyData().features[:24]
    with torch.no_grad():
        logits = expected(features)
    exported = run_onnx(onnx_of(tmp_path, "Halved"), features)
    torch.testing.assert_close(exported, logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("prefer", "expected"), [("metric", "best_accuracy"), ("loss", "best_loss")])
def test_preferred_checkpoint_is_tested_and_exported(tmp_path, prefer, expected) -> None:
    steps = [TestOnTrainEnd(prefer), ExportOnTrainEnd(prefer)]
    train(tmp_path, *keep(LOSS, ACCURACY), *steps, epochs=4)
    path = tmp_path / "checkpoints" / f"{expected}.ckpt"
    assert {step.outcome.weights_fingerprint for step in steps} == {fingerprint_of_file(path)}
    model = Measured().eval()
    model.load_state_dict(load_checkpoint(path)["state_dict"])
    data = TinyData()
    with torch.no_grad():
        logits = model(data.features[:24])
    torch.testing.assert_close(run_onnx(onnx_of(tmp_path), data.features[:24]), logits, rtol=1e-4, atol=1e-5)
    expected_loss = functional.cross_entropy(logits, data.labels[:24]).item()
    assert steps[0].outcome.details["metrics"]["test/loss"] == pytest.approx(expected_loss, rel=1e-5)


def test_averaged_weights_are_what_is_tested_and_exported(tmp_path) -> None:
    average = EMACallback(decay=0.99, use_dynamic_decay=False)
    train(tmp_path, average, *keep(LOSS), TestOnTrainEnd(), ExportOnTrainEnd())
    content = load_checkpoint(tmp_path / "checkpoints" / "best_loss.ckpt")
    assert not same(content["state_dict"], content["current_model_state"])
    model = Measured().eval()
    model.load_state_dict(content["state_dict"])
    features = TinyData().features
    with torch.no_grad():
        torch.testing.assert_close(run_onnx(onnx_of(tmp_path), features), model(features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("position", ["before", "after"])
def test_pruned_weights_are_exported_as_zeros(tmp_path, position) -> None:
    pruning = ModelPruning("l1_unstructured", amount=0.5, use_lottery_ticket_hypothesis=False)
    order = [pruning, ExportOnTrainEnd()] if position == "before" else [ExportOnTrainEnd(), pruning]
    train(tmp_path, *keep(LOSS), *order, epochs=1)
    graph = onnx.load(onnx_of(tmp_path)).graph
    weights = [onnx.numpy_helper.to_array(entry) for entry in graph.initializer]
    largest = max(weights, key=lambda array: array.size)
    assert (largest == 0).mean() > 0.3


def test_without_a_best_checkpoint_steps_are_skipped_and_say_so(tmp_path, caplog) -> None:
    steps = [TestOnTrainEnd(), ExportOnTrainEnd(), ArchiveOnTrainEnd()]
    train(tmp_path, *steps, LastCheckpoint())
    assert {step.outcome.status for step in steps} == {"skipped"}
    assert "ExportOnTrainEnd was skipped: there is no best checkpoint." in caplog.text
    assert read_outcomes(tmp_path)["ArchiveOnTrainEnd"].reason.startswith("there is no best checkpoint.")


def test_loaders_without_a_data_module(tmp_path) -> None:
    data = TinyData()
    loader = DataLoader(TensorDataset(data.features, data.labels), batch_size=8)
    steps = [TestOnTrainEnd(), TestOnTrainEnd(view="val"), ExportOnTrainEnd()]
    trainer = quiet_trainer(tmp_path, [*keep(LOSS), *steps])
    trainer.fit(Measured(), loader, loader)
    assert [step.outcome.status for step in steps] == ["skipped", "ok", "ok"]
    assert steps[0].outcome.reason == "the data has no test split."
    measured = steps[1].outcome.details["metrics"]
    assert measured["val/loss"] == pytest.approx(trainer.callback_metrics["val/loss"].item(), rel=1e-4)


def test_each_split_has_its_results_and_metrics(tmp_path) -> None:
    steps = [TestOnTrainEnd(), TestOnTrainEnd(view="val"), TestOnTrainEnd(view="train")]
    trainer = train(tmp_path, *keep(LOSS), *steps, epochs=1)
    names = [set(step.outcome.details["metrics"]) for step in steps]
    assert names == [{f"{view}/loss", f"{view}/accuracy"} for view in ("test", "val", "train")]
    assert {path.name for path in (tmp_path / "test").iterdir()} == {
        "results.json", "results_val.json", "results_train.json",
    }  # fmt: skip
    trainer.loggers[0].save()
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"test/loss", "best/val/loss", "best/train/loss"} <= set(header)


def test_example_is_a_validation_batch_where_the_module_has_none(tmp_path) -> None:
    step = ExportOnTrainEnd()
    train(tmp_path, *keep(LOSS), step, model=TinyModel())
    assert step.outcome.status == "ok", step.outcome
    shape = onnx.load(onnx_of(tmp_path, "TinyModel")).graph.input[0].type.tensor_type.shape
    assert [dimension.dim_value for dimension in shape.dim] == [1, FEATURES]


def test_options_of_the_exporter(tmp_path) -> None:
    step = ExportOnTrainEnd(exporter={"name": "mine", "dynamic_batch": True, "opset": 16})
    train(tmp_path, *keep(LOSS), step)
    graph = onnx.load(onnx_of(tmp_path, "mine"))
    assert graph.opset_import[0].version == 16
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert {entry["batch_size"] for entry in step.outcome.details["differences"]} == {1, 2}


def test_options_and_name_come_from_the_hyperparameters(tmp_path) -> None:
    model = Measured()
    model.save_hyperparameters({"name": "shipped", "exporter": {"opset": 15}})
    train(tmp_path, *keep(LOSS), ExportOnTrainEnd(), model=model)
    assert onnx.load(onnx_of(tmp_path, "shipped")).opset_import[0].version == 15


def exports(monkeypatch):
    """Counts how often a model is exported."""
    from cuelight.train_end import exporting

    calls = []
    real = exporting.export_onnx
    monkeypatch.setattr(exporting, "export_onnx", lambda *args, **options: calls.append(1) or real(*args, **options))
    return calls


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        ([ExportOnTrainEnd, ArchiveOnTrainEnd], 1),
        ([ArchiveOnTrainEnd], 1),
        ([ArchiveOnTrainEnd, ExportOnTrainEnd], 2),
        ([lambda: ExportOnTrainEnd("loss"), ArchiveOnTrainEnd], 2),
        ([lambda: ExportOnTrainEnd(exporter={"opset": 15}), ArchiveOnTrainEnd], 2),
    ],
    ids=["both", "archive alone", "archive first", "other weights", "other options"],
)
def test_archive_uses_the_export_before_it_if_that_is_the_same(tmp_path, monkeypatch, steps, count) -> None:
    calls = exports(monkeypatch)
    made = [step() for step in steps]
    train(tmp_path, *keep(LOSS, ACCURACY), *made, epochs=4)
    assert {step.outcome.status for step in made} == {"ok"}, [step.outcome for step in made]
    assert len(calls) == count


def test_a_fast_dev_run_runs_no_step(tmp_path) -> None:
    step = TestOnTrainEnd()
    train(tmp_path, step, fast_dev_run=True)
    assert (step.outcome.status, step.outcome.reason) == ("skipped", "fast_dev_run saves no checkpoint.")


def test_the_same_step_twice_is_refused_before_the_training(tmp_path) -> None:
    model = Measured()
    with pytest.raises(CuelightError, match="ExportOnTrainEnd is listed twice"):
        train(tmp_path, *keep(LOSS), ExportOnTrainEnd(), ExportOnTrainEnd("loss"), model=model)
    assert model.trace == []


def test_outcomes_that_cannot_be_written_are_failures_that_stop_nothing(tmp_path) -> None:
    (tmp_path / "outcomes.json").mkdir()
    steps = [TestOnTrainEnd(), ExportOnTrainEnd()]
    with pytest.raises(TrainEndError, match=r"The outcome cannot be recorded: .*Is a directory"):
        train(tmp_path, *keep(LOSS), *steps)
    assert all(step.outcome.files for step in steps)


def test_a_module_may_draw_into_its_logger_while_it_is_tested(tmp_path) -> None:
    class Drawing(Measured):
        def test_step(self, batch, batch_idx):
            super().test_step(batch, batch_idx)
            self.logger.experiment.log_metrics({"drawn": 1.0}, step=0)
            self.logger.log_metrics({"lost": 1.0})

    step = TestOnTrainEnd()
    train(tmp_path, *keep(LOSS), step, model=Drawing())
    assert step.outcome.status == "ok", step.outcome
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert "drawn" in header
    assert "lost" not in header


def test_results_are_shown_as_a_table_beside_another_progress_bar(tmp_path, capfd) -> None:
    quiet_trainer(tmp_path, [*keep(LOSS), TestOnTrainEnd()], enable_progress_bar=True).fit(Measured(), TinyData())
    shown = capfd.readouterr().err
    assert "TestOnTrainEnd: checkpoints/best_loss.ckpt" in shown
    assert "test/accuracy" in shown


def test_onnx_file_made_for_the_archive_is_kept_only_if_it_was_rejected(tmp_path) -> None:
    train(tmp_path / "good", *keep(LOSS), ArchiveOnTrainEnd())
    assert [path.name for path in (tmp_path / "good" / "archive").iterdir()] == ["Measured.tar"]

    class NaNAlone(Measured):
        """Has no finite output for a single image, as it is exported."""

        def forward(self, features):
            return super().forward(features) + (torch.nan if len(features) == 1 else 0)

    step = ArchiveOnTrainEnd()
    with pytest.raises(TrainEndError):
        train(tmp_path / "bad", *keep(LOSS), step, model=NaNAlone())
    (rejected,) = (tmp_path / "bad" / "archive").rglob("*.onnx")
    assert rejected.name == "NaNAlone.rejected.onnx"
    assert str(rejected) in step.outcome.reason


def test_a_step_that_cannot_even_begin_is_recorded_too(tmp_path) -> None:
    class Without(Measured):
        def test_dataloader(self):
            raise FileNotFoundError("the images are gone")

    data = TinyData()
    loader = DataLoader(TensorDataset(data.features, data.labels), batch_size=8)
    steps = [TestOnTrainEnd(), ExportOnTrainEnd()]
    trainer = quiet_trainer(tmp_path, [*keep(LOSS), *steps])
    model = Without()
    model.save_hyperparameters({"exporter": {"kind": "torchscript"}})  # of one's own, and not Cuelight's
    with pytest.raises(TrainEndError, match="the images are gone"):
        trainer.fit(model, loader, loader)
    assert [outcome.status for outcome in read_outcomes(tmp_path).values()] == ["failed", "ok"]


def test_everything_is_torn_down_before_a_failure_is_raised(tmp_path) -> None:
    torn_down = []

    class Late(pl.Callback):
        def teardown(self, trainer, pl_module, stage):
            torn_down.append("callback")

    class TornDown(Measured):
        def teardown(self, stage):
            torn_down.append("module")

    with pytest.raises(TrainEndError):
        train(tmp_path, *keep(LOSS), Failing(), Late(), model=TornDown())
    assert torn_down == ["callback", "module"]


def test_a_checkpoint_in_a_folder_of_its_metric_is_found(tmp_path) -> None:
    step = TestOnTrainEnd()
    train(tmp_path, ModelCheckpoint(monitor="val/loss", filename="{epoch}-{val/loss:.2f}"), step)
    assert step.outcome.status == "ok"
    assert "/" in step.outcome.checkpoint.removeprefix("checkpoints/")


def test_a_module_that_changes_what_it_loads_has_the_fingerprint_of_its_file(tmp_path) -> None:
    class Migrating(Measured):
        def on_save_checkpoint(self, checkpoint):
            state = checkpoint["state_dict"]
            checkpoint["state_dict"] = {name.replace("network", "net"): value for name, value in state.items()}

        def on_load_checkpoint(self, checkpoint):
            state = checkpoint["state_dict"]
            checkpoint["state_dict"] = {name.replace("net.", "network."): value for name, value in state.items()}

    steps = [TestOnTrainEnd(), ExportOnTrainEnd()]
    train(tmp_path, *keep(LOSS), *steps, model=Migrating())
    weights = fingerprint_of_file(tmp_path / "checkpoints" / "best_loss.ckpt")
    assert {step.outcome.weights_fingerprint for step in steps} == {weights}


def test_a_frozen_part_that_is_not_saved_is_taken_from_the_module(tmp_path) -> None:
    class Partly(Measured):
        def __init__(self):
            super().__init__()
            self.strict_loading = False
            self.network[0].requires_grad_(False)

        def on_save_checkpoint(self, checkpoint):
            for name in ("network.0.weight", "network.0.bias"):
                del checkpoint["state_dict"][name]

    model = Partly()
    step = ExportOnTrainEnd()
    train(tmp_path, *keep(LOSS), step, model=model, epochs=1)
    assert step.outcome.status == "ok", step.outcome
    features = TinyData().features
    with torch.no_grad():
        expected = model.eval()(features)
    torch.testing.assert_close(run_onnx(onnx_of(tmp_path, "Partly"), features), expected, rtol=1e-4, atol=1e-5)


def test_module_may_store_losses_with_gradients(tmp_path) -> None:
    class Keeping(Measured):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.kept = [*getattr(self, "kept", []), {"loss": loss}]
            return loss

    step = TestOnTrainEnd()
    train(tmp_path, *keep(LOSS), step, model=Keeping())
    assert step.outcome.status == "ok", step.outcome


def test_data_is_set_up_and_torn_down_in_turn(tmp_path) -> None:
    class Counting(TinyData):
        def __init__(self):
            super().__init__()
            self.stages = []

        def setup(self, stage):
            self.stages.append(f"+{getattr(stage, 'value', stage)}")

        def teardown(self, stage):
            self.stages.append(f"-{getattr(stage, 'value', stage)}")

    data = Counting()
    steps = [TestOnTrainEnd(), TestOnTrainEnd(view="val"), TestOnTrainEnd(view="train"), ExportOnTrainEnd()]
    train(tmp_path, *keep(LOSS), *steps, data=data)
    assert {step.outcome.status for step in steps} == {"ok"}
    inner = ["+test", "-test", "+validate", "-validate"]
    assert data.stages == ["+fit", *inner, "-fit"]


def test_nan_metric_is_null_in_the_files(tmp_path, caplog) -> None:
    class NotANumber(Measured):
        def test_step(self, batch, batch_idx):
            self.log("test/loss", torch.tensor(float("nan")))

    step = TestOnTrainEnd()
    train(tmp_path, *keep(LOSS), step, model=NotANumber())
    assert "these metrics are not finite: test/loss" in caplog.text
    for file in (tmp_path / "outcomes.json", tmp_path / "test" / "results.json"):
        assert '"test/loss": null' in file.read_text()


def test_limit_batches_apply_to_their_split(tmp_path) -> None:
    class Sized(Measured):
        def validation_step(self, batch, batch_idx):
            super().validation_step(batch, batch_idx)
            self.log("val/images", float(len(batch[0])), reduce_fx="sum")

    step = TestOnTrainEnd(view="val")
    train(tmp_path, *keep(LOSS), step, model=Sized(), limit_val_batches=2, limit_test_batches=1)
    assert step.outcome.details["metrics"]["val/images"] == 16


def measured_by_two(folder):
    """What two processes measure of 15 images, given as a loader."""
    data = TinyData()
    rows = TensorDataset(data.features[:15], data.labels[:15])

    class Counting(Measured):
        def validation_step(self, batch, batch_idx):
            super().validation_step(batch, batch_idx)
            self.log("val/images", float(len(batch[0])), reduce_fx="sum")

    step = TestOnTrainEnd(view="val")
    trainer = quiet_trainer(folder, [*keep(LOSS), step], devices=2, strategy="ddp", num_sanity_val_steps=2)
    trainer.fit(Counting(), DataLoader(rows, batch_size=4), DataLoader(rows, batch_size=4))
    return step.outcome.details["metrics"]["val/images"]


@pytest.mark.slow
def test_two_processes_with_loaders_measure_every_image_once(tmp_path) -> None:
    assert on_ranks(measured_by_two, str(tmp_path)) == [15.0, 15.0]


def test_a_test_is_done_as_long_as_the_best_weights_are_those_it_measured(tmp_path) -> None:
    step = TestOnTrainEnd()
    trainer = train(tmp_path, *keep(LOSS), step)
    training = finished_by(trainer, trainer.lightning_module, Path(trainer.default_root_dir))
    assert step.is_done(training, step.outcome)
    content = load_checkpoint(tmp_path / "checkpoints" / "best_loss.ckpt")
    content["state_dict"]["network.0.bias"] += 1
    torch.save(content, tmp_path / "checkpoints" / "best_loss.ckpt")
    assert not step.is_done(training, step.outcome)


def test_without_a_monitored_checkpoint_the_latest_one_is_used_and_this_is_said_at_the_start(tmp_path, caplog) -> None:
    said = []

    class AtStart(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            said.append(caplog.text)

    fit(tmp_path, [ModelCheckpoint(tmp_path / "checkpoints", "{epoch}", every_n_epochs=1), AtStart(), TestOnTrainEnd()])
    assert said[0].count("the latest checkpoint is used") == 1
    assert read_outcomes(tmp_path)["TestOnTrainEnd"].checkpoint == "checkpoints/epoch=1.ckpt"


def test_that_another_checkpoint_is_used_is_said_once(tmp_path, caplog) -> None:
    steps = [TestOnTrainEnd(), TestOnTrainEnd(view="val"), ExportOnTrainEnd(), ArchiveOnTrainEnd()]
    train(tmp_path, *keep(LOSS), *steps)
    assert caplog.text.count("No ModelCheckpoint monitors the main metric; using the best by val/loss") == 1


@pytest.mark.parametrize(("shared", "count"), [(False, 2), (True, 0)], ids=["a tracker", "a folder of several runs"])
def test_exported_files_go_to_trackers_that_keep_files_elsewhere(tmp_path, shared, count) -> None:
    tracker = KeepingTracker(tmp_path / "tracker", shared)
    train(tmp_path / "run", *keep(LOSS), ExportOnTrainEnd(), ArchiveOnTrainEnd(), logger=KeepingLogger(tracker))
    assert tracker.names() == ["archive/Measured.tar", "export/Measured.onnx"][:count]
    assert all(
        (tmp_path / "run" / name).read_bytes() == content
        for name, (_, content) in zip(reversed(tracker.names()), tracker.sent, strict=True)
    )


def test_val_loss_with_an_underscore_is_the_validation_loss() -> None:
    kept = [BestCheckpoint(Path(name), name, "min", 1.0) for name in ("other_loss", "val_loss")]
    assert best_checkpoint(kept, "loss").monitor == "val_loss"
