"""What a tracker takes besides metrics, whichever Lightning logger it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray


class LoggerAdapter(Protocol):
    """Pictures, text, tables and files for one Lightning logger.

    Every method may fail as its tracker fails; ``sending.py`` keeps that away from a training. Names are the same in
    every run, so that dashboards line up: the step says when.
    """

    @property
    def name(self) -> str:
        """What the tracker is called in messages."""

    @property
    def place(self) -> str:
        """Where files are kept, as a URL or a folder; no other run has the same one, unless both share a folder."""

    @property
    def is_shared(self) -> bool:
        """Whether other runs may keep files of the same names at the same place, as in a folder."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send numbers.

        Args:
            metrics: Each by its name; a name that the tracker refuses is replaced, the same way each time.
            step: The optimizer step.
        """

    def log_image(self, name: str, image: NDArray[np.uint8], step: int, caption: str = "") -> None:
        """Send a picture.

        Args:
            name: Its name, with slashes for groups.
            image: Red, green and blue, ``(H, W, 3)``.
            step: The optimizer step.
            caption: A line to read below it, where the tracker shows one.
        """

    def log_text(self, name: str, text: str, step: int) -> None:
        """Send text.

        Args:
            name: Its name, with slashes for groups.
            text: The text, as Markdown.
            step: The optimizer step.
        """

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Send a table.

        Args:
            name: Its name, with slashes for groups.
            columns: The heading of each column.
            rows: The cells of each row, text or numbers.
            step: The optimizer step.
        """

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Send hyperparameters.

        Args:
            params: Scalars, lists and mappings by name; a value that is there already is replaced.
        """

    def log_artifact(self, file: Path, folder: str = "", aliases: Sequence[str] = (), *, wait: bool = True) -> str:
        """Send a file, in place of one of the same name.

        Args:
            file: The file; it is kept under its own name.
            folder: The folder of the tracker that it belongs to.
            aliases: Other names for what is now the newest version, where the tracker has versions.
            wait: Whether the file has to be there when this returns. Otherwise it may be sent beside the training, as
                it is now: it may be changed or removed afterwards.

        Returns:
            Where it is, or will be, as a URL or a path.
        """

    def delete_artifact(self, name: str, folder: str = "") -> None:
        """Remove a file that was sent; where there is none, nothing happens.

        Args:
            name: The name of the file.
            folder: The folder of the tracker that it is in.
        """

    def has(self, file: Path) -> bool:
        """Return whether a file need not be sent, because the tracker keeps its logs around it.

        Args:
            file: The file.

        Returns:
            Whether it is in the folder of the tracker.
        """


@singledispatch
def adapter_of(logger: Logger) -> LoggerAdapter | None:  # noqa: ARG001 - those registered look at it
    """Find what sends pictures, text, tables and files for a logger.

    A logger of one's own joins by registering what makes its tracker: ``adapter_of.register(MyLogger, MyAdapter)``.

    Args:
        logger: Any Lightning logger.

    Returns:
        Its tracker; ``None`` for a logger that takes metrics and hyperparameters alone.
    """
    return None
