"""Whatever ends a training, the next one goes on from what is on the disk."""

import os
import random
import signal

import pytest
import yaml

from cuelight.weights.reading import load_checkpoint
from support.experiments import OWN_PARTS, experiment, last, metric_rows, only_run, same_training, write_yaml
from support.processes import Command, cuelight, named_pipe

SOURCE = ("--source", OWN_PARTS)


def events_to(path):
    return [{"name": "Events", "params": {"path": str(path)}}]


@pytest.fixture(scope="module")
def uninterrupted(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    file = write_yaml(folder / "tiny.yaml", experiment(digits, callbacks=events_to(folder / "events")))
    assert cuelight("train", file, *SOURCE, folder=folder).code == 0
    return only_run(folder / "runs"), len((folder / "events").read_text().splitlines())


def killed_at(event, *arguments, folder):
    """Kill a command once it has told of so many events; it runs on while the signal is on its way."""
    (folder / "pipe").unlink(missing_ok=True)
    with named_pipe(folder / "pipe") as pipe:
        command = Command(*arguments, *SOURCE, folder=folder)
        command.wait_for_lines(pipe, event)
        command.send(signal.SIGKILL)
        assert command.wait().code == -signal.SIGKILL


def assert_no_file_is_half_written(directory):
    assert yaml.safe_load((directory / "config.yaml").read_text())["name"] == "tiny"
    for checkpoint in directory.rglob("*.ckpt"):
        assert load_checkpoint(checkpoint)["state_dict"]


def resume_to_the_end(directory, folder):
    events = f"trainer.callbacks.0.params.path={folder / 'events'}"
    resumed = cuelight("train", "--resume", directory, events, *SOURCE, folder=folder)
    assert resumed.code == 0, resumed.err
    assert not list(directory.rglob("*.partial"))


def check_killed(event, digits, folder, uninterrupted):
    file = write_yaml(folder / "tiny.yaml", experiment(digits, callbacks=events_to(folder / "pipe")))
    killed_at(event, "train", file, folder=folder)
    directory = only_run(folder / "runs")
    assert_no_file_is_half_written(directory)
    resume_to_the_end(directory, folder)
    assert same_training(directory, uninterrupted)
    steps = [row["step"] for row in metric_rows(directory) if row["train/loss"]]
    assert steps == [str(step) for step in range(15)]


MOMENTS = random.Random(20).sample(range(1, 1000), 20)


@pytest.mark.parametrize("moment", MOMENTS[:3])
def test_killed_and_resumed_equals_uninterrupted(moment, digits, tmp_path, uninterrupted) -> None:
    directory, events = uninterrupted
    check_killed(1 + moment * (events - 1) // 1000, digits, tmp_path, directory)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS[3:])
def test_killed_at_more_moments(moment, digits, tmp_path, uninterrupted) -> None:
    directory, events = uninterrupted
    check_killed(1 + moment * (events - 1) // 1000, digits, tmp_path, directory)


def test_killed_again_and_again(digits, tmp_path, uninterrupted) -> None:
    """Each time at some event of a later epoch, the last time while last.ckpt is being saved."""
    file = write_yaml(tmp_path / "tiny.yaml", experiment(digits, callbacks=events_to(tmp_path / "pipe")))
    directory, _ = uninterrupted
    killed_at(40, "train", file, folder=tmp_path)
    run = only_run(tmp_path / "runs")
    for event in (3, 45, 20):
        killed_at(event, "train", "--resume", run, folder=tmp_path)
        assert_no_file_is_half_written(run)
    resume_to_the_end(run, tmp_path)
    assert same_training(run, directory)


def test_killed_behind_a_test_keeps_its_results(digits, tmp_path, uninterrupted) -> None:
    dies = {"path": str(tmp_path / "events"), "signal_at": uninterrupted[1], "signal_name": "SIGKILL"}
    callbacks = [{"name": "TestOnTrainEnd"}, {"name": "Events", "params": dies}]
    file = write_yaml(tmp_path / "tiny.yaml", experiment(digits, callbacks=callbacks))
    assert cuelight("train", file, *SOURCE, folder=tmp_path).code == -signal.SIGKILL
    run = only_run(tmp_path / "runs")
    tested = [row for row in metric_rows(run) if row["test/loss"]]
    assert len(tested) == 1
    assert cuelight("train", "--resume", run, *SOURCE, folder=tmp_path).code == 0
    assert [row for row in metric_rows(run) if row["test/loss"]] == tested


@pytest.fixture
def trained(digits, tmp_path):
    """A run of one epoch."""
    file = write_yaml(tmp_path / "tiny.yaml", experiment(digits, epochs=1))
    assert cuelight("train", file, *SOURCE, folder=tmp_path).code == 0
    return only_run(tmp_path / "runs")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_killed_in_the_middle_of_writing_a_checkpoint(trained, tmp_path, share) -> None:
    """The system kills a process that writes more into a file than it may: at an exact byte."""
    checkpoints = trained / "checkpoints"
    before = contents(checkpoints)
    size = int(min(map(len, before.values())) * share)
    longer = ("train", "--resume", trained, "trainer.epochs=2", *SOURCE)
    killed = cuelight(*longer, folder=tmp_path, largest_file=size, dies_of_it=True)
    assert killed.code == -signal.SIGXFSZ, killed.err
    after = contents(checkpoints)
    (partial,) = after.keys() - before.keys()
    assert len(after.pop(partial)) == size
    assert after == before
    assert cuelight(*longer, folder=tmp_path).code == 0
    assert contents(checkpoints).keys() == before.keys()


class TestFullDisk:
    """A disk that is full while a checkpoint is saved; a limit on the size of files fails in the same place."""

    @pytest.mark.parametrize("largest", [0, 20_000])
    def test_error_names_file_and_reason_and_the_last_checkpoint_is_intact(self, trained, tmp_path, largest) -> None:
        checkpoints = trained / "checkpoints"
        before = {path: path.read_bytes() for path in checkpoints.iterdir()}
        size = max(len(content) for content in before.values())
        assert size > 20_000
        options = ["tracker.csv=false", "tracker.tensorboard=false"] if largest == 0 else []
        failed = cuelight(
            "train", "--resume", trained, "trainer.epochs=2", *options, *SOURCE,
            folder=tmp_path, largest_file=max(largest, 4096),
        )  # fmt: skip
        assert failed.code == 1
        assert "Traceback" not in failed.err
        message = failed.err.strip().splitlines()[-1]
        assert message.startswith(f"error: {checkpoints}/")
        assert "could not be written: File too large" in message
        assert "unchanged" in message
        assert {path: path.read_bytes() for path in checkpoints.iterdir()} == before

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
    def test_really_full_disk(self, digits, tmp_path) -> None:
        import subprocess

        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("this machine allows no mount")
        try:
            self.fill(digits, tmp_path, disk)
        finally:
            subprocess.run(["umount", disk], check=True)

    def fill(self, digits, folder, disk):
        tree = experiment(digits, callbacks=[{"name": "FillDisk", "params": {"folder": str(disk), "epoch": 1}}])
        file = write_yaml(folder / "tiny.yaml", tree)
        failed = cuelight("train", file, "--output", disk, *SOURCE, folder=folder)
        assert failed.code == 1
        assert "No space left on device" in failed.err
        assert "Traceback" not in failed.err
        directory = only_run(disk)
        assert last(directory)["global_step"] == 5
        assert not list(disk.rglob("*.partial"))
        (disk / "filling").unlink()
        assert cuelight("train", "--resume", directory, "trainer.callbacks=[]", *SOURCE, folder=folder).code == 0
