"""The entry point: arguments, errors and exit codes of all commands."""

from __future__ import annotations

import argparse
import errno
import io
import os
import pkgutil
import re
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from cuelight.cli.completion import complete
from cuelight.cli.parser import build_parser
from cuelight.cli.screen import secrets_hidden
from cuelight.errors import CuelightError, TrainingInterrupted, UsageError, did_you_mean
from cuelight.utils.background import is_busy
from cuelight.utils.signals import NotedSignal

_LONG_WORD = re.compile(r"\S{1000,}")  # no path, and no name that a person wrote
EXIT_FAILED = 1
EXIT_USAGE = 2  # as argparse does
EXIT_SIGNAL = 128  # as shells do: 130 after SIGINT, 143 after SIGTERM


def run() -> NoReturn:
    """Run the command of this process, and end it.

    Python would wait for the threads that boto3 uploads with, for minutes if a server does not answer. What was not
    sent stays in the run directory.
    """
    code = main()
    if is_busy():
        import logging

        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; by default, that of the command line of this process.

    The exit code is 0, 1 after a failure, 2 after a mistake in the arguments or the configuration, and 130 or 143 after
    SIGINT or SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the name of a file need not be text in its encoding
    with NotedSignal() as noted, secrets_hidden():
        try:
            code = _run(arguments)
        except (KeyboardInterrupt, SystemExit) as ending:
            if noted.number is None and isinstance(ending, SystemExit):
                raise
            code = EXIT_SIGNAL + (noted.number or signal.SIGINT)
        # Code that caught the signal's exception may have continued, or returned a code of its own.
        return code if noted.number is None else EXIT_SIGNAL + noted.number


def _run(arguments: Sequence[str] | None) -> int:
    parsed = _parse(arguments)
    from cuelight.cli.check_first import check_first, use_newest_runs  # a help text need not wait for these
    from cuelight.cli.nothing_to_do import nothing_to_do

    try:
        use_newest_runs(parsed)
        if nothing_to_do(parsed):
            return 0
        check_first(parsed)
        # The module of a command is imported only when the command runs.
        return int(pkgutil.resolve_name(f"cuelight.cli.{parsed.command}")(parsed))
    except TrainingInterrupted as error:
        return EXIT_SIGNAL + error.signal_number
    except CuelightError as error:
        sys.stderr.write(f"error: {_LONG_WORD.sub(_cut, str(error))}\n")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - outside of this function, Python would print it with its secrets
        if not isinstance(error, OSError) or error.errno != errno.ENAMETOOLONG:
            import traceback

            sys.stderr.write(traceback.format_exc())
            return EXIT_FAILED
        sys.stderr.write(f"error: {_LONG_WORD.sub(_cut, str(error.filename))}: this name is too long for a file.\n")
        return EXIT_USAGE


def _cut(word: re.Match[str]) -> str:
    return f"{word[0][:60]}... ({len(word[0])} characters)"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; ``key=value`` may also follow an option, which argparse alone does not accept."""
    parser = build_parser()
    complete(parser)
    if not (sys.argv[1:] if arguments is None else arguments):
        parser.print_help()
        sys.exit(EXIT_USAGE)
    parsed, rest = parser.parse_known_args(arguments)
    unknown = [text for text in rest if text.startswith("-") or "=" not in text or "overrides" not in parsed]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{_meant(unknown)}")
    if rest:
        parsed.overrides = [*parsed.overrides, *rest]
    return parsed


def _meant(unknown: Sequence[str]) -> str:
    """Return the override that an option such as ``--epochs 3`` stands for."""
    from cuelight.config import ExporterConfig, TrainerConfig  # a mistake may wait for pydantic

    option, _, value = unknown[0].partition("=")
    keys = {key: f"trainer.{key}" for key in TrainerConfig.model_fields} | {"lr": "trainer.optimizer.params.lr"}
    keys |= {key: f"exporter.{key}" for key in ExporterConfig.model_fields if key not in keys}
    word = option.lstrip("-").replace("-", "_")
    near = word if word in keys else did_you_mean(word, keys)[len(' Did you mean "') : -len('"?')]
    if not option.startswith("--") or not near:
        return ""
    return f". Did you mean {keys[near]}={value or next((text for text in unknown[1:] if text[:1] != '-'), '...')}?"
