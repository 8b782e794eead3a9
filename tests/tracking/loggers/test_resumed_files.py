"""A resume replaces what the training logs again, and nothing else."""

import shutil

import pytest
import torch
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from torch.nn import functional
from torchmetrics.classification import MulticlassConfusionMatrix

from cuelight import registry
from cuelight.runs.run import Run
from cuelight.tracking.loggers.resumable_tensorboard import _events
from support.experiments import experiment, metric_rows, own_parts


@pytest.fixture(autouse=True)
def _parts():
    own_parts()


TESTS = [{"name": "TestOnTrainEnd"}, {"name": "TestOnTrainEnd", "params": {"view": "val"}}]
GRAD_CAM = {"name": "GradCamCallback", "params": {"target_layer": "network.0"}}


def run_of(digits, **trainer):
    return Run.from_yaml(experiment(digits, **{"scheduler": None, "callbacks": TESTS} | trainer))


def logged(directory, tmp_path):
    """The rows, and the steps of everything that TensorBoard shows, by name."""
    copies = tmp_path / "copies"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir()
    files = directory.glob("events.out.tfevents.*")
    for index, file in enumerate(sorted(files, key=lambda file: (len(file.name), file.name))):
        shutil.copyfile(file, copies / f"events.out.tfevents.{index:010}")  # two of one second and process: 9 before 10
    events = EventAccumulator(str(copies), size_guidance={"tensors": 0})
    events.Reload()
    shown = {name: [event.step for event in events.Tensors(name)] for name in events.Tags()["tensors"]}
    shown.pop("hyperparameters/text_summary")  # is logged by each resume
    return metric_rows(directory), shown


def steps_of(rows, name):
    return [int(row["step"]) for row in rows if row.get(name)]


@registry.models.register
class Confused(own_parts().TinyNet):
    """Has a confusion matrix."""

    def __init__(self, num_classes: int = 10, optimization: object = None) -> None:
        super().__init__(num_classes, optimization)
        self.matrix = MulticlassConfusionMatrix(num_classes)

    def _evaluate(self, batch, view):
        super()._evaluate(batch, view)
        self.matrix.update(self(batch[0]), batch[1])


@pytest.mark.parametrize("what", ["resume", "finish"])
def test_of_a_complete_run_removes_nothing(digits, tmp_path, what) -> None:
    run = run_of(digits, epochs=2, callbacks=[*TESTS, GRAD_CAM])
    run.train(tmp_path)
    before = logged(run.directory, tmp_path)
    getattr(Run.load(run.directory), what)()
    assert logged(run.directory, tmp_path) == before
    rows, shown = before
    for steps in (steps_of(rows, "test/accuracy"), steps_of(rows, "best/val/loss"), shown["test/accuracy"]):
        assert steps == [10]
    assert any(name.startswith("gradcam/") for name in shown)


def test_steps_that_are_run_again_remove_nothing(digits, tmp_path) -> None:
    run = run_of(digits, epochs=2)
    run.train(tmp_path)
    before, _ = logged(run.directory, tmp_path)
    (run.directory / "outcomes.json").unlink()
    Run.load(run.directory).finish()
    rows, shown = logged(run.directory, tmp_path)
    assert rows[: len(before)] == before
    assert steps_of(rows, "test/accuracy") == shown["test/accuracy"] == [10, 10]


def test_from_an_earlier_checkpoint_replaces_the_training_only(digits, tmp_path) -> None:
    every = {"name": "ModelCheckpoint", "params": {"filename": "every-{step}", "save_top_k": -1, "monitor": "val/loss"}}
    tree = experiment(digits, epochs=3, scheduler=None, callbacks=[*TESTS, every, GRAD_CAM])
    run = Run.from_yaml(tree | {"model": {"name": "Confused"}})
    run.train(tmp_path)
    before = logged(run.directory, tmp_path)
    Run.load(run.directory).resume(next((run.directory / "checkpoints").glob("every*step*10.ckpt")))
    rows, shown = logged(run.directory, tmp_path)
    assert steps_of(rows, "train/loss") == shown["train/loss"] == list(range(15))
    assert steps_of(rows, "val/loss") == shown["val/loss"] == [4, 9, 14]
    for name in ("test/accuracy", "best/val/loss"):
        assert steps_of(rows, name) == shown[name] == [15, 15]
    for name in ("test/confusion_matrix", "val/confusion_matrix", "val/confusion_matrix/text_summary"):
        assert shown[name] == [15, 15]
    (of_grad_cam,) = (name for name in shown if name.startswith("gradcam/"))
    assert shown[of_grad_cam] == before[1][of_grad_cam] == [4, 9, 14]


def test_several_resumes_do_not_multiply_the_results_of_tests(digits, tmp_path) -> None:
    every = {"name": "ModelCheckpoint", "params": {"filename": "every-{step}", "save_top_k": -1, "monitor": "val/loss"}}
    run = Run.from_yaml(experiment(digits, epochs=3, scheduler=None, callbacks=[every]))
    run.train(tmp_path)
    for _ in range(3):
        Run.load(run.directory).resume(next((run.directory / "checkpoints").glob("every*step*10.ckpt")))
    rows, shown = logged(run.directory, tmp_path)
    assert steps_of(rows, "test/accuracy") == shown["test/accuracy"] == [15] * 4


@registry.models.register
class StepsSeldom(own_parts().TinyNet):
    """Optimizes by hand, with an optimizer step after every other batch."""

    def __init__(self, num_classes: int = 10, optimization: object = None) -> None:
        super().__init__(num_classes, optimization)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train/loss", loss)
        self.manual_backward(loss)
        if batch_idx % 2:
            self.optimizers().step()
            self.optimizers().zero_grad()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_rows_are_counted_as_lightning_counts_them(digits, tmp_path) -> None:
    def run_with(epochs):
        return Run.from_yaml(experiment(digits, epochs=epochs, scheduler=None) | {"model": {"name": "StepsSeldom"}})

    run = run_with(2)
    run.train(tmp_path)
    assert Run.load(run.directory, ["trainer.epochs=3"]).resume()
    rows, shown = logged(run.directory, tmp_path)
    assert steps_of(rows, "train/loss") == shown["train/loss"] == list(range(15))


@pytest.mark.parametrize("cut", [1, 4, 5, 20, 10**4])
def test_event_files_may_be_cut(digits, tmp_path, cut) -> None:
    run = run_of(digits, epochs=1)
    run.train(tmp_path)
    (file,) = run.directory.glob("events.out.tfevents.*")
    whole = list(_events(run.directory))
    file.write_bytes(file.read_bytes()[:-cut])
    read = list(_events(run.directory))
    assert len(read) < len(whole)
    assert read == whole[: len(read)]
