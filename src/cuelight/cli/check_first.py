"""Report the mistakes in a configuration before the slow imports of a command."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cuelight.errors import ConfigError, Problem, UsageError

_OF_BOTH = ("layers", "inspect")  # commands whose argument ``config`` is a file or a run
_RUNS = ("run", "resume", "model", "first", "second")  # arguments that may be a run directory


def check_first(arguments: argparse.Namespace) -> None:
    """Check the configuration of a command that has one; show what ``train`` is about to train.

    Raises:
        ConfigError: With every problem that can be found without importing a class of Cuelight.
        NoSuchRunError: There is no such run.
    """
    if "overrides" not in arguments:
        return
    overrides = overrides_of(arguments)
    source = _configuration(arguments)
    if source is None:
        return
    from cuelight.registry import load_source
    from cuelight.runs.before_imports import check_names, summary
    from cuelight.utils.run_directory import is_first_process

    for own in arguments.source:
        load_source(own)
    trains = arguments.command == "train:run"
    try:
        config = check_names(source, overrides, to_train=trains and not arguments.resume)
    except ConfigError as error:
        raise _of_another_program(source) or error from None
    if trains and not arguments.quiet and is_first_process():
        sys.stderr.write(f"{summary(config)}\n")
        sys.stderr.flush()


def _of_another_program(source: Path) -> UsageError | None:
    """Return the error for a file of another program, in which every key is a mistake."""
    from cuelight.config.loading import read_document
    from cuelight.migration.programs import program_of

    try:
        tree = read_document(source).tree
    except ConfigError:
        return None
    program = program_of(tree)
    if program is None:
        return None
    return UsageError(f"{source} is a configuration of {program.name}. Convert it first: cuelight convert {source}")


def use_newest_runs(arguments: argparse.Namespace) -> None:
    """Replace each folder of runs in the arguments by the newest run in it, and say which it is."""
    from cuelight.utils.run_directory import newest_run

    command = arguments.command.partition(":")[0]
    for name in (*_RUNS, *(["config"] if command in _OF_BOTH else [])):
        given = getattr(arguments, name, None)
        anything = command in ("report", "diff")
        if given and (newest := newest_run(Path(given), with_checkpoint=not anything)):
            setattr(arguments, name, str(newest))
            sys.stderr.write(f"{given}: the newest run is {newest.name}\n")


def overrides_of(arguments: argparse.Namespace) -> list[str]:
    """Return the overrides of a command. With ``--resume``, they begin where the file would be."""
    if not getattr(arguments, "resume", None) or arguments.config is None:
        return list(arguments.overrides)
    if "=" not in arguments.config:
        message = (
            f'unexpected "{arguments.config}": --resume uses the configuration of the run directory; remove this '
            "argument"
        )
        raise ConfigError([Problem(message, where="command line")])
    return [arguments.config, *arguments.overrides]


def _configuration(arguments: argparse.Namespace) -> Path | None:
    """Return the YAML file that a command reads; ``None`` if it has none, or it is inside of a checkpoint."""
    from cuelight.utils.run_directory import CONFIG_FILE, find_run_directory

    run = getattr(arguments, "resume", None) or getattr(arguments, "run", None)
    file = "" if run else arguments.config or ""
    if arguments.command.partition(":")[0] in _OF_BOTH and (Path(file).is_dir() or Path(file).suffix == ".ckpt"):
        run = file
    if run:
        directory = find_run_directory(Path(run))
        return directory / CONFIG_FILE if directory else None
    return Path(file) if file else None
