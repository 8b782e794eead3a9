"""Calls of the ``git`` program that cannot wait, prompt, page, fetch, or run code of the repository."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cuelight.errors import CuelightError

LONGEST = 5.0
_TO_END = 1.0  # seconds
_NO = 1  # exit code; an error has 128

_SETTINGS = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.quotePath=true", "diff.noprefix=false",
    "diff.mnemonicPrefix=false", "diff.orderFile=/dev/null",
)  # fmt: skip
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
# Git sets these for a hook, and they may name another repository.
_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_EXTERNAL_DIFF"})


class GitError(CuelightError):
    """Git failed; the message is the reason."""


class NoRepositoryError(GitError):
    """The folder is in no repository."""


class Git:
    """Git in one folder; ``seconds`` limits all calls together."""

    def __init__(self, folder: Path, seconds: float = LONGEST) -> None:
        self.folder = folder
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def ask(self, *arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
        """Return the output of a command that only reads. Raises ``GitError`` if it fails or takes too long."""
        code, output, complaint = self._run(arguments, environment)
        if code:
            raise _failure(complaint)
        return output

    def line(self, *arguments: str) -> str:
        """Return the line that a command prints; empty if git says no: exit code 1 without an error message."""
        code, output, complaint = self._run(arguments)
        if code and (code != _NO or complaint):
            raise _failure(complaint)
        return output.decode(errors="replace").strip()

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[int, bytes, str]:
        """Run a command; return its exit code, its output, and the first line of its errors that is not a warning."""
        variables = {key: value for key, value in os.environ.items() if key not in _ELSEWHERE}
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        try:
            process = subprocess.Popen(  # noqa: S603 - a fixed program with arguments of ours
                ["git", "--no-pager", *settings, *arguments],  # noqa: S607 - the git of the user
                cwd=self.folder,
                env={**variables, **_ENVIRONMENT, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            reason = "git is not installed" if isinstance(error, FileNotFoundError) else str(error.strerror)
            raise GitError(reason) from error
        try:
            output, complaint = process.communicate(timeout=max(0.0, self._end - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise GitError(f"git took longer than {self.seconds:g} seconds") from error
        finally:
            _end(process)
        lines = complaint.decode(errors="replace").strip().splitlines()
        return process.returncode, output, next((line for line in lines if not line.startswith("warning: ")), "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill git and its children, unless it has been waited for.

    Children may outlive git and keep its output open. One that left the process group, or cannot be killed, is not
    waited for.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_TO_END)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _failure(complaint: str) -> GitError:
    reason = complaint.removeprefix("fatal: ")
    if "not a git repository" in reason:
        return NoRepositoryError("no git repository")
    if "dubious ownership" in reason:
        return GitError("another user owns the repository; git config --global --add safe.directory allows it")
    return GitError(reason or "git failed without an error message")
