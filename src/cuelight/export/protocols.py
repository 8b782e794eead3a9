"""What a module may tell about itself, so that its files describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class NamesTask(Protocol):
    """A module that says what it does."""

    @property
    def task(self) -> str:
        """Such as ``classification``."""


@runtime_checkable
class NamesOutputs(Protocol):
    """A module that names what ``forward`` returns."""

    @property
    def output_names(self) -> Sequence[str]:
        """One name for each output, in order."""


@runtime_checkable
class BringsHeads(Protocol):
    """A module that says how its outputs are decoded on a device."""

    def archive_heads(self) -> Sequence[Mapping[str, Any]]:
        """The heads of an NN Archive.

        Returns:
            One mapping for each head, as luxonis-ml's schema has it: ``parser``, ``outputs`` (names out of
            ``output_names``) and ``metadata``.
        """


@runtime_checkable
class BringsExport(Protocol):
    """A module in whose place another one is exported, which does a little more or less than ``forward``."""

    def for_export(self) -> nn.Module:
        """Make what is exported.

        Returns:
            A module with the weights of this one, for the same inputs.
        """
