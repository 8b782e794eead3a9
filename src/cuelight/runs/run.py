"""A run: check, plan, train and resume a configuration."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from cuelight import registry
from cuelight.callbacks.added.last_checkpoint import LastCheckpoint
from cuelight.callbacks.base.train_end_step import train_end_steps
from cuelight.config import Config, load_config
from cuelight.data.spec import DATA_SPEC, data_spec_of, saved_spec
from cuelight.errors import CheckpointError, ConfigError, ConfigWarning, CuelightError, Problem, TrainingInterrupted
from cuelight.explain import Layer, list_layers
from cuelight.runs.before_imports import missing_weights
from cuelight.runs.build import build_data, build_model, model_class, with_class_counts
from cuelight.runs.check import check, check_model, check_model_of, try_optimizers
from cuelight.runs.defaults import with_defaults
from cuelight.runs.first_weights import prepare_weights
from cuelight.runs.plan import PlannedCallback, place_model_callbacks, plan_callbacks, with_display
from cuelight.runs.record import lasting_directory, recorded_training, why_it_ended
from cuelight.runs.reopen import model_and_example
from cuelight.runs.result import Result
from cuelight.runs.resume_changes import changed_optimizer_parameters, changed_settings, refused_changes, unfit_weights
from cuelight.runs.settled import settle, state_of
from cuelight.runs.trained_run import TrainedRun
from cuelight.runs.trainer import build_trainer, take_model_callbacks
from cuelight.tracking.loggers.build import build_loggers, start_trackers
from cuelight.tracking.outbox.uploads import remove_spools
from cuelight.tracking.sending import send_hyperparams
from cuelight.train_end.from_trainer import is_sharded
from cuelight.utils.files import write_text
from cuelight.utils.redaction import redacted
from cuelight.utils.run_directory import (
    CONFIG_FILE,
    LAST_CHECKPOINT,
    clean_up,
    find_run_directory,
    is_first_process,
    make_run_directory,
    remove_run_directory,
    training_alone,
)
from cuelight.utils.signals import signals_given_back
from cuelight.weights.best import main_metric
from cuelight.weights.checkpoint_io import AtomicCheckpointIO
from cuelight.weights.reading import load_checkpoint
from cuelight.weights.resuming import epoch_of, latest_checkpoint, logging_step_of, restoring

logger = logging.getLogger(__name__)


class Run(TrainedRun):
    """A configuration, and its run directory once it was trained.

    Args:
        config: A checked configuration, as ``load_config`` returns it.
        directory: The run directory; ``None`` for a run that does not exist yet.
        display: A callback that shows the progress; ``None`` for none.

    Examples:
        >>> run = Run.from_yaml("examples/digits.yaml", ["trainer.epochs=1"])  # doctest: +SKIP
        >>> run.train().metrics["test/accuracy"]  # doctest: +SKIP
        0.95
    """

    @classmethod
    def from_yaml(
        cls, source: str | Path | Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any] = ()
    ) -> Run:
        """Read and check a configuration.

        Args:
            source: The path of a YAML file, or the same as a mapping.
            overrides: ``a.b.0.c=value`` texts, or a mapping from dot paths to values.

        Raises:
            ConfigError: With every problem in the file.
        """
        return cls._read(source, overrides)

    @classmethod
    def _read(
        cls,
        source: str | Path | Mapping[str, Any],
        overrides: Sequence[str] | Mapping[str, Any],
        directory: Path | None = None,
    ) -> Run:
        """Read a configuration; a ``ConfigError`` has the problems of its parts and of their combinations."""
        runs: list[Run] = []

        def check_whole(config: Config) -> list[Problem]:
            runs.append(cls(config, directory))
            return runs[0].problems()

        load_config(source, overrides, registry.check_part, registry.further_problems, check_whole)
        return runs[0]

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Run:
        """Open a run that was trained before.

        Args:
            path: A run directory, or a checkpoint, which may be outside of any run directory. A checkpoint is the one
                that is tested, exported, archived, used for predictions, explained and resumed unless another is named.
            overrides: Changes of its configuration, as for ``from_yaml``.

        Raises:
            CheckpointError: If there is no run at that path.
            ConfigError: If its configuration cannot be used, for example because a class of yours is not registered.
        """
        directory = find_run_directory(Path(path))
        described: Path | dict[str, Any] = directory / CONFIG_FILE if directory else _own_config(path)
        run = cls._read(described, overrides, directory)
        run.checkpoint = Path(path) if Path(path).is_file() else None
        return run

    def problems(self) -> list[Problem]:
        """Return what cannot work; what only this machine lacks is in the list only beside other problems."""
        planned, problems = plan_callbacks(self.config)
        if not problems:
            self._planned = planned
        with suppress(CuelightError):  # of a name that does not exist, which is a problem of its part
            problems += [found for found in check(self.config, planned) if isinstance(found, Problem)]
        return [] if all(problem.on_this_machine for problem in problems) else problems

    def plan(self) -> list[PlannedCallback]:
        """Return every callback of a training in order, without reading images. Warnings and problems are logged."""
        self._refuse(check_model_of(self.config, self._callbacks()))
        _warn_of(self.config.locate([*check(self.config, self._callbacks()), *missing_weights(self.config)]))
        return with_display(self._callbacks(), self.display)

    def layers(self, checkpoint: str | Path | None = None) -> list[Layer]:
        """List the layers of the model with their output shapes, without training.

        Args:
            checkpoint: A file that describes the data if the data is missing; if left out, the one given to ``load``,
                or the latest one of the run.

        Returns:
            Every module but the metrics, in the order of ``named_modules()``. Its index or its name can be the
            ``target_layer`` of a ``GradCamCallback``.

        Raises:
            CheckpointError: If the checkpoint cannot be read.
            DataError: If the data has to be read to know its classes, and cannot be.
        """
        checkpoint = checkpoint or self.checkpoint
        if checkpoint is None and self.has_checkpoints():
            checkpoint = latest_checkpoint(self._checkpoint_folder())
        return list_layers(*model_and_example(self.config, load_checkpoint(checkpoint) if checkpoint else {}))

    def train(self, output: str | Path = "runs") -> Result:
        """Train, keep the best and the last checkpoint, and run the steps after the training.

        Args:
            output: The folder of all runs; not used if this run already has a directory.

        Returns:
            The run directory, the best checkpoint and its test results.

        Raises:
            TrainingInterrupted: On a signal, after ``last.ckpt`` was saved.
            CheckpointError: If a checkpoint cannot be written, or this run was already trained.
            ConfigError: If this machine lacks what a callback or a tracker needs.
            TrackerError: If a tracker cannot be reached when the training starts.
        """
        if is_first_process() and self.has_checkpoints():
            raise CheckpointError(
                f"{self.directory} already contains a training. Use resume() to continue it, or create a new Run."
            )
        return self._train(Path(output), None)

    def resume(self, checkpoint: str | Path | None = None) -> Result:
        """Continue a training in its own run directory.

        Args:
            checkpoint: Where to continue from; if left out, the one given to ``load``, or ``last.ckpt``. If the
                training ended before its first checkpoint, it starts from the beginning.

        Returns:
            As ``train``.

        Raises:
            CheckpointError: If this run has no directory yet, the checkpoint cannot be read, or another process is
                training this run.
        """
        named = checkpoint or self.checkpoint
        chosen = Path(named) if named else self._checkpoint_to_go_on_from()
        return self._train(self._checkpoint_folder().parent, chosen)

    def _checkpoint_to_go_on_from(self) -> Path | None:
        """Return the latest checkpoint; ``None`` if starting again loses only a part of the first epoch."""
        folder = self._checkpoint_folder()
        latest = latest_checkpoint(folder)
        if latest is not None and latest.name == LAST_CHECKPOINT:
            return latest
        if latest is None or epoch_of(latest) == 0:
            logger.warning("%s does not exist: the training starts from the beginning.", folder / LAST_CHECKPOINT)
            return None
        logger.warning("%s does not exist: the training resumes from %s.", folder / LAST_CHECKPOINT, latest.name)
        return latest

    def _refuse(self, problems: Iterable[Problem]) -> None:
        if found := list(problems):
            raise ConfigError(self.config.locate(found))

    @contextmanager
    def _located(self) -> Iterator[None]:
        """Add file and line to the problems of a ``ConfigError``."""
        try:
            yield
        except ConfigError as error:
            raise ConfigError(self.config.locate(error.problems)) from error

    @contextmanager
    def _prepared_directory(self, output: Path, until_trained: ExitStack) -> Iterator[Path]:
        """Prepare the run directory. One that is created for this is removed if the training does not begin.

        No other process can train in it as long as ``until_trained`` is open.
        """
        is_new, had_output = self.directory is None, output.exists()
        directory = self.directory = self.directory or make_run_directory(output, self.config.name)
        try:
            if is_first_process():
                until_trained.enter_context(training_alone(directory))
                clean_up(directory)
                write_text(directory / CONFIG_FILE, self.config.to_yaml())
            yield directory
        except BaseException:
            if is_new and is_first_process():
                remove_run_directory(directory, directory.parent.parent if had_output else None)
                self.directory = None
            raise

    def _train(self, output: Path, resume: Path | None) -> Result:
        found = self.config.locate(check(self.config, self._callbacks()))
        self._refuse(one for one in found if isinstance(one, Problem))
        _warn_of(found)
        planned = with_display(self._callbacks(), self.display)
        self._planned = None  # these belong to this training
        self.checkpoint = None  # of the training before
        resumed_from = logging_step_of(resume) if resume else 0
        pl.seed_everything(self.config.trainer.seed, workers=True, verbose=False)
        data = build_data(self.config)
        content = load_checkpoint(resume, mmap=True) if resume else {}
        description = with_class_counts(data_spec_of(data), self.config, data, saved_spec(content))
        changed = changed_settings(self.config, content)
        self._refuse(refused_changes(changed, self.config, content, description))
        self.config = with_defaults(self.config)
        with self._located():
            model = build_model(self.config, description, resume is None, changed_optimizer_parameters(changed))
            prepare_weights(model, self.config, is_new=resume is None)
            self._refuse(
                [*check_model(planned, model, description.class_names), *unfit_weights(changed, model, content)]
            )
            if resume is None:
                try_optimizers(self.config, planned, model, data)
        with ExitStack() as until_trained:
            with self._prepared_directory(output, until_trained) as directory, signals_given_back():
                if resume is None and is_first_process():
                    remove_spools(directory)  # of a training that ended before its first checkpoint
                planned = place_model_callbacks(planned, take_model_callbacks(model))
                callbacks = [entry.callback for entry in planned]
                loggers = build_loggers(self.config, directory, resumed_from)
                saved_with = AtomicCheckpointIO(self.config.to_dict(), {DATA_SPEC: description.to_dict()})
                trainer = build_trainer(self.config.trainer, callbacks, loggers, directory, saved_with)
                start_trackers(loggers)
            steps = train_end_steps(trainer)
            for step in steps:
                step.raise_at_the_end = False  # failures are part of the result
            recorded = recorded_training(directory, trainer, planned, main_metric(model_class(self.config)))
            lasting = lasting_directory(directory, trainer, self.config)
            with signals_given_back(), recorded, lasting, restoring(resume):
                send_hyperparams(loggers, redacted(self.config.to_dict()))
                trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
                _raise_if_stopped(callbacks)
        if not _leave_process_group(trainer):
            return Result(directory)
        if reason := why_it_ended(trainer):
            logger.info(reason)
        outcomes = [step.outcome for step in steps if step.outcome is not None]
        # Steps are missing if nothing was left to train, or if the weights were sharded: finish() runs them.
        all_ran = len(outcomes) == len(steps) and not is_sharded(trainer)
        if all_ran and all(outcome.status == "ok" for outcome in outcomes):
            settle(directory, self.config, state_of(directory))
        if all_ran or not self.has_checkpoints():
            return self._result(outcomes)
        return self.finish()


def _warn_of(found: Sequence[Problem | ConfigWarning]) -> None:
    if is_first_process():
        for one in found:
            logger.warning(one)


def _own_config(checkpoint: str | Path) -> dict[str, Any]:
    described = load_checkpoint(checkpoint, mmap=True).get("hyper_parameters", {})
    if "model" not in described or "data" not in described:
        raise CheckpointError(
            f"{checkpoint}: this checkpoint contains no configuration, so it was not saved by Cuelight. Expected a "
            "checkpoint from a run directory."
        )
    return dict(described)


def _raise_if_stopped(callbacks: Sequence[pl.Callback]) -> None:
    """Raise if a signal came after the last batch, when the training is complete but nothing else may run."""
    for callback in callbacks:
        if isinstance(callback, LastCheckpoint) and callback.received_signal is not None:
            raise TrainingInterrupted(callback.received_signal)


def _leave_process_group(trainer: pl.Trainer) -> bool:
    """End the distributed part of a run; return whether this process goes on."""
    first = trainer.is_global_zero
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return first
