"""What a shell completes: keys of overrides and names of callbacks. Used only while the Tab key is handled."""

from __future__ import annotations

import argparse
import os
from typing import Any

VARIABLE = "_ARGCOMPLETE"


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and exit, if it asks for completions."""
    if VARIABLE in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def override_keys(**_: Any) -> list[str]:
    """Return the beginning of each override, such as ``trainer.epochs=``."""
    from cuelight.config import Config

    sections = {key: getattr(field.annotation, "model_fields", {}) for key, field in Config.model_fields.items()}
    nested = [f"{section}.{key}=" for section, fields in sections.items() for key in fields]
    return [*nested, "trainer.optimizer.params.lr=", *(f"{key}=" for key, fields in sections.items() if not fields)]


def callback_names(**_: Any) -> list[str]:
    """Return the names of the callbacks."""
    from cuelight.registry.builtins import CALLBACKS

    return list(CALLBACKS)
