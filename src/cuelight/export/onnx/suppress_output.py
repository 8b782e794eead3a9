"""Suppression of the exporters' output."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import warnings
from collections.abc import Iterator

_TALKATIVE = ("torch", "onnx", "onnx_ir", "onnxscript", "onnxslim", "onnxruntime")
_STANDARD_OUTPUT, _STANDARD_ERROR = 1, 2


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Suppress warnings, log lines and prints of the exporters within the block.

    Output of other threads is lost too: the C++ parts print to the file descriptors of the process.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        for name in [*_TALKATIVE, *logging.root.manager.loggerDict]:
            if name.split(".")[0] in _TALKATIVE:
                stack.enter_context(_without_lines(logging.getLogger(name)))
        for descriptor in (_STANDARD_OUTPUT, _STANDARD_ERROR):
            stack.enter_context(_without_text(descriptor))
        yield


@contextlib.contextmanager
def _without_lines(logger: logging.Logger) -> Iterator[None]:
    level, disabled, handlers = logger.level, logger.disabled, list(logger.handlers)
    if logger.name in _TALKATIVE:  # for loggers that are made within the block
        logger.setLevel(logging.CRITICAL + 1)
    logger.disabled = True
    try:
        yield
    finally:
        if logger.level != level:
            logger.setLevel(level)
        logger.disabled, logger.handlers[:] = disabled, handlers


@contextlib.contextmanager
def _without_text(descriptor: int) -> Iterator[None]:
    try:
        kept = os.dup(descriptor)
    except OSError:  # closed, so that nothing can be printed
        yield
        return
    library = ctypes.CDLL(None)
    library.fflush(None)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
        yield
    finally:
        library.fflush(None)
        os.dup2(kept, descriptor)
        os.close(nowhere)
        os.close(kept)
