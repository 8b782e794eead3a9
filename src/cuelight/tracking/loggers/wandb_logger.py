"""A W&B logger with a run of its own, which is continued after a resume, and without console output."""

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

from cuelight.tracking.loggers.run_ids import is_elsewhere, remember_run, remembered_run
from cuelight.tracking.loggers.wandb_adapter import STEP
from cuelight.tracking.outbox.deadline import AT_THE_END, Deadline, was_stopped
from cuelight.tracking.outbox.time_limit import run_with_timeout

logger = logging.getLogger(__name__)

START_LIMIT = 20.0  # seconds
_EXIT_CODES = {"success": 0, "finished": 0}
_STOPPED = 255  # W&B's exit code of a run that was stopped


class OwnRunWandbLogger(WandbLogger):
    """Lightning's ``WandbLogger``, except that it never joins another run of this process, and ends its own.

    The run directory stores the files of W&B and the id of the run. The time limit at the end may be shared with other
    trackers.
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
        self.is_elsewhere = is_elsewhere(directory, "wandb", at)
        run = kept or secrets.token_hex(4)
        self._remember = partial(remember_run, directory, "wandb", at, run)
        options: dict[str, Any] = {"mode": mode, "tags": list(tags) or None, "reinit": "create_new"}
        super().__init__(name=name, save_dir=directory, id=run, project=project, entity=entity, **options)
        self._deadline = deadline or Deadline()
        del self._wandb_init["anonymous"]  # deprecated: W&B warns about any value

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, started or continued at the first use."""
        if self._experiment is None:
            import wandb  # noqa: PLC0415 - an optional dependency

            settings = wandb.Settings(
                console="off",
                silent=True,
                x_disable_meta=True,  # metadata has the command line, which may have secrets
                disable_git=True,  # the address of the repository may have a token
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

    @property
    def log_dir(self) -> str | None:
        """The run directory."""
        return self.save_dir

    @rank_zero_only
    def begin(self) -> None:
        """Start or continue the run."""
        _ = self.experiment

    @property
    def page(self) -> str:
        """The URL of the run; offline, how to send it."""
        run = self.experiment
        return f"offline; to upload it: wandb sync {shlex.quote(str(Path(run.dir).parent))}" if run.offline else run.url

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run, and wait for a limited time until all is sent."""
        super().finalize(status)
        if self._experiment is None:
            return
        run, self._experiment = self._experiment, None
        code = _STOPPED if was_stopped() else _EXIT_CODES.get(status, 1)
        try:
            run_with_timeout(self._deadline.seconds_for("wandb"), lambda: run.finish(exit_code=code))
        except TimeoutError:
            folder = shlex.quote(str(Path(run.dir).parent))
            logger.warning(
                "W&B did not receive all data of this run in time. To upload the rest: wandb sync %s", folder
            )
