"""``cuelight train``."""

from __future__ import annotations

import argparse

from cuelight.cli.display import print_summary, set_up_display
from cuelight.errors import ConfigError, Problem
from cuelight.registry import load_source
from cuelight.run import Run
from cuelight.run_directory import is_first_process


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on with a training.

    Args:
        arguments: The parsed command line.

    Returns:
        The exit code.
    """
    display = set_up_display(arguments.quiet)
    for source in arguments.source:
        load_source(source)
    if arguments.resume:
        overrides = [text for text in (arguments.config, *arguments.overrides) if text is not None]
        _refuse_file(overrides)
        training = Run.load(arguments.resume, overrides)
        training.display = display
        checkpoint = arguments.resume if str(arguments.resume).endswith(".ckpt") else None
        result = training.resume(checkpoint)
    else:
        if arguments.config is None:
            raise ConfigError([Problem("expected a YAML file, or --resume with a run directory", where="command line")])
        training = Run.from_yaml(arguments.config, arguments.overrides)
        training.display = display
        result = training.train(arguments.output)
    if is_first_process() and not arguments.quiet:
        print_summary(result)
    return 0


def _refuse_file(overrides: list[str]) -> None:
    for text in overrides:
        if "=" not in text:
            message = f'got "{text}" beside --resume, which takes its configuration from the run directory; leave it out'
            raise ConfigError([Problem(message, where="command line")])
