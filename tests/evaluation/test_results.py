"""Where results are kept, and how a confusion matrix looks."""

import json
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from cuelight.errors import CuelightError
from cuelight.evaluation.confusion_matrix import confusion_matrix, draw_confusion_matrix
from cuelight.evaluation.read_results import read_results
from cuelight.evaluation.results import Measurement, results_path, write_results


def test_results_do_not_depend_on_the_working_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for directory, checkpoint, expected in [
        (Path("run"), tmp_path / "run" / "checkpoints" / "last.ckpt", "checkpoints/last.ckpt"),
        (tmp_path / "run", Path("run/checkpoints/last.ckpt"), "checkpoints/last.ckpt"),
        (Path("run"), Path("other.ckpt"), str(tmp_path / "other.ckpt")),
    ]:
        (path,) = write_results(directory, Measurement(checkpoint, "abc", "test", {"test/loss": 1.0}))
        assert json.loads(path.read_text())["test"]["checkpoint"] == expected


def test_views_are_kept_beside_each_other(tmp_path) -> None:
    write_results(tmp_path, Measurement(tmp_path / "a.ckpt", "abc", "test", {"test/loss": 1.0}))
    write_results(tmp_path, Measurement(tmp_path / "b.ckpt", "def", "val", {"val/loss": 2.0}))
    results = read_results(results_path(tmp_path, "test")) | read_results(results_path(tmp_path, "val"))
    assert {view: entry["weights_fingerprint"] for view, entry in results.items()} == {"test": "abc", "val": "def"}
    assert results["val"]["metrics"] == {"val/loss": 2.0}


def test_a_picture_of_an_earlier_measurement_does_not_stay(tmp_path) -> None:
    measured = Measurement(tmp_path / "a.ckpt", "abc", "val", pictures={"predictions": Image.new("RGB", (8, 6))})
    _, picture = write_results(tmp_path, measured)
    assert picture.name == "predictions_val.png"
    assert write_results(tmp_path, replace(measured, pictures={})) == [results_path(tmp_path, "val")]
    assert not picture.exists()


@pytest.mark.parametrize("count", [2, 10, 120])
def test_confusion_matrix_is_drawn_and_kept(tmp_path, count) -> None:
    counts = np.random.default_rng(0).integers(0, 9, (count, count)) + 50 * np.eye(count, dtype=np.int64)
    measured = Measurement(
        tmp_path / "a.ckpt", "abc", "test", confusion=counts, class_names=tuple(f"class {n}" for n in range(count))
    )
    results, picture = write_results(tmp_path, measured)
    assert json.loads(results.read_text())["test"]["confusion_matrix"] == counts.tolist()
    assert picture.name == "confusion_matrix_test.png"
    pixels = np.asarray(Image.open(picture).convert("L"))
    assert min(pixels.shape) > 300
    assert pixels.std() > 10


def test_a_model_may_have_more_classes_than_there_are_names(tmp_path) -> None:
    counts = np.eye(3, dtype=np.int64)
    measured = Measurement(tmp_path / "a.ckpt", "abc", "test", confusion=counts, class_names=("cat", "dog"))
    results, _ = write_results(tmp_path, measured)
    assert json.loads(results.read_text())["test"]["class_names"] == ["cat", "dog", "2"]


def test_pixels_are_written_as_shares_and_tables_by_their_names(tmp_path) -> None:
    counts = np.array([[3_000_000, 1_000_000, 0], [0, 500_000, 0], [0, 0, 0]])
    names = ("background", "cat", "dog")
    measured = Measurement(
        tmp_path / "a.ckpt", "abc", "test", confusion=counts, class_names=names, unit="pixels",
        pictures={"predictions": Image.new("RGB", (5, 4))},
        tables={"class_iou": [["class", "IoU"], ["background", 0.75], ["cat", 0.25], ["dog", None]]},
    )  # fmt: skip
    results, matrix, examples = write_results(tmp_path, measured)
    found = json.loads(results.read_text())["test"]
    assert found["confusion_unit"] == "pixels"
    assert found["class_iou"] == {"background": 0.75, "cat": 0.25, "dog": None}
    assert found["columns"] == {"class_iou": ["class", "IoU"]}
    assert matrix.name == "confusion_matrix_test.png"
    with Image.open(examples) as picture:
        assert picture.size == (5, 4)
    assert examples == tmp_path / "test" / "predictions.png"


@pytest.mark.parametrize(
    ("counts", "text"),
    [([[1, 2], [3, 4]], ["1", "2", "3", "4"]), ([[30_000, 9], [1, 4_000]], ["100.0", "", "", "100.0"])],
)
def test_numbers_of_a_confusion_matrix_fit_into_its_cells(tmp_path, counts, text, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr(Axes, "text", lambda self, x, y, words, **style: drawn.append(words))
    draw_confusion_matrix(np.array(counts), None, tmp_path / "a.png", "pixels")
    assert drawn == text


def test_a_metric_that_is_made_of_a_confusion_matrix_is_none() -> None:
    module = pl.LightningModule()
    module.iou = MulticlassJaccardIndex(2)
    module.iou.update(torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert confusion_matrix(module) is None
    module.matrix = MulticlassConfusionMatrix(2)
    module.matrix.update(torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert confusion_matrix(module).tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '{"test": 3}', '{"test": {"weights_fingerprint": 3}}'])
def test_damaged_results_are_said(tmp_path, text) -> None:
    write_results(tmp_path, Measurement(tmp_path / "a.ckpt", "abc", "test"))[0].write_text(text)
    with pytest.raises(CuelightError, match="is damaged"):
        read_results(results_path(tmp_path, "test"))
