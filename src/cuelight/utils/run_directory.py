"""Run directories: create one for all processes, find it again, and let one process at a time train in it."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from cuelight.errors import CheckpointError, CuelightError, NoSuchRunError
from cuelight.utils.files import read_json, remove_partial_files
from cuelight.utils.locks import LockedError, locked
from cuelight.utils.words import is_text

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
TRAINING_FILE = "training.json"
CHECKPOINT_FOLDER = "checkpoints"
LAST_CHECKPOINT = "last.ckpt"
_SHARED_VARIABLE = "CUELIGHT_RUN_DIRECTORY"


def make_run_directory(root: Path, name: str) -> Path:
    """Create ``root/name/<time>-<short id>``, the same for every process of a distributed run.

    Returns its absolute path without ``..`` and links.
    """
    if _SHARED_VARIABLE in os.environ and int(os.environ.get("LOCAL_RANK", "0")) > 0:  # started by Lightning's launcher
        return Path(os.environ[_SHARED_VARIABLE])
    _refuse_other_than_text(root / name)
    try:
        if os.environ.get("TORCHELASTIC_RUN_ID") and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            directory = _agree_under_torchrun(root / name)
        elif "SLURM_JOB_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1:
            directory = root / name / _slurm_name()
            directory.mkdir(parents=True, exist_ok=True)
        else:
            directory = _make_new(root / name)
    except OSError as error:
        raise CheckpointError(
            f"{root / name}: the run directory cannot be created: {error.strerror}. Choose another folder with "
            "--output, or another name."
        ) from error
    directory = directory.resolve()
    os.environ[_SHARED_VARIABLE] = str(directory)  # for the processes that Lightning starts from this one
    return directory


def remove_run_directory(directory: Path, existing: Path | None) -> None:
    """Remove a run directory, and the folders around it that are empty then, up to ``existing`` if it was there."""
    shutil.rmtree(directory, ignore_errors=True)
    for parent in (directory.parent, directory.parent.parent):
        with suppress(OSError):
            if parent != existing:
                parent.rmdir()


def find_run_directory(path: Path) -> Path | None:
    """Return the absolute run directory: the path itself, or the one that the path is a checkpoint of.

    None for a file outside of the ``checkpoints`` folder of a run. Raises CheckpointError for a missing path, or a
    folder that is not a run directory.
    """
    if not path.exists():
        raise NoSuchRunError(f"{path}: there is no such run directory or checkpoint.")
    path = path.resolve()
    _refuse_other_than_text(path)
    if path.is_file():
        if path.parent.name != CHECKPOINT_FOLDER or not (path.parent.parent / CONFIG_FILE).is_file():
            return None
        path = path.parent.parent
    refuse_special_files(path)
    if not (path / CONFIG_FILE).is_file():
        raise NoSuchRunError(
            f"{path}: this is not a run directory: it contains no {CONFIG_FILE}. Expected a folder such as "
            "runs/<name>/<time>-<id>, or a checkpoint."
        )
    return path


def newest_run(path: Path, with_checkpoint: bool) -> Path | None:
    """Return the newest run in a folder of runs, such as ``runs/digits`` or ``runs/digits/latest``.

    With ``with_checkpoint`` it is the newest that has one, if any has. ``None`` if the path is no such folder.
    """
    folder = path.parent if path.name == "latest" and not path.exists() else path
    if not folder.is_dir() or (folder / CONFIG_FILE).exists():
        return None
    runs = sorted(config.parent for config in folder.glob(f"*/{CONFIG_FILE}"))
    trained = [run for run in runs if any((run / CHECKPOINT_FOLDER).glob("*.ckpt"))]
    return next(reversed((with_checkpoint and trained) or runs), None)


def refuse_special_files(directory: Path) -> None:
    """Raise CheckpointError for a pipe or a device anywhere in a run directory: reading it may never end."""
    for parent, _, names in os.walk(directory):
        for file in (Path(parent, name) for name in names):
            with suppress(OSError):  # deleted meanwhile, or a link to nothing
                mode = file.stat().st_mode
                if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                    raise CheckpointError(f"{file}: this is a pipe or a device, not a file. Remove it.")


def _refuse_other_than_text(path: Path) -> None:
    if not is_text(path):
        raise CheckpointError(
            f"{path}: this path is not text in UTF-8, so that PyTorch, ONNX Runtime and TensorBoard cannot open it. "
            "Rename the folder or the file, or choose another one."
        )


def clean_up(directory: Path) -> None:
    """Remove the temporary files that a killed process left in a run directory."""
    for folder in (directory, *(path for path in directory.iterdir() if path.is_dir())):
        remove_partial_files(folder)


def own_process() -> dict[str, Any]:
    """Return ``host``, ``pid`` and ``created`` (a time) of this process; a later process can have the same pid."""
    import psutil  # noqa: PLC0415 - slow, and most commands look at no process

    own = psutil.Process()
    return {"host": socket.gethostname(), "pid": own.pid, "created": own.create_time()}


def still_runs(process: Mapping[str, Any]) -> bool | None:
    """Return whether a process from :func:`own_process` still runs; None if it is on another machine."""
    if process.get("host") != socket.gethostname():
        return None
    import psutil  # noqa: PLC0415 - as above

    try:
        found = psutil.Process(int(process["pid"]))
        killed = found.status() == psutil.STATUS_ZOMBIE  # its parent does not reap it, as in many containers
        return not killed and bool(abs(found.create_time() - float(process["created"])) < 1)
    except (psutil.NoSuchProcess, LookupError, TypeError, ValueError, OverflowError):  # the record may be damaged
        return False


@contextmanager
def training_alone(directory: Path) -> Iterator[None]:
    """Keep other processes from training or finishing in a run directory, from before anything is written in it.

    Raises CheckpointError if one does already, and only warns if that process is on another machine.
    """
    require_nobody_trains(directory)
    with ExitStack() as held:
        try:
            held.enter_context(locked(directory))
        except LockedError as error:
            raise CheckpointError(
                f"{directory}: another process trains or finishes in this run directory. Wait until it ends."
            ) from error
        except OSError as error:
            raise CheckpointError(f"{directory}: this run directory cannot be written: {error.strerror}.") from error
        yield


def require_nobody_trains(directory: Path) -> None:
    """Raise CheckpointError if another process is training in a run directory: both would lose files.

    Only warns if that process is on another machine.
    """
    record = _read_record(directory)
    process = record.get("process")
    if record.get("status") != "running" or not isinstance(process, dict) or process.get("pid") == os.getpid():
        return
    alive = still_runs(process)
    if alive is None:
        logger.warning(
            "%s was last being trained on %s. Make sure that the training there has ended.",
            directory, process.get("host", "another machine"),
        )  # fmt: skip
    if alive:
        raise CheckpointError(
            f"{directory} is being trained by process {process['pid']} since {record.get('began')}. Wait until it "
            f"ends, or stop it with: kill {process['pid']}, which saves its training state."
        )


def is_complete(directory: Path) -> bool:
    """Return whether the training of a run ended by itself; also if there is no record of how it ended."""
    return bool(_read_record(directory).get("status", "complete") == "complete")


def _read_record(directory: Path) -> dict[str, Any]:
    """Return ``training.json``; empty if there is none, or it is damaged: the next training replaces it."""
    try:
        return read_json(directory / TRAINING_FILE, "") or {}
    except CuelightError:
        return {}


def _make_new(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        moment = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        directory = parent / f"{moment}-{secrets.token_hex(2)}"
        with suppress(FileExistsError):  # another run took the same name in the same second: draw again
            directory.mkdir()
            return directory


def _slurm_name() -> str:
    """Return a name that all tasks of a job step share, and no other step or restart of the job."""
    job, step, restarts = (os.environ.get(f"SLURM_{key}", "0") for key in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
    return f"slurm-{job}.{step}" + (f"-{restarts}" if restarts != "0" else "")


def _agree_under_torchrun(parent: Path) -> Path:
    """Let the first process choose, and share its choice in the store of torchrun."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # noqa: PLC0415 - seconds, for torchrun alone

    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    key = f"cuelight/run_directory/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if os.environ["RANK"] == "0":
        store.set(key, str(_make_new(parent)))
    return Path(store.get(key).decode())


def is_first_process() -> bool:
    """Return whether this process has rank 0, before any process group exists."""
    rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID", os.environ.get("LOCAL_RANK", "0")))
    return int(rank) == 0
