"""Parts of one's own, given by ``--source`` as a user would: few digits, and callbacks that tell what happens."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import BatchSizeFinder, EarlyStopping, ModelCheckpoint
from torch import nn
from torch.nn import functional

from cuelight import registry
from cuelight.data.datasets.digits import DigitImages, Digits
from cuelight.runs.plan import HOOKS


@registry.data.register
class FewDigits(Digits):
    """Digits out of a file of few.

    Args:
        file: An ``.npz`` file with images and labels.
        batch_size: Images per batch.
        seed: Seed of the order.
    """

    def __init__(self, file: str, batch_size: int = 8, seed: int = 42) -> None:
        super().__init__(batch_size=batch_size, num_workers=0, seed=seed)
        self.file = file

    def setup(self, stage=None):
        content = np.load(self.file)
        images, labels = torch.from_numpy(content["images"]), torch.from_numpy(content["labels"])
        count = len(labels) // 2
        train = DigitImages(images[:count], labels[:count])
        rest = DigitImages(images[count:], labels[count:])
        self._splits = {"train": train, "val": rest, "test": rest}


@registry.models.register
class TinyNet(pl.LightningModule):
    """A convolution with BatchNorm and dropout; trains in milliseconds.

    Args:
        num_classes: Number of classes.
        lr: Learning rate.
        brings: Labels of the recording callbacks that this module brings by itself.
        wide: Number of channels.
        dropout: Share of what is dropped.
    """

    main_metric = "accuracy"
    main_metric_mode = "max"

    def __init__(
        self,
        num_classes: int = 10,
        optimization: object = None,
        brings: list[str] | None = None,
        wide: int = 8,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(1, wide, 3, stride=3), nn.BatchNorm2d(wide), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout),
            nn.Linear(wide * 81, num_classes),
        )  # fmt: skip
        self.optimization = optimization
        self.brings = brings or []

    def forward(self, images):
        return self.network(images)

    def training_step(self, batch, batch_idx):
        loss = functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def on_train_epoch_end(self):
        self.log("train/epoch", float(self.current_epoch))

    def validation_step(self, batch, batch_idx):
        self._evaluate(batch, "val")

    def test_step(self, batch, batch_idx):
        self._evaluate(batch, "test")

    def configure_optimizers(self):
        return self.optimization(self)

    def configure_callbacks(self):
        return [recording(Nothing, label)() for label in self.brings]

    def _evaluate(self, batch, view):
        images, labels = batch
        logits = self(images)
        hits = (logits.argmax(1) == labels).float().mean()
        loss = functional.cross_entropy(logits, labels)
        self.log_dict({f"{view}/loss": loss, f"{view}/accuracy": hits}, batch_size=len(labels), prog_bar=True)


RECORD = []
"""Who ran for which hook, in order: pairs of the hook and the class name."""


def recording(base, name):
    """Make a class that notes each hook before it does what its base does."""

    def noting(hook):
        def method(self, *arguments, **options):
            RECORD.append((hook, name))
            return getattr(base, hook)(self, *arguments, **options)

        return method

    methods = {hook: noting(hook) for hook in HOOKS if hasattr(base, hook)}
    return type(name, (base,), methods)


class Nothing(pl.Callback):
    """Does nothing."""


class IdleTuner(BatchSizeFinder):
    """A tuner, which Lightning would move to the front; it finds nothing, so that the training stays as it is."""

    def setup(self, trainer, pl_module, stage=None):
        """Accept any trainer."""

    def scale_batch_size(self, trainer, pl_module):
        """Find nothing."""


for label in ("First", "Second", "Third"):
    registry.callbacks.register(recording(Nothing, label))


@registry.callbacks.register(name="Keeper")
def keeper(monitor: str):
    """A recording ModelCheckpoint."""
    return recording(ModelCheckpoint, "Keeper")(monitor=monitor)


@registry.callbacks.register(name="Stopper")
def stopper(monitor: str):
    """A recording EarlyStopping."""
    return recording(EarlyStopping, "Stopper")(monitor=monitor)


@registry.callbacks.register(name="Tuner")
def tuner():
    """A recording tuner."""
    return recording(IdleTuner, "Tuner")()


@registry.callbacks.register
class Events(pl.Callback):
    """Writes a line for each thing that happens in a training into a file or a named pipe.

    Args:
        path: Where to.
        signal_at: The number of the event at which this process sends itself a signal, if any.
        signal_name: Which signal.
        times: How often.
    """

    def __init__(self, path: str, signal_at: int | None = None, signal_name: str = "SIGINT", times: int = 1) -> None:
        self.path = path
        self.signal_at = signal_at
        self.signal_name = signal_name
        self.times = times
        self.count = 0
        self.descriptor = None

    def setup(self, trainer, pl_module, stage):
        if self.descriptor is None:
            self.descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def _happened(self, what, trainer):
        if trainer.sanity_checking:
            return
        self.count += 1
        # One write of a short line is never mixed with another.
        os.write(self.descriptor, f"{what} {trainer.current_epoch} {trainer.global_step}\n".encode())
        if self.count == self.signal_at:
            for _ in range(self.times):
                os.kill(os.getpid(), getattr(signal, self.signal_name))

    def on_train_epoch_start(self, trainer, pl_module):
        self._happened("epoch_start", trainer)

    def on_train_batch_start(self, trainer, *_):
        self._happened("batch_start", trainer)

    def on_after_backward(self, trainer, pl_module):
        self._happened("backward", trainer)

    def on_train_batch_end(self, trainer, *_):
        self._happened("batch_end", trainer)

    def on_validation_batch_end(self, trainer, *_):
        self._happened("validation_batch", trainer)

    def on_validation_end(self, trainer, pl_module):
        self._happened("validation_end", trainer)

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self._happened("save", trainer)

    def on_train_epoch_end(self, trainer, pl_module):
        self._happened("epoch_end", trainer)

    def on_train_end(self, trainer, pl_module):
        self._happened("train_end", trainer)


@registry.callbacks.register
class Probe(pl.Callback):
    """Writes what a training is like, step by step, for tests of the trainer section.

    Args:
        path: A text file; a line of ``step batch_in_epoch epoch gradient_norm`` for each optimizer step.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in pl_module.parameters()]))
        with Path(self.path).open("a") as file:
            file.write(f"{trainer.global_step} {trainer.fit_loop.batch_idx} {trainer.current_epoch} {norm}\n")


@registry.callbacks.register
class FillDisk(pl.Callback):
    """Fills a disk at the start of an epoch.

    Args:
        folder: A folder on the disk.
        epoch: The epoch.
    """

    def __init__(self, folder: str, epoch: int) -> None:
        self.folder = folder
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            with Path(self.folder, "filling").open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(1024))


@registry.callbacks.register
class StepNorms(pl.Callback):
    """Writes the norm of the gradient with which each optimizer step was made, after any clipping.

    Args:
        path: A text file.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def on_train_batch_end(self, trainer, pl_module, *_):
        norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in pl_module.parameters()]))
        with Path(self.path).open("a") as file:
            file.write(f"{norm}\n")
