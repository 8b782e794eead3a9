"""The callbacks of a trainer, and the folder of its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lightning.pytorch as pl


def callbacks_of(trainer: pl.Trainer) -> list[pl.Callback]:
    """Return the list of callbacks of a trainer, an attribute that Lightning sets but does not declare."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning declares it nowhere
    return callbacks


def directory_of(trainer: pl.Trainer) -> Path:
    """Return the folder for the files of a training, the same on all ranks, which must call this together.

    It is that of the first logger, in which ModelCheckpoint makes its folder ``checkpoints`` too, such as
    ``lightning_logs/version_0``; ``default_root_dir`` without a logger, or if that is no local folder.
    """
    folder = _folder_of(trainer) if trainer.is_global_zero else ""
    shared: str = trainer.strategy.broadcast(folder)
    return Path(trainer.default_root_dir if "://" in shared else shared)


def _folder_of(trainer: pl.Trainer) -> str:
    first = trainer.loggers[0] if trainer.loggers else None
    if first is None or first.log_dir:
        return str(first.log_dir if first else trainer.default_root_dir)
    version = first.version if isinstance(first.version, str) else f"version_{first.version}"
    known = first.name is not None and first.version is not None
    return str(Path(first.save_dir or trainer.default_root_dir, *((str(first.name), version) if known else ())))
