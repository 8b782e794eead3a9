"""Commands in processes of their own.

They are forked from one process that has imported everything, because that takes longer than a tiny training. What
runs is the same: ``main`` with the arguments, in a process with its own signals, directory and standard streams.
"""

import multiprocessing
import os
import resource
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import torch

_PRELOADED = [
    "cuelight.runs.run",
    "cuelight.cli.train",
    "cuelight.cli.run_commands",
    "cuelight.cli.plan",
    "cuelight.cli.init",
    "cuelight.cli.images",
    "cuelight.cli.report",
    "cuelight.cli.diff",
    "cuelight.callbacks.upload_checkpoint",
    "cuelight.callbacks.archive_on_train_end",
    "luxonis_ml.nn_archive.config",
    "onnxslim",
    "onnxruntime",
    "torch.onnx",
    "matplotlib.backends.backend_agg",
    "cuelight.cli.callbacks",
    "cuelight.tasks.classification.model",
    "cuelight.data.datasets.digits",
    "cuelight.callbacks.lightning.model_checkpoint",
    "tensorboard.compat.tensorflow_stub",
    "torch.utils.tensorboard",
    "timm",
]
_LONGEST_LINE = 100

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_PRELOADED)


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int  # negative: the signal that killed it
    out: str
    err: str


class Command:
    """A running ``cuelight`` command."""

    def __init__(self, *arguments, folder, terminal=None, environment=None, largest_file=None, dies_of_it=False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        number = len(list(self.folder.glob(".out-*")))
        self._files = self.folder / f".out-{number}", self.folder / f".err-{number}"
        streams = [str(file) for file in self._files] if terminal is None else [terminal, terminal]
        for file in self._files:
            file.touch()
        arguments = [str(argument) for argument in arguments]
        options = (arguments, str(self.folder), streams, environment or {}, largest_file, dies_of_it)
        self._process = _context.Process(target=_run, args=options)
        self._process.start()
        self.pid = self._process.pid

    def send(self, number):
        os.kill(self.pid, number)

    def wait(self, seconds=120):
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._fail("hangs")
        return Finished(self._process.exitcode, self._read(0), self._read(1))

    def wait_for_lines(self, pipe, count, seconds=120):
        """Wait until the command has written so many lines into a named pipe."""
        while count > 0:
            ready = wait([pipe, self._process.sentinel], seconds)
            if pipe not in ready:
                self._fail("ended before it told enough" if ready else "hangs")
            count -= os.read(pipe, 1 if count < _LONGEST_LINE else count // _LONGEST_LINE).count(b"\n")

    def _fail(self, what):
        self._process.kill()
        self._process.join()
        raise AssertionError(f"the command {what}\n{self._read(0)}\n{self._read(1)}")

    def _read(self, number):
        return self._files[number].read_text(errors="replace")


@contextmanager
def named_pipe(path):
    """A named pipe, open for reading and writing, so that neither side ever waits for the other to come."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def cuelight(*arguments, folder, **options):
    """Run a command to its end."""
    return Command(*arguments, folder=folder, **options).wait()


def _run(arguments, folder, streams, environment, largest_file, dies_of_it):
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has it switched off
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "CUELIGHT_RUN_DIRECTORY", "FORCE_COLOR", "NO_COLOR", "COLUMNS"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    flags = os.O_WRONLY | os.O_CREAT
    for number, path in enumerate(streams, start=1):
        descriptor = os.open(path, flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    if largest_file is not None:
        # Left alone, the write fails, as on a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if dies_of_it else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    torch.set_num_threads(1)
    from cuelight.cli import main

    sys.exit(main(arguments))
