"""A training that is over, as the steps after it see it: in a trainer still, or opened again later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from torch import Tensor

from cuelight.config.schema import ExporterConfig
from cuelight.data.protocols import DescribesImages, LoadsWhole, NamesClasses
from cuelight.errors import CuelightError
from cuelight.evaluation.evaluate import set_up
from cuelight.evaluation.evaluator import EvaluatorSettings
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.protocols import NamesTask
from cuelight.images.preprocessing import Preprocessing
from cuelight.train_end.measured_weights import MakeModule, MeasuredWeights
from cuelight.weights.best import BestCheckpoint, Preference, best_checkpoint


class StepSkipped(CuelightError):
    """A step has nothing to do; the message says why."""


@dataclass
class FinishedTraining:
    """What the steps after a training work with.

    Args:
        directory: The run directory.
        make_module: Makes the module for the content of a checkpoint, in eval mode on the CPU, without its weights.
        kept: Lists the best checkpoints that were kept.
        name: The name of the run, and of exported files.
        data: The data, if there is any.
        main_metric: What the best model is chosen by, such as ``val/accuracy``.
        exporter: The options of the export; a step may have its own.
        settings: On what the model is measured.
        loggers: Where results go.
        step: The number of optimizer steps that were done, for the loggers.
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
    _loaded: tuple[object, MeasuredWeights] | None = field(default=None, init=False, repr=False)

    def best(self, prefer: Preference = "metric") -> BestCheckpoint:
        """Find the best checkpoint.

        Args:
            prefer: By the main metric, or by the validation loss.

        Returns:
            The checkpoint; by the other one if there is none of those.

        Raises:
            StepSkipped: If none was kept.
        """
        best = best_checkpoint(self.kept(), prefer, self.main_metric)
        if best is None:
            raise StepSkipped(
                "there is no best checkpoint. A ModelCheckpoint with a monitor saves one after the first validation."
            )
        return best

    def load(self, checkpoint: Path) -> MeasuredWeights:
        """Return the weights of a checkpoint; the file is read again only if it, or another one, was asked for since.

        Args:
            checkpoint: The file.

        Raises:
            CheckpointError: If the file is missing or damaged.
        """
        state = checkpoint.stat() if checkpoint.is_file() else None
        version = (checkpoint, state and (state.st_ino, state.st_mtime_ns, state.st_size))
        if self._loaded is None or self._loaded[0] != version:
            self._loaded = (version, MeasuredWeights(checkpoint, self.make_module))
        return self._loaded[1]

    def load_best(self, prefer: Preference = "metric") -> MeasuredWeights:
        """Return the weights of the best checkpoint.

        Args:
            prefer: By the main metric, or by the validation loss; the other one if there is none of those.

        Raises:
            StepSkipped: If none was kept.
            CheckpointError: If the file is missing or damaged.
        """
        return self.load(self.best(prefer).path)

    def describe(self, weights: MeasuredWeights) -> ModelMetadata:
        """Say what a file made of these weights should tell about itself.

        Args:
            weights: The weights.

        Returns:
            The metadata; what neither module nor data tells is left out.
        """
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
        )

    def validation_inputs(self) -> Tensor | None:
        """Load the first validation batch.

        Returns:
            What the model sees, ``(N, ...)``; ``None`` if there is no validation data or it has another form.
        """
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
