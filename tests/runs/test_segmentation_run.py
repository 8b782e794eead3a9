"""Segmentation from a configuration to what is shipped: every step with the same weights and the same masks."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from cuelight.data.datasets.digits import load_digits
from cuelight.prediction import find_images, predict, write_predictions
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.report import write_report
from cuelight.runs.run import Run
from support.experiments import same_training

pytestmark = pytest.mark.slow

CLASS_NAMES = ["background", *map(str, range(10))]
SCENES = {"size": 64, "train_scenes": 40, "val_scenes": 20, "test_scenes": 20}
SMALL = {"encoder": "test_resnet", "architecture_params": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]}}


def experiment(**trainer):
    settings = {
        "epochs": 3,
        "batch_size": 8,
        "accelerator": "cpu",
        "devices": 1,
        "log_every_n_steps": 1,
        "optimizer": {"name": "AdamW", "params": {"lr": 0.01}},
        "scheduler": {"name": "OneCycleLR", "interval": "step", "params": {"max_lr": 0.02}},
        "callbacks": [
            {"name": "EMACallback", "params": {"decay": 0.9}},
            {"name": "TestOnTrainEnd"},
            {"name": "ExportOnTrainEnd"},
            {"name": "ArchiveOnTrainEnd"},
        ],
    }
    return {
        "name": "ink",
        "model": {"name": "SegmentationModel", "params": SMALL | {"loss": {"cross_entropy": 1.0, "dice": 0.5}}},
        "data": {"name": "DigitScenes", "params": SCENES},
        "trainer": settings | trainer,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = Run.from_yaml(experiment())
    result = run.train(tmp_path_factory.mktemp("runs"))
    assert not result.failed
    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Images of digits, two of them at sizes of their own."""
    folder = tmp_path_factory.mktemp("images")
    images, _ = load_digits()
    for number, size in enumerate([(28, 28), (60, 40), (33, 90)]):
        Image.fromarray(images[1000 * number, 0]).resize(size).save(folder / f"{number}.png")
    return find_images([str(folder)])


def test_the_test_measures_pixels(run) -> None:
    found = json.loads((run.directory / "test" / "results.json").read_text())["test"]
    assert set(found["metrics"]) == {f"test/{name}" for name in ("loss", "mean_iou", "pixel_accuracy", "dice")}
    assert found["confusion_unit"] == "pixels"
    counts = np.array(found["confusion_matrix"])
    assert counts.sum() == 20 * 64 * 64
    ious = [iou for iou in found["class_iou"].values() if iou is not None]
    assert list(found["class_iou"]) == CLASS_NAMES
    assert found["metrics"]["test/mean_iou"] == pytest.approx(np.mean(ious), rel=1e-5)
    pictures = {path.name for path in (run.directory / "test").glob("*.png")}
    assert pictures == {"confusion_matrix_test.png", "predictions.png"}


def test_trackers_get_the_pictures_too(run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.directory), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    assert {"test/confusion_matrix", "test/predictions"} <= set(events.Tags()["images"])
    assert "test/class_iou/text_summary" in events.Tags()["tensors"]


def test_every_step_has_the_same_weights(run) -> None:
    assert all(check.ok for check in run.verify())


def test_checkpoint_onnx_and_archive_predict_the_same_masks(run, files) -> None:
    models = [
        run.network(),
        OnnxModel.open(run.directory / "export" / "ink.onnx"),
        OnnxModel.open(run.directory / "archive" / "ink.tar"),
    ]
    first, *others = (list(predict(model, files, batch_size=2)) for model in models)
    for prediction, path in zip(first, files, strict=True):
        with Image.open(path) as image:
            assert prediction.result.mask.shape == (image.height, image.width)
    for other in others:
        for ours, theirs in zip(first, other, strict=True):
            assert (ours.result.mask != theirs.result.mask).mean() < 1e-3
            np.testing.assert_allclose(ours.result.scores, theirs.result.scores, atol=1e-3)


def test_predictions_become_files(run, files, tmp_path) -> None:
    predictions = list(predict(run.network(), files))
    write_predictions(predictions, tmp_path)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    shares = [f"share of {name}" for name in CLASS_NAMES]
    assert list(rows[0]) == ["path", "classes", "score", *shares, "mask", "picture"]
    for row, prediction in zip(rows, predictions, strict=True):
        assert sum(float(row[share]) for share in shares) == pytest.approx(1, abs=1e-4)
        with Image.open(tmp_path / row["mask"]) as mask:
            np.testing.assert_array_equal(np.asarray(mask), prediction.result.mask)
        assert Image.open(tmp_path / row["picture"]).format == "PNG"
    write_predictions(predictions, tmp_path / "plain", pictures=None)
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == [
        "masks", "predictions.csv", "predictions.json",
    ]  # fmt: skip


def test_the_report_shows_all(run) -> None:
    page = write_report(run.directory).read_text()
    assert "pixels right; in the cells, percent of the true class" in page
    assert '<th scope="col" class="figure">IoU</th>' in page
    assert "test/predictions.png" in page


def test_resumed_equals_uninterrupted(tmp_path) -> None:
    settings = {"scheduler": None, "callbacks": [{"name": "EMACallback", "params": {"decay": 0.9}}]}
    whole = Run.from_yaml(experiment(**settings))
    whole.train(tmp_path / "whole")
    stopped = Run.from_yaml(experiment(epochs=2, **settings))
    stopped.train(tmp_path / "stopped")
    resumed = Run.load(stopped.directory, ["trainer.epochs=3"])
    resumed.resume()
    assert same_training(resumed.directory, whole.directory)
