"""What a shell completes: keys of overrides, tasks, and names of callbacks. Used only while the Tab key is handled."""

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


def override_keys(parsed_args: argparse.Namespace | None = None, **_: Any) -> list[str]:
    """Return the beginning of each override, such as ``trainer.epochs=``; of parameters, those of the file's parts."""
    from cuelight.config import Config

    sections = {key: getattr(field.annotation, "model_fields", {}) for key, field in Config.model_fields.items()}
    nested = [f"{section}.{key}=" for section, fields in sections.items() for key in fields]
    parameters = _parameters(getattr(parsed_args, "config", None) or getattr(parsed_args, "run", None) or "")
    return [*nested, *parameters, *(f"{key}=" for key, fields in sections.items() if not fields)]


def _parameters(config: str) -> list[str]:
    from contextlib import suppress
    from pathlib import Path

    from cuelight.config.loading import read_document
    from cuelight.config.resolving import parts_of
    from cuelight.errors import CuelightError
    from cuelight.registry.manifest import part_of

    file = Path(config) / "config.yaml" if Path(config).is_dir() else Path(config)
    tree: dict[str, Any] = {}
    with suppress(CuelightError):
        tree = read_document(file).tree
    trainer = tree.get("trainer")
    tree["trainer"] = {"optimizer": {}, **(trainer if isinstance(trainer, dict) else {})}
    keys = []
    for kind, part, path in parts_of(tree):
        with suppress(KeyError):  # a part of one's own
            keys += [f"{path}.params.{name}=" for name in part_of(kind, part["name"])["parameters"]]
    return keys


def task_names(**_: Any) -> list[str]:
    """Return the tasks that have a starter file."""
    from cuelight.cli.init import starters

    return list(starters())


def callback_names(**_: Any) -> list[str]:
    """Return the names of the callbacks."""
    from cuelight.registry.builtins import CALLBACKS

    return list(CALLBACKS)
