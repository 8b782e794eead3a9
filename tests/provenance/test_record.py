"""The record of a run: complete whatever fails, and what a resume adds to it."""

import sys
from pathlib import Path

import lightning.pytorch as pl
import pynvml
import pytest

from cuelight.provenance import record
from cuelight.provenance.machine import command_name, describe_machine
from cuelight.provenance.own_code import own_folder
from cuelight.provenance.record import collect, for_trackers, last_state, resumed_record
from support.nvml_library import GPU, no_nvml_library, nvml_library

FIRST = {
    "run": {"command": "cuelight", "started": "2026-11-25T10:00:00+00:00", "seed": 3},
    "hyperparameters": {"trainer.epochs": 3},
    "git": {"repository": {"commit": "a" * 40}},
    "packages": {"torch": "2.15.0", "ruamel.yaml": "1.0", "zipp": "3"},
}


def later(**changes):
    return {**FIRST, "run": {**FIRST["run"], "started": "2026-11-25T11:00:00+00:00"}, **changes}


def fail(*arguments):
    raise OSError("no https://ada:hunter2@h")


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ("read_repository", ("git", "repository")), ("describe_package", ("git", "luxonis-ml")),
        ("describe_machine", ("machine",)), ("installed_versions", ("packages",)),
    ],
)  # fmt: skip
def test_part_that_fails_says_so_and_the_others_are_there(part, place, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(record, part, fail)
    found = collect(tmp_path, {}, 3, lambda: {"name": "Data"}).record
    section = found[place[0]][place[1]] if len(place) == 2 else found[place[0]]
    assert section == "not known: no https://REDACTED@h"
    assert found["data"] == {"name": "Data"}
    assert for_trackers(found)["metadata"]["data"] == {"name": "Data"}


def test_data_that_fails_says_so(tmp_path) -> None:
    assert collect(tmp_path, {}, 3, fail).record["data"] == "not known: no https://REDACTED@h"


def test_no_repository(tmp_path) -> None:
    assert "in a git repository" in collect(tmp_path, {}, 3, dict).record["git"]["repository"]


def test_resume_adds_what_changed() -> None:
    now = later(
        packages={"torch": "2.16.0", "ruamel.yaml": "2.0", "new": "1"}, git={"repository": {"commit": "b" * 40}}
    )
    found = resumed_record(FIRST, now, 20)
    assert found == FIRST | {
        "resumed": [
            {
                "time": "2026-11-25T11:00:00+00:00",
                "command": "cuelight",
                "step": 20,
                "changed": {
                    "git.repository.commit": "b" * 40, "packages.torch": "2.16.0", "packages.ruamel.yaml": "2.0",
                    "packages.zipp": "none", "packages.new": "1",
                },
            }
        ]
    }  # fmt: skip


def test_second_resume_is_compared_with_the_first() -> None:
    now = later(hyperparameters={"trainer.epochs": 9})
    found = resumed_record(resumed_record(FIRST, now, 20), now, 40)
    assert [entry["changed"] for entry in found["resumed"]] == [{"hyperparameters.trainer.epochs": 9}, {}]
    assert last_state(found)["hyperparameters.trainer.epochs"] == 9


def test_resume_without_a_change_says_so() -> None:
    assert resumed_record(FIRST, later(), 20)["resumed"][0]["changed"] == {}


def test_trackers_get_hyperparameters_by_their_keys_and_the_main_packages() -> None:
    found = for_trackers(FIRST)
    assert found["trainer.epochs"] == 3
    assert found["metadata"]["packages"] == {"torch": "2.15.0"}
    assert found["metadata"]["git"] == FIRST["git"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["/usr/bin/cuelight", "train", "a.yaml", "model.params.token=hunter2"], "cuelight"),
        (["/lib/cuelight/__main__.py", "train"], "cuelight"),
        (["/home/ada/train.py", "--password", "hunter2"], "train.py"),
        (["/x/ipykernel_launcher.py", "-f", "kernel.json"], "a notebook"),
        (["-c", "hunter2"], "python"),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_command_by_its_name_alone(arguments, name, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert command_name() == name


def test_machine() -> None:
    found = describe_machine()
    assert list(found) == ["python", "platform", "cpu", "cores", "memory_gib", "gpu"]
    assert found["cores"] > 0
    assert found["cpu"]


def test_gpus_are_of_the_machine() -> None:
    with nvml_library(GPU()):
        assert describe_machine()["gpu"]["gpus"][0]["memory_mib"] == 24576


def test_no_driver(monkeypatch) -> None:
    with no_nvml_library(monkeypatch):
        assert describe_machine()["gpu"] == "none: no NVIDIA driver is installed"


def test_driver_that_fails_is_no_missing_driver() -> None:
    with nvml_library(GPU()) as library:
        library.error = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
        found = describe_machine()["gpu"]
    assert found == "not known: the NVIDIA driver does not respond: RM has detected an NVML/RM version mismatch."


def test_folder_of_own_code(tmp_path, monkeypatch) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "my_parts_of_a_test.py").write_text("class Model: pass\n")
    monkeypatch.syspath_prepend(tmp_path / "code")
    from my_parts_of_a_test import Model

    assert own_folder([None, describe_machine, Path(), Model()]) == (tmp_path / "code").resolve()


def test_folder_of_no_own_code_is_the_working_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert own_folder([None, Path(), pl.Callback()]) == tmp_path
