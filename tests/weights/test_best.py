"""The best checkpoint: by metric or by loss, wherever the run directory is now."""

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from cuelight.weights.best import LATEST, best_checkpoint, from_callbacks, from_states, not_preferred
from cuelight.weights.reading import load_checkpoint
from support.tiny import TinyModel
from support.trainers import fit


class Scored(TinyModel):
    """Reports what the test says instead of what was measured, one value for each epoch."""

    losses = (3.0, 1.0, 2.0)
    accuracies = (0.9, 0.2, 0.5)

    def validation_step(self, batch, batch_idx):
        epoch = self.current_epoch
        self.log_dict({"val/loss": self.losses[epoch], "val/accuracy": self.accuracies[epoch], "val/other": -epoch})


def keep(monitor, mode="min", **options):
    return ModelCheckpoint(monitor=monitor, mode=mode, auto_insert_metric_name=False, **options)


def train(folder, *callbacks):
    trainer, _ = fit(folder, callbacks, Scored, max_epochs=3, num_sanity_val_steps=0)
    folder = folder / "checkpoints"
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder, load_checkpoint(folder / "last.ckpt")["callbacks"]


LOSS = ("val/loss", "min", {"filename": "best_loss"})
METRIC = ("val/accuracy", "max", {"filename": "best_accuracy"})


def made(*kinds):
    return [keep(monitor, mode, **options) for monitor, mode, options in kinds]


@pytest.mark.parametrize("order", [(LOSS, METRIC), (METRIC, LOSS)], ids=["loss first", "metric first"])
def test_prefer_selects_metric_or_loss(tmp_path, order) -> None:
    folder, states = train(tmp_path, *made(*order))
    metric, loss = best_checkpoint(from_states(states, folder)), best_checkpoint(from_states(states, folder), "loss")
    assert (metric.path.name, metric.monitor, metric.mode) == ("best_accuracy.ckpt", "val/accuracy", "max")
    assert metric.score == pytest.approx(0.9)
    assert (loss.path.name, loss.monitor, loss.mode, loss.score) == ("best_loss.ckpt", "val/loss", "min", 1.0)
    assert load_checkpoint(metric.path)["epoch"] == 0
    assert load_checkpoint(loss.path)["epoch"] == 1


@pytest.mark.parametrize(("only", "prefer"), [(LOSS, "metric"), (METRIC, "loss")])
def test_the_other_where_the_preferred_one_was_not_kept(tmp_path, only, prefer) -> None:
    folder, states = train(tmp_path, *made(only))
    assert best_checkpoint(from_states(states, folder), prefer).monitor == only[0]


def test_missing_file_is_passed_over(tmp_path) -> None:
    folder, states = train(tmp_path, *made(LOSS, METRIC))
    (folder / "best_accuracy.ckpt").unlink()
    assert best_checkpoint(from_states(states, folder)).monitor == "val/loss"
    (folder / "best_loss.ckpt").unlink()
    assert best_checkpoint(from_states(states, folder)) is None


def test_moved_run_directory(tmp_path) -> None:
    _, states = train(tmp_path / "before", *made(LOSS, METRIC))
    (tmp_path / "before").rename(tmp_path / "after")
    moved = tmp_path / "after" / "checkpoints"
    assert best_checkpoint(from_states(states, moved)).path == moved / "best_accuracy.ckpt"


def test_copied_run_directory_uses_its_own_files(tmp_path) -> None:
    folder, states = train(tmp_path / "original", *made(LOSS))
    copy = tmp_path / "copy" / "checkpoints"
    copy.mkdir(parents=True)
    (copy / "best_loss.ckpt").write_bytes((folder / "best_loss.ckpt").read_bytes())
    assert best_checkpoint(from_states(states, copy)).path == copy / "best_loss.ckpt"


def test_checkpoint_in_a_custom_folder_is_found(tmp_path) -> None:
    folder, states = train(tmp_path / "run", keep("val/accuracy", "max", dirpath=tmp_path / "elsewhere"))
    assert best_checkpoint(from_states(states, folder)).path.parent == tmp_path / "elsewhere"


def test_checkpoints_by_time_or_interval_are_the_best_only_if_there_is_no_other(tmp_path) -> None:
    by_steps = ModelCheckpoint(every_n_train_steps=2, filename="steps")
    folder, states = train(tmp_path, by_steps, *made(LOSS))
    assert (folder / "steps.ckpt").is_file()
    assert best_checkpoint(from_states(states, folder)).monitor == "val/loss"
    folder, states = train(tmp_path / "other", ModelCheckpoint(every_n_train_steps=2))
    best = best_checkpoint(from_states(states, folder))
    assert (best.monitor, best.path.suffix) == (LATEST, ".ckpt")
    assert f"using the latest checkpoint: {best.path.name}" in not_preferred(best, "metric")


def test_several_of_the_same_kind_the_first_of_the_list_wins(tmp_path) -> None:
    folder, states = train(tmp_path, keep("val/other", "max", filename="other"), *made(LOSS, METRIC))
    assert best_checkpoint(from_states(states, folder)).monitor == "val/other"
    assert best_checkpoint(from_states(states, folder), "loss").monitor == "val/loss"


def test_without_checkpoints_there_is_no_best(tmp_path) -> None:
    assert best_checkpoint(from_states({}, tmp_path)) is None
    assert best_checkpoint(from_states({"EarlyStopping": {"wait_count": 0}}, tmp_path)) is None


def test_score_that_is_no_number_still_names_a_file(tmp_path) -> None:
    file = tmp_path / "best.ckpt"
    file.touch()
    state = {"monitor": "val/loss", "best_model_score": torch.tensor(float("nan")), "best_model_path": str(file)}
    key = "ModelCheckpoint{'monitor': 'val/loss', 'mode': 'min'}"
    assert best_checkpoint(from_states({key: state}, tmp_path)).path == file


def test_live_callbacks_and_their_states_say_the_same(tmp_path) -> None:
    callbacks = made(LOSS, METRIC)
    folder, states = train(tmp_path, *callbacks)
    assert from_callbacks(callbacks) == from_states(states, folder)
    assert len(from_callbacks(callbacks)) == 2


class Named(ModelCheckpoint):
    """One whose key does not tell the mode."""

    @property
    def state_key(self):
        return "mine"


def test_mode_of_a_live_callback_is_its_own(tmp_path) -> None:
    callback = Named(monitor="val/accuracy", mode="max", filename="mine")
    train(tmp_path, callback)
    (best,) = from_callbacks([callback])
    assert (best.mode, best.path.name) == ("max", "mine.ckpt")


def test_best_file_of_another_run_does_not_count(tmp_path) -> None:
    first = keep(*LOSS[:2], **LOSS[2])
    train(tmp_path / "first", first)
    second = keep(*LOSS[:2], dirpath=tmp_path / "second" / "checkpoints")
    second.load_state_dict(first.state_dict())  # as on a resume into another folder
    second.best_model_path = first.best_model_path
    assert from_callbacks([second]) == []


def test_falling_back_to_the_other_metric_is_told(tmp_path) -> None:
    folder, states = train(tmp_path, *made(LOSS))
    best = best_checkpoint(from_states(states, folder), "metric")
    told = "No ModelCheckpoint monitors the main metric; using the best by val/loss: best_loss.ckpt."
    assert (not_preferred(best, "metric"), not_preferred(best, "loss")) == (told, None)


def test_file_of_the_same_name_in_another_folder_is_not_taken_for_it(tmp_path) -> None:
    elsewhere = keep("val/accuracy", "max", filename="best", dirpath=tmp_path / "other")
    folder, states = train(tmp_path, keep("val/loss", filename="best"), elsewhere)
    metric = best_checkpoint(from_states(states, folder), "metric")
    assert metric.path == tmp_path / "other" / "best.ckpt"
    assert from_callbacks([elsewhere])[0].path == metric.path


@pytest.mark.parametrize("changed", [{"best_model_path": 3}, {"best_model_score": "x"}, {"monitor": 3}])
def test_a_damaged_state_is_named_and_the_others_are_used(tmp_path, caplog, changed) -> None:
    (tmp_path / "a.ckpt").touch()
    state = {"monitor": "val/loss", "best_model_score": 0.5, "best_model_path": str(tmp_path / "a.ckpt")}
    states = {"First": state | changed, "Second": state, "Third": [1], "Fourth": 3}
    assert [best.score for best in from_states(states, tmp_path)] == [0.5]
    assert "the state of First is damaged" in caplog.text
