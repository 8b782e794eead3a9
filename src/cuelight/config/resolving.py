"""From what a user wrote to a checked configuration, with one report of everything that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cuelight.config.checking import check
from cuelight.config.environment import fill_in, hide
from cuelight.config.loading import Document, Location, printable, read_document
from cuelight.config.overrides import COMMAND_LINE, OVERRIDE, apply_overrides
from cuelight.config.plain import to_plain
from cuelight.config.schema import Config
from cuelight.errors import ConfigError, Problem

PartCheck = Callable[[str, Mapping[str, Any], str], list[Problem]]
"""Checks one part: kind (model, data, optimizer, scheduler, callback), entry, dot path -> what is wrong."""

WholeCheck = Callable[[Config], list[Problem]]
"""Checks a configuration whose parts are all right -> what cannot work together."""


def load_config(
    source: Path | str | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    check_part: PartCheck | None = None,
    check_whole: WholeCheck | None = None,
) -> Config:
    """Read and check a configuration.

    Args:
        source: A YAML file, or a mapping such as :meth:`Config.to_dict` gives.
        overrides: Texts such as ``trainer.epochs=3``, or a mapping such as ``{"trainer.epochs": 3}``.
        check_part: Checks the name and the parameters of each part; only their form is checked if left out.
        check_whole: Checks whether parts that are right each by itself can work together.

    Returns:
        The configuration, complete with defaults, environment variables filled in.

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
        for kind, entry, path in _parts(tree):
            problems += [problem for problem in check_part(kind, entry, path) if problem.path not in broken]
    if check_whole is not None and config is not None and not problems:
        problems = check_whole(config)
    if problems or config is None:
        raise ConfigError(_located(problems, document, tree))
    config._templates.update(templates)  # noqa: SLF001 - ours, filled in once
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
    """The name of a file as the name of a run, which is a folder."""
    name = "".join(letter if letter.isalnum() or letter in " ._+=-" else "-" for letter in file.stem)
    return name.lstrip(" .+=-").rstrip(" .") or "run"


def _parts(tree: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The parts whose form is right: kind, entry and path."""
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
    ]
    for kind, entry, path in candidates:
        if not isinstance(entry, dict):
            continue
        complete = {"name": "AdamW", **entry} if kind == "optimizer" else entry
        if isinstance(complete.get("name"), str) and isinstance(complete.get("params") or {}, dict):
            yield kind, {**complete, "params": complete.get("params") or {}}, path


def _located(problems: list[Problem], document: Document, tree: dict[str, Any]) -> list[Problem]:
    """The problems with their places, each once, in the order of the file; overrides come last.

    Whoever wrote a message, no value of an environment variable in ``tree`` gets any further than here.
    """

    def locate(problem: Problem) -> tuple[Location, Problem]:
        location = Location(problem.where)
        if not problem.where:
            location = document.locate(tuple(problem.path.split(".")) if problem.path else ())
        message, path = printable(hide(problem.message, tree)), printable(problem.path)
        return location, Problem(message, path, str(location))

    located = dict.fromkeys(locate(problem) for problem in problems)
    ranked = sorted(located, key=lambda pair: (pair[0].source in {COMMAND_LINE, OVERRIDE}, pair[0].line))
    return [problem for _, problem in ranked]
