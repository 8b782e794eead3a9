"""``cuelight train``."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.cli.check_first import overrides_of
from cuelight.cli.display import begin, print_hint, print_result, report_failures, source_options
from cuelight.errors import ConfigError, Problem, TrainingInterrupted
from cuelight.runs.run import Run
from cuelight.utils.files import short_path
from cuelight.utils.run_directory import is_first_process


def run(arguments: argparse.Namespace) -> int:
    """Train, or resume a training."""
    console = begin(arguments)
    training = _open(arguments)
    training.display = ProgressDisplay(console) if console else None
    try:
        if arguments.resume:
            result = training.resume(arguments.resume if Path(arguments.resume).is_file() else None)
        else:
            result = training.train(arguments.output)
    except (TrainingInterrupted, KeyboardInterrupt, SystemExit):
        if is_first_process() and training.has_checkpoints():
            run = shlex.quote(short_path(training.directory or Path()))
            sources = source_options(arguments.source)
            print_hint(f"The training state is saved. To resume: cuelight train --resume {run}{sources}")
            if training.best():
                print_hint(f"To stop here, and test and export the model: cuelight finish {run}{sources}")
        raise
    if is_first_process():
        print_result(result, arguments)
    return report_failures(result, arguments.source)


def _open(arguments: argparse.Namespace) -> Run:
    if not arguments.resume:
        if arguments.config is None:
            raise ConfigError([Problem("expected a YAML file, or --resume with a run directory", where="command line")])
        return Run.from_yaml(arguments.config, arguments.overrides)
    return Run.load(arguments.resume, overrides_of(arguments))
