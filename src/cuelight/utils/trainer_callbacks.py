"""The callbacks of a trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lightning.pytorch as pl


def callbacks_of(trainer: pl.Trainer) -> list[pl.Callback]:
    """Return the list of callbacks of a trainer, an attribute that Lightning sets but does not declare."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning declares it nowhere
    return callbacks
