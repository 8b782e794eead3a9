"""The commands as a person meets them: exit codes, messages and what is left on the disk."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.comparing import same
from support.experiments import OWN_PARTS, experiment, last, metric_rows, only_run, same_training, write_yaml
from support.processes import Command, cuelight

SOURCE = ("--source", OWN_PARTS)


@pytest.fixture
def file(digits, tmp_path):
    return write_yaml(tmp_path / "tiny.yaml", experiment(digits, epochs=2, scheduler=None))


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """A finished run and what its command said; tests only look at it, or copy it."""
    folder = tmp_path_factory.mktemp("trained")
    write_yaml(folder / "tiny.yaml", experiment(digits, epochs=2, scheduler=None))
    done = cuelight("train", "tiny.yaml", *SOURCE, folder=folder)
    assert done.code == 0, done.err
    return only_run(folder / "runs"), done


def assert_refused(done, code, *texts):
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    for text in texts:
        assert text in done.err


def test_program_and_module_are_the_same() -> None:
    program = Path(sys.executable).with_name("cuelight")
    version = [
        subprocess.run([*start, "--version"], capture_output=True, text=True, check=True).stdout
        for start in ([program], [sys.executable, "-m", "cuelight"])
    ]
    assert version[0] == version[1]
    assert version[0].startswith("cuelight ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["trian"], 'unknown command "trian". Did you mean "train"?'),
        (["train", "a.yaml", "--epochs", "3"], "unrecognized arguments: --epochs"),
        (["train", "a.yaml", "--epochs=3"], "unrecognized arguments: --epochs=3"),
        (["train"], "expected a YAML file, or --resume"),
        (["train", "missing.yaml"], "missing.yaml: "),
        (["plan", "missing.yaml"], "missing.yaml: "),
        (["train", "--resume", "somewhere", "model.yaml"], "remove this argument"),
        (["test", "somewhere", "--view", "all"], "invalid choice: 'all'"),
        (["test", "nowhere"], "nowhere: there is no such run directory or checkpoint"),
        (["train", "--resume", "nowhere"], "nowhere: there is no such run directory or checkpoint"),
        (["train", "--resume", "."], "this is not a run directory"),
        (["plan", "x.yaml", "--source", "missing.py"], "missing.py: there is no such file"),
        (["callbacks", "EarlyStoping"], 'Did you mean "EarlyStopping"?'),
        (["init", "clasification"], 'Did you mean "classification"?'),
    ],
    ids=" ".join,
)
def test_wrong_use_is_2(arguments, text, tmp_path) -> None:
    assert_refused(cuelight(*arguments, folder=tmp_path), 2, text)


def test_every_problem_of_a_file_is_reported_at_once(digits, tmp_path) -> None:
    tree = experiment(digits, epochs="ten", callbacks=[{"name": "EarlyStoping"}], optimizer={"name": "AdamaX"})
    tree["modle"] = tree.pop("model")
    write_yaml(tmp_path / "wrong.yaml", tree)
    for command in ("plan", "train"):
        done = cuelight(command, "wrong.yaml", *SOURCE, folder=tmp_path)
        assert_refused(done, 2, 'the text "ten"', '"EarlyStopping"', '"Adamax"', '"model"')
        assert len([line for line in done.err.splitlines() if "wrong.yaml:" in line]) >= 4
    assert not (tmp_path / "runs").exists()


def test_model_that_does_not_fit_fails_without_a_traceback(file, tmp_path, trained) -> None:
    directory, _ = trained
    done = cuelight("test", directory, "model.params.wide=4", *SOURCE, folder=tmp_path)
    assert_refused(done, 1, "do not match TinyNet")


def test_changes_of_values_may_stand_between_options(file, tmp_path) -> None:
    arguments = ["trainer.epochs=3", *SOURCE, "trainer.epochs=4", "--quiet", "trainer.seed=5", "trainer.max_steps=1"]
    assert cuelight("train", file, *arguments, folder=tmp_path).code == 0
    trainer = yaml.safe_load((only_run(tmp_path / "runs") / "config.yaml").read_text())["trainer"]
    assert (trainer["epochs"], trainer["seed"], trainer["max_steps"]) == (4, 5, 1)


class TestInit:
    """``cuelight init``."""

    def test_writes_a_file_that_can_be_planned(self, tmp_path) -> None:
        done = cuelight("init", folder=tmp_path)
        assert (done.code, done.out) == (0, "model.yaml\n")
        assert "cuelight train model.yaml" in done.err
        assert json.loads((tmp_path / "cuelight.schema.json").read_text())["title"] == "Cuelight"
        assert yaml.safe_load((tmp_path / "model.yaml").read_text())["trainer"]
        assert cuelight("plan", "model.yaml", folder=tmp_path).code == 0

    def test_existing_file_is_not_replaced(self, tmp_path) -> None:
        (tmp_path / "mine.yaml").write_text("mine")
        assert_refused(cuelight("init", "--file", "mine.yaml", folder=tmp_path), 2, "mine.yaml already exists")
        assert (tmp_path / "mine.yaml").read_text() == "mine"


class TestPlan:
    """``cuelight plan``."""

    def test_shows_callbacks_hooks_and_reads_no_data(self, digits, tmp_path) -> None:
        callbacks = [{"name": "First"}, {"name": "Second", "active": False}, {"name": "Third"}]
        write_yaml(tmp_path / "tiny.yaml", experiment(tmp_path / "no-such-data.npz", callbacks=callbacks))
        done = cuelight("plan", "tiny.yaml", "trainer.epochs=7", *SOURCE, folder=tmp_path)
        assert done.code == 0, done.err
        assert "epochs 7" in done.out
        lines = done.out.splitlines()
        listed = [line.split()[1] for line in lines if line.split() and line.split()[0].isdigit()]
        assert listed[0] == "SeedEachBatch"
        assert listed[-1] == "LastCheckpoint"
        assert listed.index("First") < listed.index("Third")
        assert any("Second" in line and "active: false" in line for line in lines)
        order = next(line for line in lines if line.startswith("on_train_batch_end"))
        assert order.index("First") < order.index("Third") < order.index("LastCheckpoint")
        assert not (tmp_path / "runs").exists()


class TestCallbacks:
    """``cuelight callbacks``."""

    def test_lists_every_name_with_parameters_defaults_and_help(self, tmp_path) -> None:
        done = cuelight("callbacks", *SOURCE, folder=tmp_path)
        assert done.code == 0, done.err
        for name in ("EarlyStopping", "ModelCheckpoint", "Timer", "ModelPruning", "Events"):
            assert f"\n{name}" in f"\n{done.out}"

    def test_shows_one_callback(self, tmp_path) -> None:
        done = cuelight("callbacks", "EarlyStopping", folder=tmp_path)
        row = next(line for line in done.out.splitlines() if "patience" in line)
        assert "3" in row
        assert "int" in row
        assert "ModelCheckpoint" not in done.out


class TestTrain:
    """``cuelight train``."""

    def test_summary_tells_results_files_and_next_commands(self, trained) -> None:
        directory, done = trained
        relative = directory.relative_to(directory.parents[2])
        results = json.loads((directory / "test" / "results.json").read_text())["test"]
        accuracy = results["metrics"]["test/accuracy"]
        assert f"{relative}/checkpoints/best_accuracy.ckpt" in done.out
        assert any(line.split() == ["test/accuracy", f"{accuracy:.4f}"] for line in done.out.splitlines())
        for command in (f"cuelight test {relative}", f"cuelight train --resume {relative}", "tensorboard --logdir"):
            assert command in done.err
        assert results["checkpoint"] == "checkpoints/best_accuracy.ckpt"

    def test_directory_holds_what_is_promised(self, trained) -> None:
        directory, _ = trained
        assert {path.name for path in (directory / "checkpoints").iterdir()} == {
            "best_loss.ckpt", "best_accuracy.ckpt", "last.ckpt",
        }  # fmt: skip
        assert yaml.safe_load((directory / "config.yaml").read_text())["trainer"]["epochs"] == 2
        assert metric_rows(directory)
        assert last(directory)["hyper_parameters"]["model"]["name"] == "TinyNet"

    def test_lines_without_a_terminal(self, trained) -> None:
        _, done = trained
        assert "\x1b" not in done.err + done.out
        assert "\r" not in done.err
        lines = [line for line in done.err.splitlines() if line.startswith("epoch ")]
        assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
        assert all("val/loss" in line and line.endswith(" s") for line in lines)

    def test_quiet_prints_nothing(self, file, tmp_path) -> None:
        done = cuelight("train", file, "--quiet", "trainer.epochs=1", *SOURCE, folder=tmp_path)
        assert (done.code, done.out, done.err) == (0, "", "")
        assert last(only_run(tmp_path / "runs"))

    def test_overrides_and_output(self, file, tmp_path) -> None:
        done = cuelight(
            "train", file, "trainer.max_steps=3", "name=other", "--output", "elsewhere", *SOURCE, folder=tmp_path
        )
        assert done.code == 0, done.err
        directory = only_run(tmp_path / "elsewhere")
        assert directory.parent.name == "other"
        assert last(directory)["global_step"] == 3

    def test_its_own_config_repeats_the_run(self, trained, tmp_path) -> None:
        directory, _ = trained
        done = cuelight("train", directory / "config.yaml", *SOURCE, folder=tmp_path)
        assert done.code == 0, done.err
        again = only_run(tmp_path / "runs")
        assert again != directory
        assert same_training(again, directory)
        assert metric_rows(again) == metric_rows(directory)
        assert (again / "config.yaml").read_text() == (directory / "config.yaml").read_text()

    def test_other_seed_is_another_run(self, file, trained, tmp_path) -> None:
        assert cuelight("train", file, "trainer.seed=4", *SOURCE, folder=tmp_path).code == 0
        assert not same(last(only_run(tmp_path / "runs"))["state_dict"], last(trained[0])["state_dict"])

    def test_two_at_once_do_not_collide(self, file, tmp_path) -> None:
        commands = [Command("train", file, "trainer.epochs=1", *SOURCE, folder=tmp_path) for _ in range(2)]
        assert [command.wait().code for command in commands] == [0, 0]
        directories = [path.parent for path in tmp_path.glob("runs/tiny/*/config.yaml")]
        assert len(directories) == 2
        assert same_training(*directories)


class TestResume:
    """``cuelight train --resume``."""

    @pytest.fixture
    def begun(self, digits, tmp_path):
        write_yaml(tmp_path / "short.yaml", experiment(digits, epochs=1, scheduler=None))
        assert cuelight("train", "short.yaml", *SOURCE, folder=tmp_path).code == 0
        return only_run(tmp_path / "runs")

    @pytest.mark.parametrize("place", ["", "checkpoints/last.ckpt"])
    def test_longer_equals_at_once(self, begun, trained, tmp_path, place) -> None:
        done = cuelight("train", "--resume", begun / place, "trainer.epochs=2", *SOURCE, folder=tmp_path)
        assert done.code == 0, done.err
        assert only_run(tmp_path / "runs") == begun
        assert same_training(begun, trained[0])
        assert yaml.safe_load((begun / "config.yaml").read_text())["trainer"]["epochs"] == 2

    def test_complete_training_is_only_tested_again(self, begun, tmp_path) -> None:
        before = last(begun)["state_dict"]
        done = cuelight("train", "--resume", begun, *SOURCE, folder=tmp_path)
        assert done.code == 0, done.err
        assert same(last(begun)["state_dict"], before)

    def test_hostile_checkpoint_is_refused(self, begun, tmp_path) -> None:
        import torch

        path = begun / "checkpoints" / "last.ckpt"
        torch.save({"state_dict": {}, "extra": Path}, path)
        assert_refused(cuelight("train", "--resume", begun, *SOURCE, folder=tmp_path), 1, f"{path}: not loaded")

    def test_damaged_checkpoint_is_refused(self, begun, tmp_path) -> None:
        path = begun / "checkpoints" / "last.ckpt"
        path.write_bytes(path.read_bytes()[:1000])
        done = cuelight("train", "--resume", begun, *SOURCE, folder=tmp_path)
        assert_refused(done, 1, f"{path}: this checkpoint cannot be read")

    @pytest.mark.parametrize(
        ("entry", "value", "text"),
        [
            ("optimizer_states", [{"state": 3}], "the training cannot be restored from this checkpoint: "),
            ("pytorch-lightning_version", 3, "the training cannot be restored from this checkpoint: "),
            ("hyper_parameters", None, "hyper_parameters: expected a mapping, got NoneType"),
        ],
    )
    def test_checkpoint_with_an_entry_of_another_kind_is_refused(self, begun, tmp_path, entry, value, text) -> None:
        import torch

        path = begun / "checkpoints" / "last.ckpt"
        torch.save(last(begun) | {entry: value}, path)
        done = cuelight("train", "--resume", begun, "trainer.epochs=2", *SOURCE, folder=tmp_path)
        assert_refused(done, 1, f"error: {path}: ", text)


class TestTest:
    """``cuelight test``."""

    def test_run_directory_gives_the_same_result_again(self, trained, tmp_path) -> None:
        directory, before = trained
        done = cuelight("test", directory, *SOURCE, folder=tmp_path)
        assert done.code == 0, done.err
        accuracy = [line for line in before.out.splitlines() if line.startswith("test/accuracy")]
        assert accuracy
        assert accuracy[0].split() in [line.split() for line in done.out.splitlines()]

    def test_checkpoint_and_other_view(self, trained, tmp_path) -> None:
        directory, _ = trained
        path = directory / "checkpoints" / "best_loss.ckpt"
        done = cuelight("test", path, "--view", "val", "--quiet", *SOURCE, folder=tmp_path)
        assert done.code == 0, done.err
        [file] = (directory / "test").glob("other-*/results_val.json")
        results = json.loads(file.read_text())
        assert results["val"]["checkpoint"] == "checkpoints/best_loss.ckpt"
        logged = [float(row["val/loss"]) for row in metric_rows(directory) if row["val/loss"]]
        assert results["val"]["metrics"]["val/loss"] == pytest.approx(min(logged), rel=1e-6)
