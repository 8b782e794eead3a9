"""The folder of a run is made once for all processes, never shared by two runs, and found again."""

import json
import os
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from subprocess import PIPE, Popen

import pytest

from cuelight.errors import CheckpointError
from cuelight.utils.run_directory import (
    find_run_directory,
    is_complete,
    is_first_process,
    make_run_directory,
    newest_run,
    require_nobody_trains,
    training_alone,
)

HOST = socket.gethostname()

MAKE = """
import sys
from pathlib import Path
from cuelight.utils.run_directory import make_run_directory
sys.stdout.write(f"{make_run_directory(Path(sys.argv[1]), 'tiny')}\\n")  # at once: others write between two writes
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No variable of a launcher, and none that a run sets for its own children."""
    for name in (
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
        "SLURM_JOB_ID",
        "SLURM_PROCID",
        "SLURM_NTASKS",
        "TORCHELASTIC_RUN_ID",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUELIGHT_RUN_DIRECTORY", "")
    monkeypatch.delenv("CUELIGHT_RUN_DIRECTORY")


def test_name_is_run_time_and_short_id(tmp_path) -> None:
    directory = make_run_directory(tmp_path / "runs", "tiny")
    assert directory.is_dir()
    assert directory.parent == tmp_path / "runs" / "tiny"
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", directory.name)


def test_path_is_absolute(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    directory = make_run_directory(tmp_path.__class__("runs"), "tiny")
    assert directory.is_absolute()
    assert directory.is_relative_to(tmp_path)


def test_many_in_the_same_second_do_not_collide(tmp_path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make_run_directory(tmp_path, "tiny"), range(200)))
    assert len(set(made)) == 200


def test_processes_that_lightning_starts_use_the_folder_of_the_first(tmp_path, monkeypatch) -> None:
    first = make_run_directory(tmp_path, "tiny")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert make_run_directory(tmp_path, "tiny") == first


def test_a_second_run_of_the_same_process_gets_its_own(tmp_path) -> None:
    assert make_run_directory(tmp_path, "tiny") != make_run_directory(tmp_path, "tiny")


def test_tasks_of_a_slurm_job_share_a_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert make_run_directory(tmp_path, "tiny") == make_run_directory(tmp_path, "tiny")


@pytest.mark.slow
def test_processes_of_torchrun_agree(tmp_path) -> None:
    script = tmp_path / "make.py"
    script.write_text(MAKE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with Popen([*torchrun, script, tmp_path / "runs"], stdout=PIPE, text=True, env=environment) as process:
        printed = process.communicate()[0].split()
    assert process.returncode == 0
    assert len(printed) == 3
    assert len(set(printed)) == 1
    assert len(list((tmp_path / "runs" / "tiny").iterdir())) == 1


@pytest.mark.parametrize("inside", ["", "checkpoints/last.ckpt"])
def test_found_from_itself_and_its_checkpoints(tmp_path, inside) -> None:
    (tmp_path / "checkpoints").mkdir()
    for name in ("checkpoints/last.ckpt", "config.yaml"):
        (tmp_path / name).touch()
    assert find_run_directory(tmp_path / inside) == tmp_path


def test_a_config_of_the_users_above_is_no_run(tmp_path) -> None:
    (tmp_path / "config.yaml").touch()
    inside = tmp_path / "runs"
    inside.mkdir()
    with pytest.raises(CheckpointError, match="this is not a run directory"):
        find_run_directory(inside)
    (inside / "copied.ckpt").touch()
    assert find_run_directory(inside / "copied.ckpt") is None


def test_missing_path_is_named(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: there is no such run directory or checkpoint"):
        find_run_directory(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),  # the first process of a second machine
        ({"LOCAL_RANK": "1"}, False),
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "3", "LOCAL_RANK": "0"}, False),
    ],
    ids=str,
)
def test_first_process(monkeypatch, variables, first) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() is first


@pytest.mark.parametrize(
    ("record", "complete"),
    [('{"status": "complete"}', True), ('{"status": "failed"}', False), ("{", True), (None, True)],
)
def test_a_training_is_complete_unless_its_record_says_otherwise(tmp_path, record, complete) -> None:
    if record is not None:
        (tmp_path / "training.json").write_text(record)
    assert is_complete(tmp_path) == complete


@pytest.mark.parametrize("place", ["training.json", "checkpoints/last.ckpt", "gradcam/epoch_1/x.png"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_in_a_run_directory_is_refused(tmp_path, place, linked) -> None:
    run = tmp_path / "run"
    (run / place).parent.mkdir(parents=True)
    (run / "config.yaml").touch()
    os.mkfifo(tmp_path / "pipe")
    if linked:
        (run / place).symlink_to(tmp_path / "pipe")
    else:
        (tmp_path / "pipe").rename(run / place)
    with pytest.raises(CheckpointError, match=f"{place}: this is a pipe or a device, not a file"):
        find_run_directory(run)


def test_a_link_to_nothing_is_no_pipe(tmp_path) -> None:
    (tmp_path / "config.yaml").touch()
    (tmp_path / "latest").symlink_to("gone")
    assert find_run_directory(tmp_path) == tmp_path


@pytest.mark.parametrize("process", [None, 3, {}, {"host": HOST, "pid": "x"}, {"host": HOST, "pid": 10**30}])
def test_a_damaged_record_of_a_process_is_none_that_trains(tmp_path, process) -> None:
    (tmp_path / "training.json").write_text(json.dumps({"status": "running", "process": process}))
    require_nobody_trains(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "3"])
def test_a_damaged_record_of_a_training_is_none(tmp_path, text) -> None:
    (tmp_path / "training.json").write_text(text)
    require_nobody_trains(tmp_path)
    assert is_complete(tmp_path)


def test_a_training_that_has_not_begun_yet_keeps_others_away(tmp_path) -> None:
    with training_alone(tmp_path), pytest.raises(CheckpointError, match="another process trains or finishes"):
        training_alone(tmp_path).__enter__()
    with training_alone(tmp_path):
        pass


def test_a_run_directory_that_cannot_be_locked(tmp_path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(CheckpointError, match="this run directory cannot be written: Is a directory"):
        training_alone(tmp_path).__enter__()


def test_a_folder_of_runs_means_the_newest_that_can_be_used(tmp_path) -> None:
    for name in ("20260101-100000-aaaa", "20260102-100000-bbbb", "20260103-100000-cccc"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "config.yaml").touch()
    assert newest_run(tmp_path, with_checkpoint=True).name == "20260103-100000-cccc"
    (tmp_path / "20260102-100000-bbbb" / "checkpoints" / "last.ckpt").touch()
    for path in (tmp_path, tmp_path / "latest"):
        assert newest_run(path, with_checkpoint=True).name == "20260102-100000-bbbb"
        assert newest_run(path, with_checkpoint=False).name == "20260103-100000-cccc"
    assert newest_run(tmp_path / "20260102-100000-bbbb", with_checkpoint=True) is None
    assert newest_run(tmp_path / "nothing", with_checkpoint=True) is None


def test_a_path_that_is_no_text_is_refused_before_anything_is_written(tmp_path) -> None:
    folder = tmp_path / os.fsdecode(b"r\xff")
    with pytest.raises(CheckpointError, match="this path is not text in UTF-8"):
        make_run_directory(folder, "tiny")
    assert not folder.exists()
    folder.mkdir()
    (folder / "config.yaml").touch()
    with pytest.raises(CheckpointError, match="this path is not text in UTF-8"):
        find_run_directory(folder)
