"""Read, override and check a configuration, and report all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cuelight.config.checking import check
from cuelight.config.loading import Document, read_document
from cuelight.config.overrides import apply_overrides
from cuelight.config.plain import to_plain
from cuelight.config.schema import Config
from cuelight.errors import ConfigError, Problem
from cuelight.utils.environment import fill_in

PartCheck = Callable[[str, Mapping[str, Any], str], list[Problem]]
"""Checks one part: kind (model, data, optimizer, scheduler, callback), entry, dot path -> what is wrong."""

WholeCheck = Callable[[Config], list[Problem]]
"""Checks whether the parts of a configuration work together -> what is wrong."""


def load_config(
    source: Path | str | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    check_part: PartCheck | None = None,
    check_class: PartCheck | None = None,
    check_whole: WholeCheck | None = None,
) -> Config:
    """Read and check a configuration.

    Args:
        source: A YAML file, or a mapping such as :meth:`Config.to_dict` returns.
        overrides: Texts such as ``trainer.epochs=3``, or a mapping such as ``{"trainer.epochs": 3}``.
        check_part: Checks the name and the parameters of each part; without it, only their form is checked.
        check_class: Asks the class of each part, if nothing is wrong so far.
        check_whole: Checks whether the parts work together, if nothing was wrong before ``check_class``.

    Returns:
        The configuration with defaults and environment variables filled in.

    Raises:
        ConfigError: With every problem found, each with its file, line and key path, in the order of the file.
    """
    document = _document(source)
    problems = apply_overrides(document, overrides)
    tree, templates, unset = fill_in(document.tree)
    config, unfitting = check(tree)
    broken = {problem.path for problem in unset}
    problems += [*unset, *(problem for problem in unfitting if problem.path not in broken)]
    if check_part is not None:
        problems += [problem for part in parts_of(tree) for problem in check_part(*part) if problem.path not in broken]
    if config is not None:
        config.set_origin(document, templates)
        if not problems:
            problems += [problem for part in parts_of(tree) for problem in check_class(*part)] if check_class else []
            problems += check_whole(config) if check_whole else []
    if problems or config is None:
        raise ConfigError(document.add_places(problems))
    return config


def _document(source: Path | str | Mapping[str, Any]) -> Document:
    if not isinstance(source, Mapping):
        document = read_document(source)
        document.tree.setdefault("name", _name_of(Path(source)))
        return document
    problems: list[Problem] = []
    tree = to_plain(source, problems)
    if problems:
        raise ConfigError(problems)
    return Document(tree)


def _name_of(file: Path) -> str:
    """Return a file's name as a run name, which is also a folder name."""
    name = "".join(letter if letter.isalnum() or letter in " ._+=-" else "-" for letter in file.stem)
    return name.lstrip(" .+=-").rstrip(" .") or "run"


def parts_of(tree: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield kind, entry and path of each well-formed part of a configuration."""
    trainer = tree.get("trainer")
    trainer = trainer if isinstance(trainer, dict) else {}
    callbacks = trainer.get("callbacks")
    candidates = [
        ("model", tree.get("model"), "model"),
        ("data", tree.get("data"), "data"),
        ("optimizer", trainer.get("optimizer"), "trainer.optimizer"),
        ("scheduler", trainer.get("scheduler"), "trainer.scheduler"),
        *(
            ("callback", entry, f"trainer.callbacks.{index}")
            for index, entry in enumerate(callbacks if isinstance(callbacks, list) else ())
        ),
        *_groups(trainer.get("optimizer")),
    ]
    for kind, entry, path in candidates:
        if not isinstance(entry, dict):
            continue
        complete = {"name": "AdamW", **entry} if kind == "optimizer" else entry
        if isinstance(complete.get("name"), str) and isinstance(complete.get("params") or {}, dict):
            yield kind, {**complete, "params": complete.get("params") or {}}, path


def _groups(optimizer: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield each group of parameters as an optimizer of its own, whose parameters are checked alike."""
    groups = optimizer.get("groups") if isinstance(optimizer, dict) else None
    for index, group in enumerate(groups if isinstance(groups, list) else ()):
        if isinstance(group, dict):
            name = optimizer.get("name", "AdamW")
            yield "optimizer", {"name": name, "params": group.get("params")}, f"trainer.optimizer.groups.{index}"
