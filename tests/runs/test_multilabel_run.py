"""Labels from a configuration to what is shipped: every step with the same weights and the same thresholds."""

import csv
import json
import shutil

import numpy as np
import pytest
from torchvision.transforms.v2.functional import to_pil_image

from cuelight.data import DigitLabels, MultiLabelFolder
from cuelight.prediction import find_images, predict, write_explanations, write_predictions
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.report import write_report
from cuelight.runs.run import Run
from support.comparing import same
from support.experiments import last

pytestmark = pytest.mark.slow

SCENES = {"size": 32, "train_scenes": 48, "val_scenes": 24, "test_scenes": 16}
HEAT_MAPS = {"target_layer": "auto", "task": "multilabel", "class_idx": "label"}


def experiment(**trainer):
    settings = {
        "epochs": 3,
        "batch_size": 8,
        "accelerator": "cpu",
        "devices": 1,
        "log_every_n_steps": 1,
        "optimizer": {"name": "AdamW", "params": {"lr": 0.01}},
        "callbacks": [
            {"name": "EMACallback", "params": {"decay": 0.9}},
            {"name": "GradCamCallback", "params": HEAT_MAPS},
            {"name": "TestOnTrainEnd"},
            {"name": "ExportOnTrainEnd"},
            {"name": "ArchiveOnTrainEnd"},
        ],
    }
    return {
        "name": "labels",
        "model": {"name": "MultiLabelModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "DigitLabels", "params": SCENES},
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
    folder = tmp_path_factory.mktemp("images")
    data = DigitLabels(size=64, test_scenes=4)
    data.setup("test")
    for number, size in enumerate([(64, 64), (120, 80), (50, 90), (9, 9)]):
        to_pil_image(data.images_of("test")[number][0]).resize(size).save(folder / f"{number}.png")
    return find_images([str(folder)])


def test_the_test_measures_each_class(run) -> None:
    found = json.loads((run.directory / "test" / "results.json").read_text())["test"]
    assert set(found["metrics"]) == {"test/loss", "test/map", "test/f1"}
    assert list(found["class_ap"]) == list(found["class_f1"]) == list(found["thresholds"]) == list("0123456789")
    assert "confusion_matrix" not in found
    assert {path.name for path in (run.directory / "test").glob("*.png")} == {"predictions.png"}
    assert list((run.directory / "gradcam").glob("*.jpg"))
    assert (run.directory / "checkpoints" / "best_map.ckpt").exists()


def test_every_step_has_the_same_weights_and_thresholds(run) -> None:
    assert all(check.ok for check in run.verify())
    tested = json.loads((run.directory / "test" / "results.json").read_text())["test"]["thresholds"]
    shipped = OnnxModel.open(run.directory / "archive" / "labels.tar").metadata.decoding
    assert shipped == {"thresholds": list(tested.values())}
    assert len(set(shipped["thresholds"])) > 1


def test_a_file_that_is_decoded_otherwise_is_found(run, tmp_path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run.directory, copied)
    changed = Run.load(copied, {"model.params.threshold": 0.995})
    changed.export()
    changed.archive()
    wrong = [check for check in Run.load(copied).verify() if not check.ok]
    assert sorted(check.subject for check in wrong) == ["archive/labels.tar", "export/labels.onnx"]
    assert all(check.detail.startswith("decoded with thresholds 0.995, but tested with 0.") for check in wrong)


def test_checkpoint_onnx_and_archive_predict_the_same_labels(run, files) -> None:
    models = [
        run.network(),
        OnnxModel.open(run.directory / "export" / "labels.onnx"),
        OnnxModel.open(run.directory / "archive" / "labels.tar"),
    ]
    first, *others = (list(predict(model, files, batch_size=2)) for model in models)
    assert sum(len(one.result.present) for one in first)
    for other in others:
        for ours, theirs in zip(first, other, strict=True):
            ordered = [sorted(one.result.labels, key=lambda label: label.index) for one in (ours, theirs)]
            scores = [[label.score for label in one] for one in ordered]
            np.testing.assert_allclose(*scores, atol=1e-4)
            assert [label.threshold for label in ordered[0]] == [label.threshold for label in ordered[1]]


def test_predictions_can_be_read_as_labels(run, files, tmp_path) -> None:
    found = list(predict(run.network(), files))
    write_predictions(found, tmp_path)
    details = json.loads((tmp_path / "predictions.json").read_text())
    assert [len(one["classes"]) for one in details] == [10] * 4
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["labels"].split("|") if row["labels"] else [] for row in rows] == [one["labels"] for one in details]
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 4
    data = MultiLabelFolder(tmp_path, annotations="predictions.csv", val_split=0.25, test_split=0)
    assert set(data.class_names) == {label for one in details for label in one["labels"]}


def test_heat_maps_of_images_are_drawn(run, files, tmp_path) -> None:
    assert write_explanations(run.explain(files, class_idx="7"), tmp_path) == 4


def test_the_report_shows_all(run) -> None:
    page = write_report(run.directory).read_text()
    for text in ("test/predictions.png", "threshold", "AP", "F1"):
        assert text in page


def test_resumed_in_the_middle_of_an_epoch_equals_uninterrupted(tmp_path) -> None:
    settings = {"scheduler": None, "callbacks": [{"name": "EMACallback", "params": {"decay": 0.9}}]}
    whole = Run.from_yaml(experiment(epochs=2, **settings))
    whole.train(tmp_path / "whole")
    stopped = Run.from_yaml(experiment(epochs=2, max_steps=8, **settings))
    stopped.train(tmp_path / "stopped")
    resumed = Run.load(stopped.directory, ["trainer.max_steps=null"])
    resumed.resume()
    first, second = last(resumed.directory), last(whole.directory)
    for key in ("state_dict", "optimizer_states", "global_step", "epoch", "callback_metrics", "thresholds"):
        assert same(first[key], second[key]), key
