"""Running the steps after a training that are missing, have failed, or used other weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rich.console import Console

from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.errors import CuelightError
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.outcomes import Outcome, read_outcomes

logger = logging.getLogger(__name__)


def finish(steps: Sequence[TrainEndStep], training: FinishedTraining, console: Console | None) -> list[Outcome]:
    """Run the steps that are not done; return the outcome of each, in order. ``console`` shows the progress."""
    before = read_outcomes(training.directory)
    return [_finished(step, training, before.get(step.step_name)) or step.run(training, console) for step in steps]


def _finished(step: TrainEndStep, training: FinishedTraining, before: Outcome | None) -> Outcome | None:
    """Return the outcome of a step that need not be run again."""
    if before is None or before.status != "ok" or not before.is_intact(training.directory):
        return None
    try:
        if not step.is_done(training, before):
            return None
    except CuelightError as error:
        logger.debug("%s is run again: %s", step.step_name, error)
        return None
    logger.info("%s: already done with these weights", step.step_name)
    return before
