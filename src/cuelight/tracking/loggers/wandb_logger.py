"""A logger for W&B that has a run of its own, goes on in it after a resume, and is quiet."""

from __future__ import annotations

import logging
import secrets
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from cuelight.tracking.loggers.run_ids import remember_run, remembered_run
from cuelight.tracking.loggers.wandb_adapter import STEP
from cuelight.tracking.outbox.deadline import AT_THE_END, Deadline, was_stopped
from cuelight.tracking.outbox.time_limit import run_with_timeout

logger = logging.getLogger(__name__)

START_LIMIT = 20.0  # seconds
_EXIT_CODES = {"success": 0, "finished": 0}
_STOPPED = 255  # what W&B takes for a run that was stopped


class OwnRunWandbLogger(WandbLogger):
    """Lightning's ``WandbLogger``, except that it never joins another run of this process, and ends its own.

    Args:
        directory: The run directory, where the files of W&B are, and the id of the run is remembered.
        project: The project.
        entity: The user or team; that of the account if left out.
        name: The name of the run.
        mode: Whether to send, or to keep everything for ``wandb sync``.
        tags: Tags of the run.
        deadline: The time that it shares with other trackers at the end; one of its own if left out.
    """

    def __init__(
        self,
        directory: Path,
        project: str,
        entity: str | None,
        name: str,
        mode: Literal["online", "offline"],
        tags: Sequence[str] = (),
        deadline: Deadline | None = None,
    ) -> None:
        at = f"{entity or ''}/{project}"
        kept = remembered_run(directory, "wandb", at)
        run = kept or secrets.token_hex(4)
        self._remember = partial(remember_run, directory, "wandb", at, run)
        options: dict[str, Any] = {"mode": mode, "tags": list(tags) or None, "reinit": "create_new"}
        super().__init__(name=name, save_dir=directory, id=run, project=project, entity=entity, **options)
        self._deadline = deadline or Deadline()
        del self._wandb_init["anonymous"]  # W&B warns of it, whatever it is

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, begun or gone on with when first needed."""
        if self._experiment is None:
            import wandb  # noqa: PLC0415 - not for those who do not use it

            settings = wandb.Settings(
                console="off",
                silent=True,
                x_disable_meta=True,  # the command line is part of it, and what is secret there
                disable_git=True,  # it would send the address of the repository with the token in it
                init_timeout=START_LIMIT,
                finish_timeout=AT_THE_END,
                finish_timeout_raises=True,
            )
            run: Any = wandb.init(settings=settings, **self._wandb_init)
            run.define_metric(STEP)
            run.define_metric("*", step_metric=STEP, step_sync=True)
            self._remember()
            self._experiment = run
        return self._experiment

    @rank_zero_only
    def begin(self) -> None:
        """Begin the run, or go on with it."""
        _ = self.experiment

    @property
    def page(self) -> str:
        """Where one sees the run, or how it gets there."""
        run = self.experiment
        return f"offline; to send it: wandb sync {shlex.quote(str(Path(run.dir).parent))}" if run.offline else run.url

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run, and wait until all is sent, for a limited time."""
        super().finalize(status)
        if self._experiment is None:
            return
        run, self._experiment = self._experiment, None
        code = _STOPPED if was_stopped() else _EXIT_CODES.get(status, 1)
        try:
            run_with_timeout(self._deadline.seconds_for("wandb"), lambda: run.finish(exit_code=code))
        except TimeoutError:
            folder = shlex.quote(str(Path(run.dir).parent))
            logger.warning("W&B did not get all of this run in time. To send the rest: wandb sync %s", folder)
