"""The folder of a run: made once, agreed on by all processes, found again, and trained in by one at a time."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from cuelight.errors import CheckpointError
from cuelight.utils.files import remove_partial_files

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
TRAINING_FILE = "training.json"
CHECKPOINT_FOLDER = "checkpoints"
_SHARED_VARIABLE = "CUELIGHT_RUN_DIRECTORY"


def make_run_directory(root: Path, name: str) -> Path:
    """Make ``root/name/<time>-<short id>``, the same one for every process of a distributed run.

    Args:
        root: The folder of all runs.
        name: The name of the run, from the configuration.

    Returns:
        The absolute path of the new folder.

    Raises:
        CheckpointError: If it cannot be made.
    """
    try:
        return _make(root, name)
    except OSError as error:
        raise CheckpointError(
            f"{root / name}: the run directory cannot be made: {error.strerror}. Choose another folder with --output, "
            "or another name."
        ) from error


def _make(root: Path, name: str) -> Path:
    if _is_child_of_lightning():
        return Path(os.environ[_SHARED_VARIABLE])
    if os.environ.get("TORCHELASTIC_RUN_ID") and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        directory = _agree_under_torchrun(root / name)
    elif "SLURM_JOB_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        directory = root / name / _slurm_name()
        directory.mkdir(parents=True, exist_ok=True)
    else:
        directory = _make_new(root / name)
    directory = directory.absolute()
    os.environ[_SHARED_VARIABLE] = str(directory)  # for the processes that Lightning starts from this one
    return directory


def find_run_directory(path: Path) -> Path | None:
    """Find the run directory that a path stands for.

    Args:
        path: A run directory, or a checkpoint in its ``checkpoints`` folder.

    Returns:
        The absolute path of the folder that holds ``config.yaml``; ``None`` for a file that is in no run directory.

    Raises:
        CheckpointError: If the path does not exist, or is a folder that is no run directory.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: there is no such run directory or checkpoint.")
    path = path.resolve()
    if path.is_file():
        inside = path.parent.name == CHECKPOINT_FOLDER and (path.parent.parent / CONFIG_FILE).is_file()
        return path.parent.parent if inside else None
    if not (path / CONFIG_FILE).is_file():
        raise CheckpointError(
            f"{path}: this is no run directory: there is no {CONFIG_FILE} in it. Expected a folder such as "
            "runs/<name>/<time>-<id>, or a checkpoint."
        )
    return path


def clean_up(directory: Path) -> None:
    """Remove the temporary files that a killed process left in a run.

    Args:
        directory: The run directory.
    """
    for folder in (directory, *(path for path in directory.iterdir() if path.is_dir())):
        remove_partial_files(folder)


def own_process() -> dict[str, Any]:
    """Return which process this is.

    Returns:
        Its ``host``, ``pid``, and when it was ``created``, which tells it from a later one with its number.
    """
    own = psutil.Process()
    return {"host": socket.gethostname(), "pid": own.pid, "created": own.create_time()}


def still_runs(process: Mapping[str, Any]) -> bool | None:
    """Return whether a process is still there.

    Args:
        process: What :func:`own_process` told of it.

    Returns:
        Whether it is; ``None`` if only another machine knows.
    """
    if process.get("host") != socket.gethostname():
        return None
    try:
        found = psutil.Process(int(process["pid"]))
        killed = found.status() == psutil.STATUS_ZOMBIE  # and its parent, as in many containers, does not ask for it
        return not killed and bool(abs(found.create_time() - float(process["created"])) < 1)
    except psutil.NoSuchProcess:
        return False


def require_nobody_trains(directory: Path) -> None:
    """Refuse to write into the directory of a training that goes on in another process: both would lose files.

    Args:
        directory: The run directory.

    Raises:
        CheckpointError: If one does.
    """
    try:
        record = json.loads((directory / TRAINING_FILE).read_text())
        process, running = record["process"], record["status"] == "running"
        alive = still_runs(process) if running and process["pid"] != os.getpid() else False
    except (OSError, ValueError, KeyError, TypeError):
        return  # there is no record, or it does not say
    if alive is None:
        logger.warning(
            "%s was being trained on %s when that last wrote. See to it that it has ended there.",
            directory, process["host"],
        )  # fmt: skip
    if alive:
        raise CheckpointError(
            f"{directory} is being trained at this moment, by process {process['pid']} since {record['began']}. Wait "
            f"for its end, or stop it: kill {process['pid']} saves all that it has learnt."
        )


def _make_new(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        moment = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        directory = parent / f"{moment}-{secrets.token_hex(2)}"
        try:
            directory.mkdir()
        except FileExistsError:
            continue  # another run took the same name in the same second: draw again
        else:
            return directory


def _slurm_name() -> str:
    """What all tasks of one step of a job see alike, and no other step and no second try of the job."""
    job, step, restarts = (os.environ.get(f"SLURM_{key}", "0") for key in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
    return f"slurm-{job}.{step}" + (f"-{restarts}" if restarts != "0" else "")


def _is_child_of_lightning() -> bool:
    """Whether Lightning's launcher started this process from a first one, whose environment it has."""
    return _SHARED_VARIABLE in os.environ and int(os.environ.get("LOCAL_RANK", "0")) > 0


def _agree_under_torchrun(parent: Path) -> Path:
    """Let the first process choose and tell the others, over the store that torchrun itself keeps."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # noqa: PLC0415 - seconds, for torchrun alone

    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    key = f"cuelight/run_directory/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if os.environ["RANK"] == "0":
        store.set(key, str(_make_new(parent)))
    return Path(store.get(key).decode())


def is_first_process() -> bool:
    """Return whether this process is the one that writes for all, before any process group exists."""
    rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID", os.environ.get("LOCAL_RANK", "0")))
    return int(rank) == 0
