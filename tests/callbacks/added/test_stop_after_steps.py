"""The training ends at the limit of steps, with a validation, and a complete one is not begun again."""

import lightning.pytorch as pl
import pytest

from cuelight.callbacks.added.stop_after_steps import StopAfterSteps
from support.trainers import fit

BATCHES = 5


class Validations(pl.Callback):
    """Notes the step of each validation."""

    def __init__(self) -> None:
        self.steps = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.steps.append(trainer.global_step)


def train(folder, limit, resume=None, **options):
    validations = Validations()
    trainer, model = fit(folder, [StopAfterSteps(limit), validations], resume=resume, max_epochs=3, **options)
    return trainer, model.trace, validations.steps


@pytest.mark.parametrize("limit", [1, 4, 5, 6, 10, 12])
def test_ends_at_the_limit_with_a_validation(tmp_path, limit) -> None:
    trainer, trace, validations = train(tmp_path, limit)
    assert trainer.global_step == len(trace) == limit
    assert validations[-1] == limit


def test_counts_optimizer_steps_not_batches(tmp_path) -> None:
    trainer, trace, _ = train(tmp_path, 4, accumulate_grad_batches=2)
    assert trainer.global_step == 4
    assert [(epoch, batch) for epoch, batch, _ in trace] == [(0, b) for b in range(5)] + [(1, 0), (1, 1)]


def test_limit_that_is_not_reached_changes_nothing(tmp_path) -> None:
    trainer, trace, _ = train(tmp_path, 1000)
    assert len(trace) == 3 * BATCHES
    assert not trainer.should_stop


@pytest.mark.parametrize("limit", [3, 5])
def test_complete_training_trains_no_more(tmp_path, limit) -> None:
    trainer, _, _ = train(tmp_path, limit)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again, trace, _ = train(tmp_path, limit, resume=tmp_path / "last.ckpt")
    assert trace == []
    assert again.global_step == limit
