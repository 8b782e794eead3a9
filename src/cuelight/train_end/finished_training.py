"""A finished training: the input of the steps after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from torch import Tensor

from cuelight.config.schema import ExporterConfig
from cuelight.data.protocols import DescribesImages, LoadsWhole, NamesClasses
from cuelight.errors import CheckpointError, CuelightError
from cuelight.evaluation.evaluate import set_up
from cuelight.evaluation.evaluator import EvaluatorSettings
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.protocols import BringsDecoding, NamesTask
from cuelight.images.preprocessing import Preprocessing
from cuelight.train_end.measured_weights import MakeModule, MeasuredWeights
from cuelight.weights.best import BestCheckpoint, Preference, best_checkpoint, not_preferred

logger = logging.getLogger(__name__)


class StepSkipped(CuelightError):
    """A step has nothing to do, for the reason in the message."""


@dataclass
class FinishedTraining:
    """A finished training, in a trainer or loaded from a run directory: the input of the steps after it.

    Args:
        directory: The run directory.
        make_module: Makes the module of a checkpoint, without its weights.
        kept: Lists the checkpoints of the ModelCheckpoints.
        why_none: Returns why the last model was not kept, if it was not finite.
        name: The name of the run, and of exported files.
        main_metric: The metric that selects the best checkpoint, such as ``val/accuracy``.
        exporter: The export options; a step may have its own.
        step: The step for the loggers, after all that the training has logged.
    """

    directory: Path
    make_module: MakeModule
    kept: Callable[[], Sequence[BestCheckpoint]]
    name: str = "model"
    data: pl.LightningDataModule | None = None
    main_metric: str | None = None
    exporter: ExporterConfig = field(default_factory=ExporterConfig)
    settings: EvaluatorSettings = field(default_factory=EvaluatorSettings)
    loggers: Sequence[Logger] = ()
    step: int = 0
    why_none: Callable[[], str | None] = lambda: None
    _said: set[str] = field(default_factory=set, init=False, repr=False)
    _loaded: tuple[object, MeasuredWeights] | None = field(default=None, init=False, repr=False)

    def best(self, prefer: Preference = "metric") -> BestCheckpoint:
        """Return the best checkpoint by the main metric or by the validation loss; by the other one if there is none.

        Without any of them, it is the latest one that a ModelCheckpoint without a metric has saved.

        Raises:
            StepSkipped: If there is no best checkpoint.
            CheckpointError: If there is none because no model was finite.
        """
        best = best_checkpoint(self.kept(), prefer, self.main_metric)
        if best is None and (reason := self.why_none()):
            raise CheckpointError(f"No model was saved as the best: {reason}. Correct the cause, and train again.")
        if best is None:
            raise StepSkipped(
                "there is no best checkpoint. A ModelCheckpoint with a monitor saves one after the first validation."
            )
        if (warning := not_preferred(best, prefer)) and warning not in self._said:
            self._said.add(warning)
            logger.warning(warning)
        return best

    def load(self, checkpoint: Path) -> MeasuredWeights:
        """Return the weights of a checkpoint. The last one is cached until its file changes.

        Raises:
            CheckpointError: If the file is missing or damaged.
        """
        state = checkpoint.stat() if checkpoint.is_file() else None
        version = (checkpoint, state and (state.st_ino, state.st_mtime_ns, state.st_size))
        if self._loaded is None or self._loaded[0] != version:
            self._loaded = (version, MeasuredWeights(checkpoint, self.make_module))
        return self._loaded[1]

    def load_best(self, prefer: Preference = "metric") -> MeasuredWeights:
        """Return the weights of the best checkpoint; see :meth:`best` and :meth:`load`."""
        return self.load(self.best(prefer).path)

    def describe(self, weights: MeasuredWeights) -> ModelMetadata:
        """Return the metadata for a file exported from these weights; unknown entries are ``None``."""
        module, saved = weights.module, weights.data
        names = saved.class_names or _class_names(module) or _class_names(self.data)
        shape = self.data.preprocessing if isinstance(self.data, DescribesImages) else None
        preprocessing = saved.preprocessing or shape
        return ModelMetadata(
            fingerprint=weights.fingerprint,
            checkpoint=weights.checkpoint.name,
            task=module.task if isinstance(module, NamesTask) else None,
            class_names=tuple(names) if names else None,
            preprocessing=preprocessing if isinstance(preprocessing, Preprocessing) else None,
            decoding=module.decoding() if isinstance(module, BringsDecoding) else None,
        )

    def validation_inputs(self) -> Tensor | None:
        """Load the inputs of the first validation batch, ``(N, ...)``; ``None`` if there are none."""
        if self.data is None:
            return None
        with set_up(self.data, "val"):
            loader = (
                self.data.whole_dataloader("val") if isinstance(self.data, LoadsWhole) else self.data.val_dataloader()
            )
            return _first_tensor(next(iter(_first_loader(loader)), None))


def _class_names(named: object) -> Sequence[str] | None:
    return named.class_names if isinstance(named, NamesClasses) else None


def _first_loader(loader: Any) -> Iterable[Any]:
    while isinstance(loader, (list, tuple, dict)) and loader:
        loader = next(iter(loader.values() if isinstance(loader, dict) else loader))
    return loader or ()


def _first_tensor(batch: Any) -> Tensor | None:
    while isinstance(batch, (list, tuple, dict)) and batch:
        batch = next(iter(batch.values() if isinstance(batch, dict) else batch))
    return batch.detach().cpu() if isinstance(batch, Tensor) else None
