"""A common interface for what loggers take besides metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray


class LoggerAdapter(Protocol):
    """Logs images, text, tables and files with one Lightning logger.

    Methods may raise the errors of the tracker; ``sending.py`` catches them. Names are the same in every run, so that
    runs can be compared in dashboards.
    """

    @property
    def name(self) -> str:
        """Name of the tracker in messages."""

    @property
    def place(self) -> str:
        """Where files are kept, as a URL or a folder. It is unique to the run unless ``is_shared``."""

    @property
    def is_shared(self) -> bool:
        """Whether other runs may keep files of the same names in the same place, as in a folder."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics.

        Args:
            metrics: Values by name; a name that the tracker refuses is replaced, always in the same way.
            step: The optimizer step.
        """

    def log_image(self, name: str, image: NDArray[np.uint8], step: int, caption: str = "") -> None:
        """Log an image.

        Args:
            name: Its name, with slashes for groups.
            image: RGB, ``(H, W, 3)``.
            step: The optimizer step.
            caption: A caption, if the tracker shows one.
        """

    def log_text(self, name: str, text: str, step: int) -> None:
        """Log text.

        Args:
            name: Its name, with slashes for groups.
            text: Markdown.
            step: The optimizer step.
        """

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Log a table.

        Args:
            name: Its name, with slashes for groups.
            columns: The heading of each column.
            rows: The cells of each row, text or numbers.
            step: The optimizer step.
        """

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Log hyperparameters.

        Args:
            params: Scalars, lists and mappings by name; earlier values are replaced.
        """

    def log_artifact(self, file: Path, folder: str = "", aliases: Sequence[str] = (), *, wait: bool = True) -> str:
        """Send a file, replacing one of the same name.

        Args:
            file: The file; it is kept under its own name.
            folder: The folder inside ``place``.
            aliases: Other names for this version, if the tracker has versions.
            wait: Whether to return only when the file has arrived. Otherwise it may be sent in the background, with its
                present content: it may be changed or removed afterwards.

        Returns:
            Where it is, or will be, as a URL or a path.
        """

    def delete_artifact(self, name: str, folder: str = "") -> None:
        """Remove a file that was sent, if it exists.

        Args:
            name: The name of the file.
            folder: The folder inside ``place``.
        """

    def has(self, file: Path) -> bool:
        """Return whether a file is in the tracker's own folder, so that it need not be sent."""


@singledispatch
def adapter_of(logger: Logger) -> LoggerAdapter | None:  # noqa: ARG001 - registered functions use it
    """Return the adapter of a Lightning logger; ``None`` if it takes metrics and hyperparameters only.

    To use your own logger, register its adapter: ``adapter_of.register(MyLogger, MyAdapter)``.
    """
    return None
