"""Draw class activation maps during the training."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import lightning.pytorch as pl
import numpy as np
from pydantic import Field
from torch import Tensor

from cuelight import registry
from cuelight.config import Config
from cuelight.data.protocols import DescribesImages, NamesClasses
from cuelight.errors import CuelightError, ExplainError, LayerError, ParameterError, Problem
from cuelight.explain import Method, find_class, find_layer
from cuelight.explain.batches import images_and_labels, some_of
from cuelight.explain.captions import explained_images, title_of
from cuelight.explain.inputs import as_pictures
from cuelight.explain.layers import AUTO
from cuelight.explain.pictures import MOST_IN_GRID, draw_grid
from cuelight.explain.protocols import CountsPixels
from cuelight.explain.targets import Target, find_target
from cuelight.export.protocols import NamesOutputs
from cuelight.images.preprocessing import Preprocessing
from cuelight.registry.checking import misfits
from cuelight.tasks.class_scores import class_scores
from cuelight.tasks.lookup import TASKS
from cuelight.tracking.sending import send_image
from cuelight.train_end.from_trainer import is_sharded
from cuelight.utils.files import atomic_write
from cuelight.utils.redaction import reason_of
from cuelight.utils.trainer_callbacks import callbacks_of, directory_of
from cuelight.weights.resuming import logging_step

logger = logging.getLogger(__name__)

TaskName = Literal["classification", "segmentation", "detection", "keypoints", "multilabel"]

FOLDER = "gradcam"
_QUALITY = 92


class GradCamCallback(pl.Callback):
    """Shows where the model looks: heat maps of a class over the images of the first validation batches.

    For each of these batches a picture with up to 12 of its images goes to the trackers, as ``gradcam/val_<batch>``
    (with ``_dataloader_<number>`` and ``_callback_<number>`` appended for all but the first of several), and into the
    folder ``gradcam`` beside the checkpoints. With EMACallback, the averaged weights are used. The
    callback does not change the training: results are bit-identical without it. Only rank 0 draws. An error during the
    training is logged once, and training continues.

    Grad-CAM: R. R. Selvaraju et al., 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization".

    Args:
        target_layer: The layer whose activations are used: an index into ``named_modules()`` of the module without its
            metrics (negative ones count from the end), a name such as "backbone.layer4", or "auto" for the last layer
            with a spatial map; ``cuelight layers`` lists them.
        class_idx: The class to explain: its index, its name, "predicted" or "label".
        log_n_batches: Number of batches of each validation to draw.
        task: The task of the model; not used for modules that implement ``cuelight.explain.ScoresClasses``.
        method: The method: gradcam, hirescam, gradcam++ or eigencam.
        output: The output with the class scores, by name or index, if there are several.

    Raises:
        ValueError: If a parameter is out of its range.
        CuelightError: When training starts, if the module has no such layer, class or output. This is tested with its
            ``example_input_array``, or with the first batch of the sanity check.
    """

    def __init__(
        self,
        target_layer: int | str,
        class_idx: Annotated[int, Field(ge=0)] | str = 0,
        log_n_batches: Annotated[int, Field(ge=1)] = 1,
        task: TaskName = "classification",
        method: Method = "gradcam",
        output: int | str | None = None,
    ) -> None:
        if messages := misfits(GradCamCallback, {"class_idx": class_idx, "log_n_batches": log_n_batches}):
            raise ParameterError("GradCamCallback", messages)
        self.target_layer = target_layer
        self.class_idx = class_idx
        self.log_n_batches = log_n_batches
        self.task: TaskName = task
        self.method: Method = method
        self.output = output
        self._target: Target | None = None
        self._said: set[str] = set()
        self._directory = Path()

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find out whether ``task`` is the task of the model."""
        model = registry.models.get(config.model.name) if config is not None else None
        own = getattr(model, "task", None)
        if own in TASKS and not hasattr(model, "class_scores") and self.task != own:
            name = getattr(model, "__name__", own)
            yield Problem(
                f'{name} is a {own} model, but GradCamCallback has task: {self.task}. Set "task: {own}".', "params.task"
            )

    def check_model(self, module: pl.LightningModule, class_names: Sequence[str] | None) -> Iterator[Problem]:
        """Find out whether the model has the layer and the class."""
        if self.target_layer != AUTO:
            try:
                find_layer(module, self.target_layer, None)
            except LayerError as error:
                yield Problem(str(error), "params.target_layer")
        if count := getattr(module, "num_classes", None) or len(class_names or ()):
            try:
                find_class(self.class_idx, class_names, count)
            except ExplainError as error:
                yield Problem(str(error), "params.class_idx")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Reset the state, and raise a ``CuelightError`` under a strategy that shards the weights."""
        self._target = None
        self._said = set()
        if stage in ("fit", "validate") and is_sharded(trainer):
            raise CuelightError(
                f"GradCamCallback does not support {type(trainer.strategy).__name__}, because no process has all "
                "weights. Use ddp, remove the callback, or run cuelight explain after the training."
            )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise a ``CuelightError`` before the training if layer, class or output do not exist."""
        self._check(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the same before a validation without a training, and find the folder for the pictures."""
        self._directory = directory_of(trainer)
        if trainer.state.fn != "fit":
            self._check(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batches. In the sanity check, only test one if the module has no example input."""
        if trainer.sanity_checking:
            self._check_on(trainer, pl_module, batch)
            return
        due = batch_idx < self.log_n_batches and trainer.is_global_zero
        if not due or trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it by setattr
            return
        try:
            self._draw(trainer, pl_module, batch, self._name(trainer, batch_idx, dataloader_idx))
        except Exception as error:  # noqa: BLE001 - training continues without a picture
            self._tell(error)

    def _check(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Find layer and class on the example input of the module; without one, only look up their names."""
        example = module.example_input_array
        if not isinstance(example, Tensor):
            with _name_the_callback():
                self._look_up(trainer, module)
            return
        images = trainer.precision_plugin.convert_input(example[:1].to(module.device))
        try:
            with _name_the_callback():
                self._target = self._find_target(trainer, module, images)
        except CuelightError:
            raise
        except Exception as error:
            raise CuelightError(
                f"GradCamCallback: {type(module).__name__} cannot be run on its example_input_array "
                f"{tuple(example.shape)}: {reason_of(error)}. Set it to a batch that `forward` accepts, or remove the "
                "callback."
            ) from error

    def _look_up(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        class_scores(self.task, module)
        if self.target_layer != AUTO:
            find_layer(module, self.target_layer, None)
        names = _class_names(trainer, module)
        count = getattr(module, "num_classes", None) or len(names or ())
        if count:
            find_class(self.class_idx, names, count)

    def _check_on(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any) -> None:
        """Find layer and class on a batch, on every rank, unless they were found on an example input."""
        if self._target is not None:
            return
        try:
            with _name_the_callback():
                self._target = self._find_target(trainer, module, images_and_labels(batch)[0][:1])
        except ExplainError:
            raise
        except Exception as error:  # noqa: BLE001 - such as a batch without images: training continues
            if trainer.is_global_zero:
                self._tell(error)

    def _find_target(self, trainer: pl.Trainer, module: pl.LightningModule, images: Tensor) -> Target:
        class_names = _class_names(trainer, module)
        with trainer.precision_plugin.forward_context():
            return find_target(
                module,
                images,
                self.target_layer,
                self.class_idx,
                class_scores(self.task, module, class_names),
                class_names=class_names,
                method=self.method,
                output=self.output,
                output_names=module.output_names if isinstance(module, NamesOutputs) else None,
            )

    def _draw(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, name: str) -> None:
        images, labels = images_and_labels(batch)
        left_out = max(0, len(images) - MOST_IN_GRID)
        images, labels = some_of(images, labels, MOST_IN_GRID)
        target = self._target = self._target or self._find_target(trainer, module, images[:1])
        scores = class_scores(self.task, module, _class_names(trainer, module))
        if isinstance(scores, CountsPixels):
            scores = scores.counting_labelled(labels)
        with trainer.precision_plugin.forward_context():
            found = target.heat_maps(module, images, labels, scores)
        pictures = as_pictures(images, _preprocessing(trainer, module))
        explained = explained_images(found, pictures, scores, _class_names(trainer, module), labels)
        step, epoch = logging_step(trainer), trainer.current_epoch + 1  # shown epochs count from 1
        when = f", epoch {epoch}, step {step}" if trainer.state.fn == "fit" else ""
        title = f"{title_of(self.method, target.layer, found.maps)}{when}"
        picture = draw_grid(explained, title, left_out)
        send_image(trainer.loggers, f"{FOLDER}/{name}", np.asarray(picture), step, title)
        file = self._directory / FOLDER / f"epoch_{epoch:04}_step_{step:08}_{name}.jpg"
        with atomic_write(file) as opened:
            picture.save(opened, "JPEG", quality=_QUALITY, subsampling=0)

    def _name(self, trainer: pl.Trainer, batch_idx: int, dataloader_idx: int) -> str:
        callbacks = callbacks_of(trainer)
        position = [callback for callback in callbacks if isinstance(callback, GradCamCallback)].index(self)
        of_loader = f"_dataloader_{dataloader_idx}" if dataloader_idx else ""
        return f"val_{batch_idx}{of_loader}" + (f"_callback_{position}" if position else "")

    def _tell(self, error: Exception) -> None:
        reason = reason_of(error).removesuffix(".")
        # The message of an OSError may name the file, which differs each time.
        kind = f"{type(error).__name__} {error.errno}" if isinstance(error, OSError) else reason
        if kind not in self._said:
            self._said.add(kind)
            logger.warning("GradCamCallback could not draw heat maps: %s. Training continues.", reason)


@contextmanager
def _name_the_callback() -> Iterator[None]:
    """Put the name of the callback before the message of an ``ExplainError``."""
    try:
        yield
    except ExplainError as error:
        raise type(error)(f"GradCamCallback: {error}") from error


def _class_names(trainer: pl.Trainer, module: pl.LightningModule) -> Sequence[str] | None:
    data = getattr(trainer, "datamodule", None)
    for named in (module, data):
        if isinstance(named, NamesClasses) and named.class_names is not None:
            return [str(name) for name in named.class_names]  # a user's data may have numbers, or an array
    return None


def _preprocessing(trainer: pl.Trainer, module: pl.LightningModule) -> Preprocessing | None:
    for described in (getattr(trainer, "datamodule", None), module):
        if isinstance(described, DescribesImages) and isinstance(described.preprocessing, Preprocessing):
            return described.preprocessing
    return None
