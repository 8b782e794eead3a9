"""Where a configuration was written, for messages about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from cuelight.config.environment import hide
from cuelight.config.loading import Document, Location, printable
from cuelight.config.overrides import COMMAND_LINE, OVERRIDE
from cuelight.errors import ConfigWarning, Problem

Message = TypeVar("Message", bound=Problem | ConfigWarning)


@dataclass(frozen=True)
class Origin:
    """Where a configuration was written; ignored when configurations are compared.

    ``tree`` is the document's tree with the values of environment variables, which must not appear in messages.
    """

    document: Document = field(default_factory=lambda: Document({}), compare=False)
    tree: Any = field(default=None, compare=False)

    def locate(self, messages: Iterable[Message]) -> list[Message]:
        """Add places to messages. Returns each once, in the order of the file; those about overrides come last."""
        located = dict.fromkeys(self._locate(message) for message in messages)
        ranked = sorted(located, key=lambda pair: (pair[0].source in {COMMAND_LINE, OVERRIDE}, pair[0].line))
        return [message for _, message in ranked]

    def _locate(self, message: Message) -> tuple[Location, Message]:
        location = Location(message.where)
        if not message.where:
            location = self.document.locate(tuple(message.path.split(".")) if message.path else ())
        text, path = printable(hide(message.message, self.tree)), printable(message.path)
        return location, replace(message, message=text, path=path, where=str(location))
