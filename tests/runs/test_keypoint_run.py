"""Keypoints from a configuration to what is shipped: every step with the same weights and the same points."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
from torchvision.transforms.v2.functional import to_pil_image

from cuelight.data import DigitKeypoints
from cuelight.data.skeleton import Skeleton
from cuelight.errors import ConfigError, DataError
from cuelight.prediction import find_images, predict, write_explanations, write_predictions
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.report import write_report
from cuelight.runs.run import Run
from cuelight.tasks.keypoints.decode import decode_keypoints
from support.comparing import same
from support.depthai_reader import read_with_depthai
from support.experiments import last

pytestmark = pytest.mark.slow

SCENES = {"size": 64, "train_scenes": 48, "val_scenes": 16, "test_scenes": 16}
HEAT_MAPS = {"target_layer": "auto", "task": "keypoints", "class_idx": "label"}
SMALL = {"backbone": "test_resnet", "strides": [8, 16], "neck_channels": 16, "head_depth": 1, "sigmas": 0.2}
NAMES = ["left_top", "right_top", "right_bottom", "left_bottom"]

READER = """
def answer_of(result):
    return [[[p.imageCoordinates.x, p.imageCoordinates.y, p.confidence] for p in d.getKeypoints()]
            for d in result.detections]

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
        "name": "points",
        "model": {"name": "KeypointModel", "params": SMALL},
        "data": {"name": "DigitKeypoints", "params": SCENES},
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
    data = DigitKeypoints(size=64, test_scenes=3)
    data.setup("test")
    for number, size in enumerate([(64, 64), (120, 80), (50, 90)]):
        image, _ = data.images_of("test")[number]
        to_pil_image(image).resize(size).save(folder / f"{number}.png")
    return find_images([str(folder)])


def test_the_test_measures_boxes_and_points(run) -> None:
    found = json.loads((run.directory / "test" / "results.json").read_text())["test"]
    assert {f"test/{name}" for name in ("map", "oks_map", "oks_map_50", "oks_map_75", "pck")} < set(found["metrics"])
    assert list(found["point_pck"]) == list(found["point_error"]) == NAMES
    pictures = {path.name for path in (run.directory / "test").glob("*.png")}
    assert pictures == {"confusion_matrix_test.png", "predictions.png", "precision_recall.png"}
    assert list((run.directory / "gradcam").glob("*.jpg"))
    assert (run.directory / "checkpoints" / "best_oks_map.ckpt").exists()


def test_every_step_has_the_same_weights_and_points(run) -> None:
    assert all(check.ok for check in run.verify())
    shipped = OnnxModel.open(run.directory / "archive" / "points.tar").metadata.decoding
    assert shipped["keypoint_label_names"] == NAMES
    assert shipped["skeleton_edges"] == [[0, 1], [1, 2], [2, 3], [3, 0]]


@pytest.mark.skipif(find_spec("depthai") is None, reason="depthai is not installed")
def test_the_archive_decoded_by_depthai_has_the_predicted_points(run) -> None:
    archive = run.directory / "archive" / "points.tar"
    model = OnnxModel.open(archive)
    how = model.metadata.decoding
    data = DigitKeypoints(**SCENES)
    data.setup("test")
    jobs, ours = [], []
    for images, _ in data.test_dataloader():
        outputs = model(images)
        ours += decode_keypoints(outputs, ["digit"], how)
        for place in range(len(images)):
            maps = zip(outputs.items(), how["strides"] * 2, strict=True)  # on the host, the reader takes maps
            job = {
                name: values[place].reshape(-1, 64 // stride, 64 // stride).tolist() for (name, values), stride in maps
            }
            jobs.append((archive, {"size": [64, 64], "outputs": job}))
    answers = read_with_depthai(READER, *jobs)
    assert sum(map(len, answers))
    for answer, one in zip(answers, ours, strict=True):
        theirs = np.array(answer[: how["max_det"]]).reshape(-1, 4, 3) * [64, 64, 1]
        np.testing.assert_allclose(theirs, one.found.points, atol=0.1)


def test_checkpoint_onnx_and_archive_predict_the_same_points(run, files) -> None:
    models = [
        run.network(),
        OnnxModel.open(run.directory / "export" / "points.onnx"),
        OnnxModel.open(run.directory / "archive" / "points.tar"),
    ]
    for model in models:  # the model is hardly trained
        model.metadata.decoding.update(conf_threshold=0.02)
    first, *others = (list(predict(model, files, batch_size=2)) for model in models)
    assert sum(len(one.result.found) for one in first)
    for other in others:
        for ours, theirs in zip(first, other, strict=True):
            np.testing.assert_allclose(ours.result.found.points, theirs.result.found.points, atol=0.05)


def test_predictions_become_files(run, files, tmp_path) -> None:
    network = run.network()
    network.metadata.decoding.update(conf_threshold=0.02)
    write_predictions(list(predict(network, files)), tmp_path, coco=True)
    details = json.loads((tmp_path / "predictions.json").read_text())
    coco = json.loads((tmp_path / "predictions_coco.json").read_text())
    objects = [entry for image in details for entry in image["objects"]]
    assert [point["name"] for point in objects[0]["points"]] == NAMES
    assert [entry["keypoints"][0] for entry in coco] == [entry["points"][0]["x"] for entry in objects]
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 3


def test_heat_maps_of_images_are_drawn(run, files, tmp_path) -> None:
    assert write_explanations(run.explain(files, class_idx="digit"), tmp_path) == 3


def test_the_report_shows_all(run) -> None:
    page = write_report(run.directory).read_text()
    for text in ("test/predictions.png", "PCK", "mean distance in pixels", "left_top"):
        assert text in page


def test_data_with_other_points_is_refused(run, monkeypatch) -> None:
    monkeypatch.setattr(DigitKeypoints, "skeleton", Skeleton(tuple(NAMES[::-1])))
    with pytest.raises(DataError, match=r"points of the data are left_bottom, .* those of the model are left_top"):
        Run.load(run.directory).test()
    with pytest.raises(ConfigError, match=r"the data has the points left_bottom, .* was trained with left_top"):
        Run.load(run.directory, ["trainer.epochs=4"]).resume()


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
