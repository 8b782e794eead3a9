"""The entry point: arguments, errors and exit codes of all commands."""

from __future__ import annotations

import argparse
import io
import logging
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from cuelight.cli.parser import build_parser
from cuelight.errors import CuelightError, TrainingInterrupted, UsageError
from cuelight.utils.background import is_busy
from cuelight.utils.signals import NotedSignal

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
    with NotedSignal() as noted:
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
    try:
        # The module of a command is imported only when the command runs.
        return int(pkgutil.resolve_name(f"cuelight.cli.{parsed.command}")(parsed))
    except TrainingInterrupted as error:
        return EXIT_SIGNAL + error.signal_number
    except CuelightError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; ``key=value`` may also follow an option, which argparse alone does not accept."""
    parser = build_parser()
    parsed, rest = parser.parse_known_args(arguments)
    unknown = [text for text in rest if text.startswith("-") or "=" not in text or "overrides" not in parsed]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        parsed.overrides = [*parsed.overrides, *rest]
    return parsed
