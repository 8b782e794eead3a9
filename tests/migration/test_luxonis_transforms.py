"""Augmentations of luxonis-train."""

import pytest

from cuelight.migration.luxonis_train import convert_luxonis_train
from cuelight.runs.run import Run


def convert(model, *augmentations, **preprocessing):
    return convert_luxonis_train(
        {
            "model": {"predefined_model": {"name": model}},
            "trainer": {"preprocessing": {**preprocessing, "augmentations": list(augmentations)}},
        }
    )


def verdict(converted, index=0):
    path = f"trainer.preprocessing.augmentations.{index}"
    return next((row.verdict, row.note) for row in converted.rows if row.key == path)


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAY"])
@pytest.mark.parametrize(
    "augmentation",
    [
        {"name": "Affine", "params": {"translate_percent": {"x": 0.1, "y": [0, 0.2]}, "scale": 1.2, "shear": [-3, 3]}},
        {"name": "Affine", "params": {"rotate": [-20, 20], "scale": {"x": 0.9, "y": [0.8, 1.1]}}},
        {"name": "RandomBrightnessContrast", "params": {"brightness_limit": [0.1, 0.3], "contrast_limit": 0.2}},
        {"name": "Rotate", "params": {"limit": [-30, 30]}},
        {"name": "ColorJitter", "params": {"brightness": 0.1, "hue": 0.1}},
    ],
)
def test_what_is_written_can_be_read(color, augmentation) -> None:
    converted = convert("ClassificationModel", augmentation, color_space=color)
    config = Run.from_yaml({**converted.config, "tracker": {}}).config
    assert config.data.params["color"] == color
    assert len(config.data.params["mean"]) == (1 if color == "GRAY" else 3)
    assert config.data.params["transforms"]


def test_a_brighter_range_stays_brighter() -> None:
    bright = {"name": "RandomBrightnessContrast", "params": {"brightness_limit": [0.1, 0.3]}}
    [transform] = convert("ClassificationModel", bright).config["data"]["params"]["transforms"]
    assert transform == {"name": "ColorJitter", "params": {"brightness": [1.1, 1.3], "contrast": 0.2}}


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (["train"], ("kept", "RandomHorizontalFlip")),
        (["train", "val"], ("approximated", "RandomHorizontalFlip; only training images are augmented")),
        (["test"], ("dropped", "only training images are augmented.")),
        ([], ("dropped", "only training images are augmented.")),
        (3, ("dropped", "only training images are augmented.")),
    ],
)
def test_only_augmentations_of_training_are_used(stages, expected) -> None:
    converted = convert("ClassificationModel", {"name": "HorizontalFlip", "apply_on_stages": stages})
    assert verdict(converted) == expected
    assert ("transforms" in converted.config["data"]["params"]) == (expected[0] != "dropped")


@pytest.mark.parametrize("model", ["DetectionModel", "KeypointDetectionModel"])
@pytest.mark.parametrize(("name", "ours"), [("Mosaic4", "mosaic"), ("MixUp", "mixup")])
def test_images_with_boxes_are_mixed_to_the_end(model, name, ours) -> None:
    converted = convert(model, {"name": name, "params": {"p": 0.3}})
    params = converted.config["data"]["params"]
    assert (params[ours], params["close_mosaic"], verdict(converted)[0]) == (0.3, 0, "kept")
    assert Run.from_yaml({**converted.config, "tracker": {}}).config.data.params["close_mosaic"] == 0
    assert "close_mosaic" not in convert(model).config["data"]["params"]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"MixUp": 0.3}, {"mixup_alpha": 1.0, "mix_prob": 0.3}),
        ({"MixUp": 0.5, "CutMix": 0.25}, {"mixup_alpha": 1.0, "cutmix_alpha": 1.0, "mix_prob": 0.75}),
        ({"MixUp": 0.8, "CutMix": 0.8}, {"mixup_alpha": 1.0, "cutmix_alpha": 1.0, "mix_prob": 1.0}),
    ],
)
def test_images_with_a_class_are_mixed(entries, expected) -> None:
    converted = convert("ClassificationModel", *({"name": name, "params": {"p": p}} for name, p in entries.items()))
    config = Run.from_yaml({**converted.config, "tracker": {}}).config
    assert {key: value for key, value in config.data.params.items() if "mix" in key} == expected
    assert verdict(converted)[0] == "approximated"


@pytest.mark.parametrize(("model", "name"), [("SegmentationModel", "MixUp"), ("DetectionModel", "CutMix")])
def test_what_nothing_stands_for_is_dropped(model, name) -> None:
    assert verdict(convert(model, {"name": name})) == ("dropped", f"torchvision has no transform like {name}.")
