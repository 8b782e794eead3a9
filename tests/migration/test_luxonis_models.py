"""Parameters of predefined models of luxonis-train."""

import pytest

from cuelight.migration.luxonis_train import convert_luxonis_train
from cuelight.runs.run import Run

PARAMS = "model.predefined_model.params"


def convert(model, **params):
    return convert_luxonis_train({"model": {"predefined_model": {"name": model, "params": params}}})


def verdict(converted, key):
    return next((row.verdict, row.note) for row in converted.rows if row.key == f"{PARAMS}.{key}")


@pytest.mark.parametrize(
    ("model", "params", "key", "network"),
    [
        ("ClassificationModel", {"backbone": "MobileOne", "backbone_variant": "s2"}, "backbone", "mobileone_s2"),
        ("ClassificationModel", {"backbone": "MobileNetV2"}, "backbone", "mobilenetv2_100"),
        ("ClassificationModel", {"variant": "heavy", "backbone_variant": "34"}, "backbone", "resnet34"),
        ("ClassificationModel", {"backbone": "EfficientNet"}, "backbone", "tf_efficientnet_lite0"),
        ("SegmentationModel", {"backbone": "ResNet", "backbone_variant": 50}, "encoder", "resnet50"),
        ("DetectionModel", {"backbone": "RepVGG", "backbone_variant": "A1"}, "backbone", "repvgg_a1"),
    ],
)
def test_another_backbone_is_kept_if_timm_has_it(model, params, key, network) -> None:
    converted = convert(model, **params)
    assert converted.config["model"]["params"][key] == network
    given = [name for name in ("backbone", "backbone_variant") if name in params]
    assert [verdict(converted, name) for name in given] == [("kept", f"model.params.{key}")] * len(given)
    converted.config["model"]["params"]["pretrained"] = False
    assert Run.from_yaml({**converted.config, "tracker": {}}).plan()


def test_another_backbone_is_dropped_with_a_reason() -> None:
    converted = convert("DetectionModel", backbone="MicroNet", backbone_variant="M1")
    assert converted.config["model"]["params"]["backbone"] == "resnet18"
    for key in ("backbone", "backbone_variant"):
        assert verdict(converted, key) == ("dropped", "the network of the variant is used; set another one of timm.")


@pytest.mark.parametrize(
    ("params", "loss", "word"),
    [
        ({"iou_type": "giou"}, {"varifocal": 1, "giou": 2.5}, "kept"),
        ({"iou_type": "ciou", "class_loss_weight": 2}, {"varifocal": 2, "ciou": 2.5}, "kept"),
        ({"iou_type": "siou", "iou_loss_weight": 5}, {"varifocal": 1, "ciou": 5}, "approximated"),
        ({"iou_type": "none"}, {"varifocal": 1, "giou": 2.5}, "approximated"),
    ],
)
def test_the_loss_of_boxes(params, loss, word) -> None:
    converted = convert("DetectionModel", loss_params=params)
    assert converted.config["model"]["params"]["loss"] == loss
    assert verdict(converted, "loss_params.iou_type")[0] == word


def test_the_loss_of_points_and_of_classes() -> None:
    given = {"sigmas": [0.1, 0.2], "area_factor": 0.6, "regr_kpts_loss_weight": 8, "vis_kpts_loss_weight": 2}
    converted = convert("KeypointDetectionModel", loss_params=given | {"viz_pw": 3})
    params = converted.config["model"]["params"]
    assert (params["sigmas"], params["area_share"]) == ([0.1, 0.2], 0.6)
    assert (params["oks_weight"], params["visibility_weight"]) == (8, 2)
    assert verdict(converted, "loss_params.viz_pw")[0] == "dropped"
    smoothed = convert("ClassificationModel", loss_params={"label_smoothing": 0.1})
    assert smoothed.config["model"]["params"]["label_smoothing"] == 0.1
