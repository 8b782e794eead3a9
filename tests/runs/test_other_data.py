"""Other data is measured by the names of its classes, and its results never replace those of the run."""

import json
import shutil

import pytest
from PIL import Image

from cuelight.data.datasets.digits import load_digits
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.errors import DataError
from cuelight.runs.run import Run

CLASSES = {"ant": 4, "bee": 1, "cat": 7}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("photos")
    images, labels = load_digits()
    for name, digit in CLASSES.items():
        (made / name).mkdir()
        for number, image in enumerate(images[labels == digit][:30]):
            Image.fromarray(image[0]).convert("RGB").save(made / name / f"{number}.png")
    return made


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    tree = {
        "name": "insects",
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "ImageFolder", "params": {"path": str(folder), "size": 32}},
        "trainer": {"epochs": 20, "batch_size": 8, "num_workers": 0, "accelerator": "cpu"},
    }
    run = Run.from_yaml(tree)
    run.train(tmp_path_factory.mktemp("runs"))
    return run


def results_in(directory):
    return json.loads((directory / "test" / "results.json").read_text())["test"]


def kept(directory):
    """All that a measurement could replace."""
    files = [*(directory / "test").glob("*.*"), directory / "outcomes.json"]
    return {file.name: file.read_bytes() for file in files}


def test_results_say_which_data_was_measured(trained, folder) -> None:
    data = results_in(trained.directory)["data"]
    assert data["path"] == str(folder)
    assert data["images"] == sum(map(sum, results_in(trained.directory)["confusion_matrix"]))
    assert data["split_off"] is True
    assert data["fingerprint"].startswith("sha256:")


def test_a_part_of_the_classes_is_measured_by_name(trained, folder, tmp_path) -> None:
    for name in ("bee", "cat"):
        for split in ("train", "test"):
            shutil.copytree(folder / name, tmp_path / "part" / split / name)
    before = kept(trained.directory)
    whole = results_in(trained.directory)["metrics"]["test/accuracy"]
    result = Run.load(trained.directory, {"data.params.path": str(tmp_path / "part")}).test()
    assert whole > 0.8
    assert result.metrics["test/accuracy"] > 0.8
    assert kept(trained.directory) == before
    [other] = (trained.directory / "test").glob("other-*/results.json")
    measured = json.loads(other.read_text())["test"]
    assert measured["class_names"] == list(CLASSES)
    assert [sum(row) for row in measured["confusion_matrix"]] == [0, 30, 30]
    assert measured["data"]["images"] == 60
    assert measured["data"]["split_off"] is False
    assert all(check.ok for check in trained.verify())


def test_an_unknown_class_is_refused(trained, folder, tmp_path) -> None:
    renamed = tmp_path / "renamed"
    shutil.copytree(folder, renamed)
    (renamed / "ant").rename(renamed / "zebra")
    before = kept(trained.directory)
    with pytest.raises(DataError, match=r'the model does not know "zebra"\. Its classes: ant, bee, cat\.'):
        Run.load(trained.directory, {"data.params.path": str(renamed)}).test()
    assert kept(trained.directory) == before


@pytest.mark.parametrize("split", ["test", "val"])
def test_other_weights_have_results_of_their_own(trained, split) -> None:
    before = kept(trained.directory)
    Run.load(trained.directory).test(trained.directory / "checkpoints" / "last.ckpt", split)
    assert kept(trained.directory) == before


def test_the_same_measurement_again_is_that_of_the_run(trained) -> None:
    before = results_in(trained.directory)
    Run.load(trained.directory).test()
    assert results_in(trained.directory) == before


def test_data_without_names_to_map_has_to_have_the_same_classes(trained, monkeypatch) -> None:
    monkeypatch.setattr("cuelight.train_end.testing.LabelsByName", int)
    monkeypatch.setattr(ImageFolder, "class_names", ["cat", "bee", "ant"])
    with pytest.raises(DataError, match=r"are cat, bee, ant, but those of the model are ant, bee, cat"):
        Run.load(trained.directory).test()


def test_the_results_of_a_run_that_tests_by_the_loss_are_those_of_that_checkpoint(trained, tmp_path) -> None:
    directory = tmp_path / "run"
    shutil.copytree(trained.directory, directory)
    by_loss = {"name": "TestOnTrainEnd", "params": {"preferred_checkpoint": "loss"}}
    run = Run.load(directory, {"trainer.callbacks": [by_loss]})
    losses = directory / "checkpoints" / "best_loss.ckpt"
    before = kept(directory)
    run.test(directory / "checkpoints" / "best_accuracy.ckpt")
    assert kept(directory) == before
    run.test(losses)
    assert results_in(directory)["checkpoint"] == "checkpoints/best_loss.ckpt"
