"""Errors: a few types under one base, and suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class CuelightError(Exception):
    """Base of all errors that Cuelight raises on purpose.

    The message says what is wrong, where, what was expected, and what to do.
    """


class Problem(NamedTuple):
    """Something in a configuration that cannot work.

    Args:
        message: What is wrong, what was expected, and what to do.
        path: The key path in dot notation, such as ``trainer.callbacks.0.name``; empty for the whole file.
        where: ``file.yaml:12`` or ``command line``; empty if given in Python.
        on_this_machine: Whether only this machine lacks something, such as a GPU or a package. The configuration can
            be planned here, and its run tested, but not trained.
    """

    message: str
    path: str = ""
    where: str = ""
    on_this_machine: bool = False

    def __str__(self) -> str:
        """Return place, key path and message in one line."""
        return _one_line(self.where, self.path, self.message)


class ConfigWarning(NamedTuple):
    """Something in a configuration that works, but perhaps not as intended.

    Args:
        message: What happens, and what to do about it.
        path: The key path in dot notation; empty for the whole file.
        where: ``file.yaml:12`` or ``command line``; empty if given in Python.
    """

    message: str
    path: str = ""
    where: str = ""

    def __str__(self) -> str:
        """Return place, key path and message in one line."""
        return _one_line(self.where, self.path, self.message)


def _one_line(*parts: str) -> str:
    return ": ".join(filter(None, parts))


class UsageError(CuelightError):
    """An argument is wrong, such as the name of something that does not exist: a command ends with exit code 2."""


class ConfigError(UsageError):
    """A configuration cannot be run.

    Args:
        problems: All problems found, not only the first.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        heading = "1 problem in the configuration" if count == 1 else f"{count} problems in the configuration"
        super().__init__("\n".join([f"{heading}:", *(f"  {problem}" for problem in self.problems)]))

    # By default, an exception is unpickled from its text.
    def __reduce__(self) -> tuple[type[ConfigError], tuple[Sequence[Problem]]]:
        return type(self), (self.problems,)


class ParameterError(CuelightError, ValueError):
    """Parameters of a constructor are out of range.

    Args:
        owner: The name of the class.
        messages: The expected and the given value, by parameter name.
    """

    def __init__(self, owner: str, messages: Mapping[str, str]) -> None:
        self.owner = owner
        self.messages = dict(messages)
        super().__init__("\n".join(f"{owner}: {name}: {message}" for name, message in messages.items()))

    def __reduce__(self) -> tuple[type[ParameterError], tuple[str, Mapping[str, str]]]:
        return type(self), (self.owner, self.messages)


class DataError(CuelightError):
    """A dataset cannot be read; the message names the file or folder."""


class CheckpointError(CuelightError):
    """A checkpoint cannot be written, found or trusted."""


class NoSuchRunError(CheckpointError, UsageError):
    """There is no run directory, checkpoint or model file at a path."""


class NoSuchImageError(DataError, UsageError):
    """There is no image at a path."""


class WriteError(CuelightError, OSError):
    """A file cannot be written. Made as an ``OSError``, of its number, the reason and the file."""

    def __str__(self) -> str:
        """Return what cannot be written, and why."""
        return (
            f"{self.filename}: this file cannot be written: {self.strerror}. Correct this, free some space or choose "
            "another place, then try again."
        )


class ExportError(CuelightError):
    """A model cannot be exported, or the exported model gives different outputs."""


class ArchiveError(CuelightError):
    """An archive cannot be written or read, or does not fit the model inside."""


class ExplainError(CuelightError):
    """A prediction cannot be explained as requested; the message lists what is possible."""


class LayerError(ExplainError):
    """The layer does not exist, or its output is not a feature map; the message suggests similar layers."""


class UnknownNameError(ExplainError, UsageError):
    """The model has no class or output of this name or index."""


class UnknownLayerError(LayerError, UsageError):
    """The model has no layer of this name or index."""


class UploadError(CuelightError):
    """A file was not uploaded; it stays queued, and the message says how to send it."""


class TrackerError(CuelightError):
    """A tracker in the configuration cannot be used; the message names it."""


class TrainingInterrupted(CuelightError):
    """Training was stopped by a signal, after its state was saved.

    Args:
        signal_number: The signal, such as ``signal.SIGINT``.
    """

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(f"training was stopped by signal {signal_number}")

    def __reduce__(self) -> tuple[type[TrainingInterrupted], tuple[int]]:
        return type(self), (self.signal_number,)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ``' Did you mean "x"?'`` for the candidate nearest to a word, or an empty text if none is near.

    Examples:
        >>> did_you_mean("EarlyStoping", ["EarlyStopping", "Timer"])
        ' Did you mean "EarlyStopping"?'
        >>> did_you_mean("zzz", ["Timer"])
        ''
    """
    import difflib  # noqa: PLC0415 - a help text need not wait for it

    by_lower_case = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=0.6)
    return f' Did you mean "{by_lower_case[near[0]]}"?' if near else ""
