"""Test the best weights after the training."""

from __future__ import annotations

import logging
from collections.abc import Callable

import lightning.pytorch as pl
from rich.console import Console

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.evaluation.evaluator import Split
from cuelight.evaluation.results import write_results
from cuelight.train_end.display import print_metrics
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.outcomes import Outcome
from cuelight.train_end.running import StepResult
from cuelight.train_end.testing import measure, not_finite, send_measurement
from cuelight.weights.best import Preference

logger = logging.getLogger(__name__)


class TestOnTrainEnd(TrainEndStep):
    """Tests the best weights after the training.

    The results go to the trackers and to ``test/results.json`` in the run directory, with the confusion matrix of the
    module as a table and a picture if it has one, and a picture of a few predictions beside their targets if the task
    can draw them. A copy of the module is measured in a separate trainer, so that the trainer, its callbacks, the
    logged metrics and the module do not change.

    Args:
        preferred_checkpoint: The best by the main metric, or by the validation loss; the other one if there is none.
        view: Which split of the data to measure on.
    """

    __test__ = False  # pytest must not collect it

    def __init__(self, preferred_checkpoint: Preference = "metric", view: Split = "test") -> None:
        self.preferred_checkpoint = preferred_checkpoint
        self.view: Split = view

    @property
    def step_name(self) -> str:
        """The name of the step in ``outcomes.json``."""
        return "TestOnTrainEnd" if self.view == "test" else f"TestOnTrainEnd ({self.view})"

    def work(self, training: FinishedTraining, report: Callable[[str], None], console: Console | None) -> StepResult:
        """Measure the weights, write the results and send them."""
        weights = training.load_best(self.preferred_checkpoint)
        display = [ProgressDisplay(console)] if console else []
        measured = measure(training, weights, self.view, display)
        files = write_results(training.directory, measured)
        send_measurement(training, measured)
        if names := not_finite(measured):
            logger.warning("%s: these metrics are not finite: %s.", self.step_name, ", ".join(names))
        return StepResult(weights.checkpoint, measured.fingerprint, files, {"metrics": measured.metrics})

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Run the step, and print the metrics if a progress bar other than Cuelight's is used."""
        super().on_train_end(trainer, pl_module)
        bar = trainer.progress_bar_callback
        shown = bar is None or isinstance(bar, ProgressDisplay) or not trainer.is_global_zero
        if self.outcome and self.outcome.status == "ok" and not shown:
            print_metrics(self.outcome)

    def is_done(self, training: FinishedTraining, outcome: Outcome) -> bool:
        """Return whether the current best weights were measured."""
        return outcome.weights_fingerprint == training.load_best(self.preferred_checkpoint).fingerprint
