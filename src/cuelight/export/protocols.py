"""What a module may define to describe its exported files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class NamesTask(Protocol):
    """A module that names its task."""

    @property
    def task(self) -> str:
        """Such as ``classification``."""


@runtime_checkable
class NamesOutputs(Protocol):
    """A module that names the outputs of ``forward``."""

    @property
    def output_names(self) -> Sequence[str]:
        """One name for each output, in order."""


@runtime_checkable
class BringsHeads(Protocol):
    """A module that describes how a device decodes its outputs."""

    def archive_heads(self) -> Sequence[Mapping[str, Any]]:
        """Return the heads of an NN Archive.

        Each is a mapping in luxonis-ml's schema: ``parser``, ``outputs`` (names out of ``output_names``) and
        ``metadata``.
        """


@runtime_checkable
class BringsDecoding(Protocol):
    """A module whose task needs settings to decode the outputs of the exported file."""

    def decoding(self) -> Mapping[str, Any]:
        """Return the settings in plain types, such as thresholds; they are written into the file."""


@runtime_checkable
class BringsExport(Protocol):
    """A module that exports another module in its place, such as one with an extra or a missing last layer."""

    def for_export(self) -> nn.Module:
        """Return the module to export: it has the weights of this one, and takes the same inputs."""


@runtime_checkable
class ConvertsOutputs(Protocol):
    """A module whose exported file has other outputs than its ``forward``."""

    def exported(self, outputs: Any) -> Any:
        """Return the outputs of the exported file for those of ``forward``."""
