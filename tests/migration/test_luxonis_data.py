"""Loaders and preprocessing of luxonis-train."""

from pathlib import Path

import pytest

from cuelight.migration.luxonis_train import convert_luxonis_train
from cuelight.runs.run import Run


def convert(model, loader=None, preprocessing=None, **params):
    return convert_luxonis_train(
        {
            "model": {"predefined_model": {"name": model, "params": params}},
            "loader": {"params": loader or {}},
            "trainer": {"preprocessing": preprocessing or {}},
        }
    )


def verdicts(converted):
    return {row.key: row.verdict for row in converted.rows}


@pytest.mark.parametrize(
    ("model", "kind", "name", "verdict"),
    [
        ("KeypointDetectionModel", "yolov8keypoints", "YoloKeypoints", "kept"),
        ("KeypointDetectionModel", "native", "CocoKeypoints", "approximated"),
        ("DetectionModel", "yolov6", "YoloDetection", "kept"),
        ("DetectionModel", "yolov8boundingbox", "YoloDetection", "kept"),
        ("DetectionModel", "VOC", "VOCDetection", "kept"),
        ("DetectionModel", "COCO", "CocoDetection", "kept"),
        ("SegmentationModel", "voc", "MaskFolder", "approximated"),
        ("SegmentationModel", "segmask", "MaskFolder", "approximated"),
        ("ClassificationModel", "clsdir", "ImageFolder", "kept"),
    ],
)
def test_the_type_of_a_dataset_becomes_a_class(model, kind, name, verdict) -> None:
    converted = convert(model, {"dataset_dir": "photos", "dataset_type": kind})
    assert converted.config["data"]["name"] == name
    assert converted.config["data"]["params"]["path"] == "photos"
    assert verdicts(converted)["loader.params.dataset_type"] == verdict


@pytest.mark.parametrize(
    ("model", "name"),
    [("ClassificationModel", "LuxonisClassification"), ("DetectionModel", "LuxonisDetection")],
)
@pytest.mark.parametrize("team", [None, "fruit"])
def test_a_dataset_that_is_only_named_is_one_of_luxonis_ml(model, name, team) -> None:
    loader = {"dataset_name": "parking_lot", "dataset_type": "coco", "bucket_storage": "local"}
    converted = convert(model, loader | ({"team_id": team} if team else {}), task_name="cars")
    folder = Path.home() / "luxonis_ml" / "data" / (team or "offline") / "datasets" / "parking_lot"
    assert converted.config["data"]["name"] == name
    params = converted.config["data"]["params"]
    assert (params["path"], params["task_name"]) == (str(folder), "cars")
    found = verdicts(converted)
    assert found["loader.params.dataset_name"] == "approximated"
    assert found["loader.params.dataset_type"] == "dropped"
    assert Run.from_yaml({**converted.config, "tracker": {}}).config.data.name == name


def test_a_name_alone_is_not_enough_for_masks() -> None:
    converted = convert("SegmentationModel", {"dataset_name": "parking_lot"})
    assert converted.config["data"]["name"] == "MaskFolder"
    assert verdicts(converted)["loader.params.dataset_name"] == "approximated"


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
PLAIN = ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
HALF = [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("normalize", "augmented", "expected", "verdict"),
    [
        ({}, None, IMAGENET, None),
        ({"params": {"mean": HALF}}, None, (HALF, IMAGENET[1]), "kept"),
        ({"active": False, "params": {"mean": HALF}}, None, PLAIN, "dropped"),
        ({"params": {"mean": [0.1, 0.1, 0.1]}}, {"std": HALF}, (IMAGENET[0], HALF), "dropped"),
        ({"active": False}, {"mean": HALF}, PLAIN, None),
        ({"active": True}, {"mean": HALF, "std": HALF}, (HALF, HALF), None),
    ],
)
def test_normalization(normalize, augmented, expected, verdict) -> None:
    augmentations = [] if augmented is None else [{"name": "Normalize", "params": augmented}]
    preprocessing = {"normalize": normalize, "augmentations": augmentations}
    converted = convert("ClassificationModel", preprocessing=preprocessing)
    params = converted.config["data"]["params"]
    assert (params["mean"], params["std"]) == expected
    found = verdicts(converted)
    assert found.get("trainer.preprocessing.normalize.params.mean") == verdict
    if augmented:
        is_used = normalize.get("active", True)
        assert found["trainer.preprocessing.augmentations.0"] == ("kept" if is_used else "dropped")
