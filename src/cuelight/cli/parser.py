"""The arguments of every command."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable

from cuelight.version import __version__

_OVERRIDES = "changes of single values, such as trainer.epochs=3 or trainer.callbacks.0.params.patience=5"
_EPILOG = """\
first steps:
  cuelight init                 write a starter file
  cuelight plan model.yaml      check it and see what will run
  cuelight train model.yaml     train, and test the best checkpoint
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe all commands.

    Returns:
        A parser whose result has the function to call as ``command``.
    """
    parser = argparse.ArgumentParser(
        prog="cuelight",
        description="One YAML file in, a trained and tested vision model out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cuelight {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_init(commands)
    _add_plan(commands)
    _add_callbacks(commands)
    _add_train(commands)
    _add_test(commands)
    return parser


def _add_init(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "init", "write a commented starter file")
    parser.add_argument("task", nargs="?", default="classification", help="what to learn (default: classification)")
    parser.add_argument("--file", default="model.yaml", help="the file to write (default: model.yaml)")


def _add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "plan", "check a file and show what will run, hook by hook, without reading data")
    parser.add_argument("config", help="the YAML file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)
    _add_source(parser)


def _add_callbacks(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "callbacks", "list the callbacks that a file may name, with their parameters")
    parser.add_argument("names", nargs="*", metavar="NAME", help="show only these")
    _add_source(parser)


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "train", "train a model, or go on with a training that was interrupted")
    parser.add_argument("config", nargs="?", help="the YAML file; not given with --resume")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)
    parser.add_argument("--resume", metavar="RUN", help="go on with this run directory, or from this checkpoint in it")
    parser.add_argument("--output", default="runs", help="the folder of all runs (default: runs)")
    _add_source(parser)
    _add_quiet(parser)


def _add_test(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "test", "measure the best checkpoint of a run, or any checkpoint")
    parser.add_argument("run", help="a run directory or a checkpoint")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)
    parser.add_argument("--view", choices=("test", "val"), default="test", help="the split (default: test)")
    _add_source(parser)
    _add_quiet(parser)


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    parser.set_defaults(command=_lazily(name))
    return parser


def _lazily(name: str) -> Callable[[argparse.Namespace], int]:
    """Import the module of a command only when the command runs."""

    def command(arguments: argparse.Namespace) -> int:
        module = importlib.import_module(f"cuelight.cli.{name}")
        code: int = module.run(arguments)
        return code

    return command


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="FILE.py",
        help="a Python file that registers parts of your own; may be given more than once",
    )


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors and warnings")
