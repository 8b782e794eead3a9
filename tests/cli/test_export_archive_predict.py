"""Export, archive and predict as commands: of a run, of a checkpoint alone, and with equal answers from each file."""

import csv
import json
import shutil

import onnx
import pytest
from PIL import Image

from cuelight.data.datasets.digits import load_digits
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.weights.fingerprint import fingerprint_of_file
from support.experiments import only_run, write_yaml
from support.processes import cuelight

CLASSES = ("four", "one", "seven")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on class folders, which are gone when it is over."""
    folder = tmp_path_factory.mktemp("shipped")
    images, labels = load_digits()
    for name, digit in zip(CLASSES, (4, 1, 7), strict=True):
        for number, image in enumerate(images[labels == digit][:30]):
            path = folder / "images" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).convert("RGB").save(path)
    tree = {
        "name": "shipped",
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "ImageFolder", "params": {"path": "images", "size": 32}},
        "trainer": {"epochs": 2, "batch_size": 16, "num_workers": 0, "accelerator": "cpu"},
    }
    done = cuelight("train", write_yaml(folder / "shipped.yaml", tree), folder=folder)
    assert done.code == 0, done.err
    shutil.move(folder / "images", folder / "moved")
    return only_run(folder / "runs"), folder / "moved"


def rows(folder):
    with (folder / "predictions.csv").open(newline="") as file:
        return [(row["path"], row["class"], float(row["score"])) for row in csv.DictReader(file)]


def test_export_and_archive_of_a_run_whose_data_is_not_here(trained, tmp_path) -> None:
    directory, _ = trained
    copied = shutil.copytree(directory, tmp_path / "run")
    exported = cuelight("export", copied, folder=tmp_path)
    assert exported.code == 0, exported.err
    assert exported.out.strip() == "run/export/shipped.onnx"
    archived = cuelight("archive", copied, folder=tmp_path)
    assert archived.code == 0, archived.err
    assert archived.out.strip() == "run/archive/shipped.tar"
    for file in (copied / "export" / "shipped.onnx", copied / "archive" / "shipped.tar"):
        description = OnnxModel.open(file).metadata
        assert description.class_names == CLASSES
        assert description.task == "classification"
        assert description.preprocessing.size == (32, 32)
        assert description.fingerprint == fingerprint_of_file(copied / "checkpoints" / "best_accuracy.ckpt")


def test_options_on_the_command_line(trained, tmp_path) -> None:
    directory, _ = trained
    done = cuelight(
        "export", directory, "exporter.opset=15", "exporter.dynamic_batch=true", "--output", "here/model.onnx",
        "--prefer", "loss", "--quiet", folder=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out == ""
    model = onnx.load(tmp_path / "here" / "model.onnx")
    assert model.opset_import[0].version == 15
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    described = OnnxModel.open(tmp_path / "here" / "model.onnx").metadata
    assert described.checkpoint == "best_loss.ckpt"


@pytest.mark.parametrize("inside", ["false", "true"])
def test_equal_answers_from_run_checkpoint_onnx_and_archive(trained, tmp_path, inside) -> None:
    directory, images = trained
    checkpoint = shutil.copy(directory / "checkpoints" / "best_accuracy.ckpt", tmp_path / "alone.ckpt")
    option = f"exporter.preprocessing={inside}"
    assert cuelight("export", checkpoint, option, "--output", "model.onnx", folder=tmp_path).code == 0
    assert cuelight("archive", checkpoint, option, "--output", "model.tar", folder=tmp_path).code == 0
    answers = []
    for model in (directory, checkpoint, "model.onnx", "model.tar"):
        done = cuelight("predict", model, images, "--output", f"of-{len(answers)}", folder=tmp_path)
        assert done.code == 0, done.err
        answers.append(rows(tmp_path / f"of-{len(answers)}"))
        assert "and 70 more images" in done.out
    assert len(answers[0]) == 90
    for other in answers[1:]:
        assert [row[:2] for row in other] == [row[:2] for row in answers[0]]
        assert [row[2] for row in other] == pytest.approx([row[2] for row in answers[0]], abs=1e-4)
    assert len(list((tmp_path / "of-0" / "pictures").glob("*.png"))) == 90
    details = json.loads((tmp_path / "of-0" / "predictions.json").read_text())
    right = sum(entry["path"].split("/")[-2] == entry["class"] for entry in details)
    assert right > 45  # of 90: better than by chance, so the names stand for the right outputs


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["export", "nowhere"], "nowhere: there is no such run directory or checkpoint"),
        (["predict", "nowhere", "."], "nowhere: there is no such run directory, checkpoint, ONNX file or NN Archive"),
        (["predict", "{run}", "missing/*.png"], "missing/*.png"),
        (["verify", "{run}/checkpoints/last.ckpt"], "unchanged, sha256"),
        (["archive", "{run}", "exporter.opset=18.5"], "opset"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_shipped_is_said(trained, tmp_path, arguments, text) -> None:
    done = cuelight(*(argument.format(run=trained[0]) for argument in arguments), folder=tmp_path)
    assert text in done.err + done.out
    assert "Traceback" not in done.err
    assert (done.code == 0) == ("verify" in arguments)


def test_test_of_every_view(trained, tmp_path) -> None:
    directory, images = trained
    for view in ("train", "val", "test"):
        done = cuelight("test", directory, "--view", view, f"data.params.path={images}", folder=tmp_path)
        assert done.code == 0, done.err
        assert f"{view}/accuracy" in done.out
        assert len(list((directory / "test").glob(f"other-*/confusion_matrix_{view}.png"))) == 1
