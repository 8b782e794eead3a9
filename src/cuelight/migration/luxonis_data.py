"""Loaders and preprocessing of luxonis-train as data of Cuelight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cuelight.migration.conversion import Conversion, params_of
from cuelight.migration.luxonis_transforms import convert_transforms

# The data of each model by the type of the dataset, and that of others.
_DATA: dict[str, tuple[dict[str, str], str]] = {
    "ClassificationModel": ({"clsdir": "ImageFolder"}, "ImageFolder"),
    "SegmentationModel": ({}, "MaskFolder"),
    "DetectionModel": (
        {
            "coco": "CocoDetection",
            "voc": "VOCDetection",
            **dict.fromkeys(("yolov6", "yolov8", "yolov8boundingbox"), "YoloDetection"),
        },
        "CocoDetection",
    ),
    "KeypointModel": ({"coco": "CocoKeypoints", "yolov8keypoints": "YoloKeypoints"}, "CocoKeypoints"),
}
_OF_LUXONIS_ML = {"ClassificationModel": "LuxonisClassification", "DetectionModel": "LuxonisDetection"}
_PARAMS = "loader.params"
_PREPROCESSING = "trainer.preprocessing"


def convert_data(found: Conversion) -> None:
    """Convert the loader and the preprocessing; the model is converted before."""
    model = found.config["model"]["name"]
    dataset, folder = found.take(f"{_PARAMS}.dataset_name"), found.take(f"{_PARAMS}.dataset_dir")
    if dataset is not None and not folder and model in _OF_LUXONIS_ML:
        _convert_name(found, _OF_LUXONIS_ML[model], str(dataset))
    else:
        _convert_folder(found, *_DATA[model])
        found.put("data.params.path", str(folder or dataset or "data"))
        if folder is not None:
            found.say(f"{_PARAMS}.dataset_dir", "kept", "data.params.path")
        if dataset is not None:
            why = "folders are read as they are, and need no name." if folder else "set data.params.path to a folder."
            found.say(f"{_PARAMS}.dataset_name", "dropped" if folder else "approximated", why)
    _convert_preprocessing(found)


def _convert_name(found: Conversion, name: str, dataset: str) -> None:
    """Convert the name of a dataset that luxonis-ml keeps."""
    team = found.take(f"{_PARAMS}.team_id")
    path = Path.home() / "luxonis_ml" / "data" / str(team or "offline") / "datasets" / dataset
    found.put("data", {"name": name, "params": {"path": str(path)}})
    found.say(f"{_PARAMS}.dataset_name", "approximated", f"{name} with {path}, where luxonis-ml keeps it.")
    if team is not None:
        found.say(f"{_PARAMS}.team_id", "kept", "data.params.path")
    found.keep("model.predefined_model.params.task_name", "data.params.task_name")
    found.drop({f"{_PARAMS}.dataset_type": "luxonis-ml has already read the files."})


def _convert_folder(found: Conversion, formats: Mapping[str, str], usual: str) -> None:
    key = f"{_PARAMS}.dataset_type"
    given = found.take(key)
    kind = str(given).lower()
    name = formats.get(kind, usual)
    found.put("data.name", name)
    if given is not None:
        is_known = kind in formats
        note = f"data.name: {name}" if is_known else f"{name}, because {kind} is not read here."
        found.say(key, "kept" if is_known else "approximated", note)


def _convert_preprocessing(found: Conversion) -> None:
    found.keep(f"{_PREPROCESSING}.train_image_size", "data.params.size", [256, 256])
    ratio = f"{_PREPROCESSING}.keep_aspect_ratio"
    is_set = found.has(ratio)
    found.put("data.params.resize", "letterbox" if found.take(ratio, default=True) else "stretch")
    if is_set:
        found.say(ratio, "kept", "data.params.resize")
    found.keep(f"{_PREPROCESSING}.color_space", "data.params.color")
    augmentations = f"{_PREPROCESSING}.augmentations"
    entries = found.take_entries(augmentations)
    _convert_normalization(found, entries, augmentations)
    convert_transforms(found, entries, augmentations)


def _convert_normalization(found: Conversion, entries: Sequence[Mapping[str, Any]], path: str) -> None:
    """Convert mean and std; those of a Normalize among the augmentations replace others."""
    section = f"{_PREPROCESSING}.normalize"
    usual: dict[str, Any] = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    if found.config["data"]["params"].get("color") == "GRAY":
        usual = {"mean": [0.449], "std": [0.226]}
    is_set = found.has(f"{section}.active")
    is_off = found.take(f"{section}.active") is False
    if is_set:
        found.say(f"{section}.active", "kept", "data.params.mean and std")
    replacing = {index: params_of(entry) for index, entry in enumerate(entries) if entry.get("name") == "Normalize"}
    off = "normalize is not active."
    for index in replacing:
        found.say(f"{path}.{index}", "dropped" if is_off else "kept", off if is_off else "data.params.mean and std")
    if is_off:
        usual = {"mean": [0.0] * len(usual["mean"]), "std": [1.0] * len(usual["std"])}
        found.drop({f"{section}.params": off})
    elif replacing:
        usual |= next(iter(replacing.values()))
        found.drop({f"{section}.params": "Normalize among the augmentations replaces it."})
    for name in ("mean", "std"):
        found.keep(f"{section}.params.{name}", f"data.params.{name}", usual[name])
