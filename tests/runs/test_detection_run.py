"""Detection from a configuration to what is shipped: every step with the same weights and the same boxes."""

import csv
import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from cuelight.data import DigitBoxes
from cuelight.export.archive.nn_archive import write_archive
from cuelight.prediction import find_images, predict, write_explanations, write_predictions
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.report import write_report
from cuelight.runs.run import Run
from cuelight.tasks.detection.archive import archive_head, output_names
from cuelight.tasks.detection.decode import Candidates, Decoding
from cuelight.tasks.detection.examples import objects_of
from cuelight.tasks.detection.metrics import DetectionMetrics, Found
from cuelight.tasks.detection.model import FLOOR
from cuelight.tasks.detection.outputs import images_of
from support.comparing import same
from support.depthai_reader import read_with_depthai
from support.experiments import last

pytestmark = pytest.mark.slow

SCENES = {"size": 64, "train_scenes": 48, "val_scenes": 16, "test_scenes": 16}
HEAT_MAPS = {"target_layer": "auto", "task": "detection", "class_idx": "label"}
LARGER = 96  # pixels
SMALL = {"backbone": "test_resnet", "strides": [8, 16], "neck_channels": 16, "head_depth": 1}

READER = """
def answer_of(result):
    return [[d.label, d.confidence, d.xmin, d.ymin, d.xmax, d.ymax] for d in result.detections]

def read(archive, job):
    return decode(archive, dai.node.DetectionParser, job["outputs"], job["size"])
"""


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
        "name": "boxes",
        "model": {"name": "DetectionModel", "params": SMALL},
        "data": {"name": "DigitBoxes", "params": SCENES},
        "trainer": settings | trainer,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = Run.from_yaml(experiment())
    result = run.train(tmp_path_factory.mktemp("runs"))
    assert not result.failed
    return run


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A run that has learnt to find digits."""
    scenes = {"size": LARGER, "train_scenes": 1600, "val_scenes": 16, "test_scenes": 32}
    settings = experiment(
        epochs=2,
        gradient_clip_val=10,
        optimizer={"name": "AdamW", "params": {"lr": 0.005}},
        scheduler={"name": "OneCycleLR", "interval": "step", "params": {"max_lr": 0.005}},
        callbacks=[{"name": "TestOnTrainEnd"}, {"name": "ExportOnTrainEnd"}],
    )
    settings["model"]["params"] = SMALL | {"neck_channels": 32, "loss": {"varifocal": 2.5, "giou": 2.5}}
    settings["data"]["params"] = scenes
    run = Run.from_yaml(settings)
    assert not run.train(tmp_path_factory.mktemp("runs")).failed
    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    data = DigitBoxes(size=64, test_scenes=3)
    data.setup("test")
    for number, size in enumerate([(64, 64), (120, 80), (50, 90)]):
        image, _ = data.images_of("test")[number]
        to_pil_image(image).resize(size).save(folder / f"{number}.png")
    return find_images([str(folder)])


def test_the_test_measures_boxes(run) -> None:
    found = json.loads((run.directory / "test" / "results.json").read_text())["test"]
    names = "loss map map_50 map_75 precision recall f1 conf_threshold map_class_nms map_50_class_nms"
    assert set(found["metrics"]) == {f"test/{name}" for name in names.split()}
    assert found["confusion_unit"] == "boxes"
    assert found["class_names"] == [*map(str, range(10)), "background"]
    assert len(found["class_ap"]) == 10
    assert list(found["size_ap"]) == ["small", "medium", "large"]
    pictures = {path.name for path in (run.directory / "test").glob("*.png")}
    assert pictures == {"confusion_matrix_test.png", "predictions.png", "precision_recall.png"}
    assert list((run.directory / "gradcam").glob("*.jpg"))


def test_every_step_has_the_same_weights_and_threshold(run) -> None:
    assert all(check.ok for check in run.verify())
    tested = json.loads((run.directory / "test" / "results.json").read_text())["test"]["metrics"]
    shipped = OnnxModel.open(run.directory / "archive" / "boxes.tar").metadata.decoding
    assert shipped["conf_threshold"] == pytest.approx(tested["test/conf_threshold"])
    assert shipped["strides"] == [8, 16]


def test_a_file_that_is_decoded_otherwise_is_found(run, tmp_path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run.directory, copied)
    changed = Run.load(copied, {"model.params.conf_threshold": 0.9})
    changed.export()
    changed.archive()
    wrong = [check for check in Run.load(copied).verify() if not check.ok]
    assert sorted(check.subject for check in wrong) == ["archive/boxes.tar", "export/boxes.onnx"]
    assert all(check.detail.startswith("decoded with conf_threshold 0.9, but tested with 0.") for check in wrong)


@pytest.mark.skipif(find_spec("depthai") is None, reason="depthai is not installed")
def test_the_archive_decoded_by_depthai_has_the_measured_map(learned, tmp_path) -> None:
    onnx = learned.directory / "export" / "boxes.onnx"
    model, archive = OnnxModel.open(onnx), tmp_path / "all.tar"
    # the boxes that are measured, not only those above the threshold of the archive
    how = Decoding(**model.metadata.decoding | {"conf_threshold": FLOOR})
    names = output_names(len(how.strides))
    write_archive(onnx, archive, name="boxes", heads=[archive_head([*map(str, range(10))], names, vars(how))])
    data = DigitBoxes(size=LARGER, test_scenes=32)
    data.setup("test")
    jobs, objects = [], []
    for images, targets in data.test_dataloader():
        outputs = model(images)
        objects += map(objects_of, images_of(targets))
        jobs += [
            {"size": [LARGER, LARGER], "outputs": {name: outputs[name][place].tolist() for name in names}}
            for place in range(len(images))
        ]
    answers = read_with_depthai(READER, *((archive, job) for job in jobs))
    assert min(map(len, answers)) > 0
    measured = DetectionMetrics(num_classes=10, max_det=how.max_det)
    for answer, truth in zip(answers, objects, strict=True):
        table = np.float32(answer[: how.max_det])  # depthai has no such limit
        found = Candidates(table[:, 2:] * LARGER, table[:, 1], table[:, 0].astype(np.int64))
        measured.update([Found(found, found)], [truth])
    values = measured.compute()
    tested = json.loads((learned.directory / "test" / "results.json").read_text())["test"]["metrics"]
    assert tested["test/map_50"] > 0.3
    for name in ("map", "map_50", "map_75"):
        assert float(values[name]) == pytest.approx(tested[f"test/{name}"], abs=1e-3)


def test_checkpoint_onnx_and_archive_predict_the_same_boxes(run, files) -> None:
    models = [
        run.network(),
        OnnxModel.open(run.directory / "export" / "boxes.onnx"),
        OnnxModel.open(run.directory / "archive" / "boxes.tar"),
    ]
    for model in models:  # the model is hardly trained
        model.metadata.decoding.update(conf_threshold=0.02)
    first, *others = (list(predict(model, files, batch_size=2)) for model in models)
    assert sum(len(one.result.found) for one in first)
    for other in others:
        for ours, theirs in zip(first, other, strict=True):
            assert ours.result.found.labels.tolist() == theirs.result.found.labels.tolist()
            np.testing.assert_allclose(ours.result.found.boxes, theirs.result.found.boxes, atol=0.05)
            np.testing.assert_allclose(ours.result.found.scores, theirs.result.found.scores, atol=1e-3)


def test_predictions_become_files(run, files, tmp_path) -> None:
    network = run.network()
    network.metadata.decoding.update(conf_threshold=0.02)
    predictions = list(predict(network, files))
    write_predictions(predictions, tmp_path, coco=True)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "objects", "classes", "score", "picture"]
    assert [int(row["objects"]) for row in rows] == [len(one.result.found) for one in predictions]
    with Image.open(tmp_path / rows[1]["picture"]) as picture:
        assert picture.size[0] / picture.size[1] == pytest.approx(120 / 80)
    details = json.loads((tmp_path / "predictions.json").read_text())
    coco = json.loads((tmp_path / "predictions_coco.json").read_text())
    boxes = [entry for image in details for entry in image["objects"]]
    assert [entry["score"] for entry in coco] == [entry["score"] for entry in boxes]
    assert {entry["image_id"] for entry in coco} <= {0, 1, 2}
    assert [entry["category_id"] for entry in coco] == [entry["index"] + 1 for entry in boxes]


def test_heat_maps_of_images_are_drawn(run, files, tmp_path) -> None:
    assert write_explanations(run.explain(files, class_idx="3"), tmp_path) == 3


def test_the_report_shows_all(run) -> None:
    page = write_report(run.directory).read_text()
    assert "boxes right" in page
    assert '<th scope="col" class="figure">AP</th>' in page
    for name in ("predictions.png", "precision_recall.png"):
        assert f"test/{name}" in page


def test_resumed_in_the_middle_of_an_epoch_equals_uninterrupted(tmp_path) -> None:
    settings = {"scheduler": None, "callbacks": [{"name": "EMACallback", "params": {"decay": 0.9}}]}
    whole = Run.from_yaml(experiment(epochs=2, **settings))
    whole.train(tmp_path / "whole")
    stopped = Run.from_yaml(experiment(epochs=2, max_steps=8, **settings))
    stopped.train(tmp_path / "stopped")
    resumed = Run.load(stopped.directory, ["trainer.max_steps=null"])
    resumed.resume()
    first, second = last(resumed.directory), last(whole.directory)
    for key in ("state_dict", "optimizer_states", "global_step", "epoch", "callback_metrics", "conf_threshold"):
        assert same(first[key], second[key]), key
