"""A table of the layers of the model."""

from __future__ import annotations

from lightning.pytorch import callbacks


class RichModelSummary(callbacks.RichModelSummary):
    """Shows the layers of the model with their numbers of parameters when training starts.

    Args:
        max_depth: The depth to which nested layers are shown; 0 shows nothing, -1 everything.
        header_style: Style of the table's header, in the syntax of rich.
    """

    def __init__(self, max_depth: int = 1, header_style: str = "bold magenta") -> None:
        super().__init__(max_depth=max_depth, header_style=header_style)
