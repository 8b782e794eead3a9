"""The state of a git repository: commit, branch and uncommitted changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuelight.provenance.git_command import LONGEST, Git, GitError
from cuelight.utils.redaction import redacted_text

# Untracked files that belong to the diff, because they are code; data and files of runs are not.
_CODE = ("*.py", "*.pyx", "*.c", "*.cc", "*.cpp", "*.cu", "*.cuh", "*.h", "*.hpp", "*.rs")
_LARGEST_NEW_FILE = 1024**2
# Independent of the user's own diff settings.
_DIFF = (
    "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--full-index", "--unified=3",
    "--inter-hunk-context=0", "--diff-algorithm=myers", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short",
)  # fmt: skip


@dataclass(frozen=True)
class Repository:
    """The state of a git repository.

    Args:
        commit: The hash of the commit; ``None`` if there is none yet.
        branch: The branch; ``None`` for a detached head.
        remote: The URL of ``origin``, or of the first remote; ``None`` if there is none.
        diff: Uncommitted changes and new code files; empty if there are none, ``None`` if git failed.
        why_no_diff: Why git failed.
    """

    commit: str | None
    branch: str | None
    remote: str | None
    diff: bytes | None
    why_no_diff: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return this as plain types, without credentials, and with the SHA-256 of the diff in place of it."""
        if self.diff is None:
            changes: dict[str, Any] = {"dirty": f"not known: {self.why_no_diff}"}
        else:
            digest = f"sha256:{hashlib.sha256(self.diff).hexdigest()}" if self.diff else "none"
            changes = {"dirty": bool(self.diff), "diff": digest}
        return {
            "commit": self.commit or "none: nothing is committed yet",
            "branch": redacted_text(self.branch) if self.branch else "none: detached head",
            **changes,
            "remote": redacted_text(self.remote) if self.remote else "none",
        }


def read_repository(folder: Path, seconds: float = LONGEST) -> Repository:
    """Return the state of the repository that a folder is in, without writing to it.

    Args:
        folder: The folder.
        seconds: The time limit for all calls of git.

    Raises:
        NoRepositoryError: If the folder is in no repository.
        GitError: If git is not installed, refuses, fails, or takes too long.
    """
    git = Git(folder, seconds)
    top = Path(os.fsdecode(git.ask("rev-parse", "--show-toplevel")).rstrip("\n"))
    git.folder = top
    commit = git.line("rev-parse", "--verify", "--quiet", "HEAD") or None
    branch = git.line("symbolic-ref", "--short", "--quiet", "HEAD") or None
    lines = git.line("config", "--get-regexp", r"^remote\..*\.url$").splitlines()
    urls = {key: url for key, _, url in (line.partition(" ") for line in lines)}
    remote = urls.get("remote.origin.url") or next(iter(urls.values()), None)
    if commit is None:
        return Repository(None, branch, remote, None, "nothing is committed yet")
    try:
        return Repository(commit, branch, remote, _diff(git, top))
    except GitError as error:  # in a large repository, the diff may take too long
        return Repository(commit, branch, remote, None, str(error))


def tracks(file: Path) -> bool:
    """Return whether git tracks a file. One in a virtual environment inside a repository is not tracked."""
    if not any((folder / ".git").exists() for folder in file.resolve().parents):
        return False
    return bool(Git(file.resolve().parent).line("ls-files", "--", file.name))


def _diff(git: Git, top: Path) -> bytes:
    """Return the uncommitted changes; a copy of the index lets git include new files."""
    listed = git.ask("ls-files", "-z", "--others", "--exclude-standard", "--", *_CODE)
    new = [name for name in map(os.fsdecode, listed.split(b"\0")) if name and _is_small(top / name)]
    if not new:
        return git.ask(*_DIFF, "HEAD")
    index, objects = (
        top / os.fsdecode(git.ask("rev-parse", "--git-path", name)).rstrip("\n") for name in ("index", "objects")
    )
    with tempfile.TemporaryDirectory(prefix="cuelight-") as folder:
        copy = Path(folder, "index")
        if index.exists():
            shutil.copy2(index, copy)  # git compares the time of the index with those of files
        names = Path(folder, "names")
        names.write_bytes(b"\0".join(map(os.fsencode, new)))
        environment = {
            "GIT_INDEX_FILE": str(copy),
            "GIT_OBJECT_DIRECTORY": folder,  # git would write an empty blob
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
            "GIT_LITERAL_PATHSPECS": "1",
        }
        add = ("add", "--intent-to-add", "--pathspec-file-nul", f"--pathspec-from-file={names}")
        git.ask(*add, environment=environment)
        return git.ask(*_DIFF, "HEAD", environment=environment)


def _is_small(file: Path) -> bool:
    try:
        return file.is_file() and file.stat().st_size <= _LARGEST_NEW_FILE
    except OSError as error:
        raise GitError(f"{file.name}: {error.strerror}") from error
