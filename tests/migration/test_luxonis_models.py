"""Parameters of predefined models of luxonis-train."""

import pytest

from cuelight.migration.luxonis_train import convert_luxonis_train
from cuelight.runs.run import Run

PARAMS = "model.predefined_model.params"


def convert(model, trainer=None, **params):
    predefined = {"name": model, "params": params}
    return convert_luxonis_train({"model": {"predefined_model": predefined}, "trainer": trainer or {}})


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
    ("outer", "inner", "network", "dropped"),
    [
        ("light", "heavy", "resnet50", True),
        ("heavy", None, "resnet50", False),
        ("heavy", "default", "resnet18", True),
    ],
)
def test_the_variant_in_params_is_used_first(outer, inner, network, dropped) -> None:
    predefined = {"name": "ClassificationModel", "variant": outer, "params": {"variant": inner}}
    converted = convert_luxonis_train({"model": {"predefined_model": predefined}})
    assert converted.config["model"]["params"]["backbone"] == network
    rows = {row.key: row.verdict for row in converted.rows}
    assert rows["model.predefined_model.variant"] == ("dropped" if dropped else "kept")


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
    converted = convert("DetectionModel", {"smart_cfg_auto_populate": False}, loss_params=params)
    assert converted.config["model"]["params"]["loss"] == loss
    assert verdict(converted, "loss_params.iou_type")[0] == word


@pytest.mark.parametrize(
    ("model", "trainer", "given", "written", "word"),
    [
        ("DetectionModel", {"batch_size": 8}, 3, {"loss": {"varifocal": 8, "giou": 20}}, "dropped"),
        ("DetectionModel", {"batch_size": 8}, 8, {"loss": {"varifocal": 8, "giou": 20}}, "kept"),
        ("DetectionModel", {"accumulate_grad_batches": 3}, 1, {"loss": {"varifocal": 3, "giou": 7.5}}, "dropped"),
        ("DetectionModel", {"batch_size": 128}, 1, {"loss": {"varifocal": 1, "giou": 2.5}}, "kept"),
        (
            "KeypointDetectionModel",
            {"batch_size": 16},
            1,
            {"loss": {"varifocal": 2, "giou": 30}, "oks_weight": 48, "visibility_weight": 4},
            "dropped",
        ),
        (
            "KeypointDetectionModel",
            {"batch_size": 16, "smart_cfg_auto_populate": False},
            0.7,
            {"loss": {"varifocal": 0.7, "giou": 7.5}, "oks_weight": 12, "visibility_weight": 1},
            "kept",
        ),
    ],
)
def test_weights_of_losses_are_those_that_luxonis_train_uses(model, trainer, given, written, word) -> None:
    converted = convert(model, trainer, loss_params={"class_loss_weight": given})
    params = converted.config["model"]["params"]
    assert {key: params[key] for key in written} == written
    assert verdict(converted, "loss_params.class_loss_weight")[0] == word
    params["pretrained"] = False
    assert Run.from_yaml({**converted.config, "tracker": {}}).plan()


def test_the_loss_of_points_and_of_classes() -> None:
    given = {"sigmas": [0.1, 0.2], "area_factor": 0.6, "regr_kpts_loss_weight": 8, "vis_kpts_loss_weight": 2}
    trainer = {"smart_cfg_auto_populate": False}
    converted = convert("KeypointDetectionModel", trainer, loss_params=given | {"viz_pw": 3})
    params = converted.config["model"]["params"]
    assert (params["sigmas"], params["area_share"]) == ([0.1, 0.2], 0.6)
    assert (params["oks_weight"], params["visibility_weight"]) == (8, 2)
    assert verdict(converted, "loss_params.viz_pw")[0] == "dropped"
    smoothed = convert("ClassificationModel", loss_params={"label_smoothing": 0.1})
    assert smoothed.config["model"]["params"]["label_smoothing"] == 0.1
