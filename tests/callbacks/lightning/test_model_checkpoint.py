"""The best model is one with finite numbers; of equal ones that with the lower loss, where Cuelight adds it."""

import lightning.pytorch as pl
import pytest
import torch

from cuelight.callbacks.added.watch_loss import WatchLoss
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.lightning.model_checkpoint import ModelCheckpoint
from cuelight.callbacks.test_on_train_end import TestOnTrainEnd
from cuelight.train_end.outcomes import TrainEndError
from cuelight.weights.best import why_none
from cuelight.weights.reading import load_checkpoint
from support.tiny import TinyModel
from support.trainers import fit

NAN = float("nan")


class Scripted(TinyModel):
    """Logs given metrics, one pair for each validation; one step may poison the weights."""

    main_metric = "accuracy"

    def __init__(self, losses, accuracies, poisoned_at=None) -> None:
        super().__init__()
        self.script = list(zip(losses, accuracies, strict=True))
        self.poisoned_at = poisoned_at

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * NAN if self.global_step == self.poisoned_at else loss

    def validation_step(self, batch, batch_idx):
        pass

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            loss, accuracy = self.script.pop(0)
            self.log_dict({"val/loss": torch.tensor(loss), "val/accuracy": torch.tensor(accuracy)})


def best_of(folder, losses, accuracies, tie_breaker=None, callbacks=(), **options):
    checkpoint = ModelCheckpoint(folder, "best", "val/accuracy", mode="max")
    checkpoint.tie_breaker = tie_breaker
    model = Scripted(losses, accuracies, options.pop("poisoned_at", None))
    fit(folder, [*callbacks, checkpoint], model, **{"max_epochs": len(losses), "num_sanity_val_steps": 0} | options)
    if not checkpoint.best_model_path:
        return None
    return load_checkpoint(checkpoint.best_model_path)["epoch"]


@pytest.mark.parametrize("validations", [1, 2])
def test_a_model_whose_loss_is_nan_is_never_the_best(tmp_path, caplog, validations) -> None:
    losses, accuracies = [0.5, NAN, 0.4], [0.6, 0.9, 0.7]
    repeated = [[value for value in values for _ in range(validations)] for values in (losses, accuracies)]
    assert best_of(tmp_path, *repeated, val_check_interval=1.0 / validations, max_epochs=3) == 2
    [warning] = [record.message for record in caplog.records if "not saved as the best" in record.message]
    assert "val/loss is nan" in warning


def test_a_metric_that_is_nan_is_never_the_best(tmp_path) -> None:
    assert best_of(tmp_path, [0.5, 0.4], [NAN, 0.1]) == 1
    assert best_of(tmp_path / "none", [0.5, 0.4], [NAN, NAN]) is None


def test_poisoned_weights_are_never_the_best_whatever_is_logged(tmp_path, caplog) -> None:
    assert best_of(tmp_path, [0.5, 0.1, 0.1], [0.6, 0.9, 0.95], poisoned_at=7) == 0
    assert "NaN or infinity in network.0.weight" in caplog.text


def test_the_average_counts_where_there_is_one(tmp_path) -> None:
    average = EMACallback(0.5)
    assert best_of(tmp_path, [0.5, 0.4], [0.6, 0.9], callbacks=[average], poisoned_at=7) == 1
    weights = load_checkpoint(tmp_path / "best.ckpt")["state_dict"]
    assert all(tensor.isfinite().all() for tensor in weights.values())


@pytest.mark.parametrize(("tie_breaker", "epoch"), [("val/loss", 2), (None, 0)])
def test_of_equal_models_the_lower_loss_is_kept(tmp_path, tie_breaker, epoch) -> None:
    found = best_of(tmp_path, [0.63, 0.50, 0.37, 0.40], [0.7778] * 4, tie_breaker)
    assert found == epoch
    assert len(list(tmp_path.glob("*.ckpt"))) == 1


def test_the_loss_of_the_best_survives_a_resume(tmp_path) -> None:
    checkpoint = ModelCheckpoint(tmp_path, "best", "val/accuracy", mode="max")
    checkpoint.tie_breaker = "val/loss"
    fit(tmp_path, [checkpoint], Scripted([0.5], [0.7]), max_epochs=1, num_sanity_val_steps=0)
    again = ModelCheckpoint(tmp_path, "best", "val/accuracy", mode="max")
    again.load_state_dict(checkpoint.state_dict())
    assert again._loss_of_best == pytest.approx(0.5)


def test_a_model_that_is_not_finite_fails_its_steps(tmp_path) -> None:
    checkpoint = ModelCheckpoint(tmp_path / "checkpoints", "best", "val/accuracy", mode="max")
    with pytest.raises(TrainEndError, match=r"No model was saved as the best: val/loss is nan"):
        fit(tmp_path, [checkpoint, TestOnTrainEnd()], Scripted([NAN], [0.9]), max_epochs=1, num_sanity_val_steps=0)


def test_poisoned_weights_of_lightnings_own_checkpoint_fail_the_steps(tmp_path) -> None:
    checkpoint = pl.callbacks.ModelCheckpoint(tmp_path / "checkpoints", "best", "val/accuracy", mode="max")
    with pytest.raises(TrainEndError, match="these weights cannot be used: there is NaN or infinity in network"):
        fit(
            tmp_path,
            [checkpoint, TestOnTrainEnd()],
            Scripted([0.1], [0.9], poisoned_at=1),
            max_epochs=1,
            num_sanity_val_steps=0,
        )


def test_the_first_loss_that_is_nan_is_one_warning_with_its_step(tmp_path, caplog) -> None:
    fit(tmp_path, [WatchLoss()], Scripted([0.1] * 2, [0.9] * 2, poisoned_at=5))
    found = [record.message for record in caplog.records if "training loss" in record.message]
    assert len(found) == 1
    assert "since step 6" in found[0]


class WithPartialLoss(Scripted):
    """Logs a loss of which nothing was seen in the validation."""

    def on_validation_epoch_end(self):
        super().on_validation_epoch_end()
        self.log("val/loss_of_rare_class", torch.tensor(NAN))


def test_another_loss_that_is_nan_keeps_no_model_back(tmp_path) -> None:
    checkpoint = ModelCheckpoint(tmp_path, "best", "val/accuracy", mode="max")
    fit(tmp_path, [checkpoint], WithPartialLoss([0.5], [0.7]), max_epochs=1, num_sanity_val_steps=0)
    assert checkpoint.best_model_score == pytest.approx(0.7)


def test_a_reason_is_of_models_only_that_were_not_saved() -> None:
    refused = {"refused": "val/loss is nan (step 3)", "best_model_path": ""}
    assert why_none([refused]) == "val/loss is nan (step 3)"
    assert why_none([refused | {"best_model_path": "best.ckpt"}]) is None
