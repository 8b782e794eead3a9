"""The training arguments of Ultralytics, and its description of a dataset, as configurations of Cuelight.

The names of the arguments and their defaults are those of its public documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cuelight.errors import ConfigError, Problem
from cuelight.migration.conversion import Conversion
from cuelight.migration.ultralytics_training import convert_training, convert_transforms, take_number

_BOXES = {"neck": "pan", "pretrained": True}
# The model and the data of each task, its main metric, and what model and data have in addition.
_TASKS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "detect": ("DetectionModel", "YoloDetection", "val/map", _BOXES),
    "pose": ("KeypointModel", "YoloKeypoints", "val/oks_map", _BOXES),
    "classify": ("ClassificationModel", "ImageFolder", "val/accuracy", {"pretrained": True}),
}
_SUFFIXES = {"cls": "classify", "pose": "pose", "seg": "segment", "obb": "obb"}
_BACKBONES = {"n": "resnet18", "t": "resnet18", "s": "resnet18", "m": "resnet34"}  # others: resnet50
_SIZE = re.compile(r"yolov?\d+([a-z])")
_OWN_NAMES = frozenset({
    "imgsz", "lr0", "lrf", "cos_lr", "warmup_epochs", "close_mosaic", "hsv_h", "hsv_s", "hsv_v", "fliplr", "flipud",
    "mosaic", "copy_paste", "exist_ok", "save_period", "single_cls",
})  # fmt: skip
_OF_DATA = {"path", "train", "val", "test", "nc", "names", "kpt_shape", "flip_idx", "kpt_names"}
_STRIDE = 32
_OF_PREDICT = "cuelight predict has options of its own."
_OF_DEVICE = "the export is ONNX, for any device."
_ALWAYS = "is always done here."
_REASONS = {
    "freeze": "the layers of the network are other ones; model.freeze has their names.",
    "dfl": "distances are learned without a distribution.",
    "nbs": "the loss is not scaled by a batch size.",
    "rect": "all images have one size.",
    "multi_scale": "all images have one size.",
    "single_cls": "data.params.classes joins classes by their names.",
    "classes": "data.params.classes has the names of classes.",
    "fraction": "all images are used.",
    "cache": "images are read when they are needed.",
    "resume": "cuelight train --resume RUN goes on.",
    "exist_ok": "a run replaces no other one.",
    "project": "--output names the folder of all runs.",
    "save_period": "the best and the last checkpoint are kept; add a ModelCheckpoint for more.",
    "save": _ALWAYS,
    "val": _ALWAYS,
    "plots": _ALWAYS,
    "verbose": "--quiet shows less.",
    "profile": "nothing is measured by it here.",
    "split": "cuelight test --view names the split.",
    "agnostic_nms": "boxes are suppressed as on the device, whatever their classes.",
    "overlap_mask": "boxes have no masks.",
    "mask_ratio": "boxes have no masks.",
    "download": "nothing is downloaded.",
    **dict.fromkeys(("int8", "keras", "optimize", "workspace", "nms"), _OF_DEVICE),
    **dict.fromkeys(
        (
            *("source", "vid_stride", "stream_buffer", "visualize", "augment", "retina_masks", "embed", "show"),
            *("save_frames", "save_txt", "save_conf", "save_crop", "save_json", "save_hybrid", "show_labels"),
            *("show_conf", "show_boxes", "line_width", "dnn", "tracker"),
        ),
        _OF_PREDICT,
    ),
}


def is_ultralytics(tree: Mapping[str, Any]) -> bool:
    """Return whether a file has training arguments of Ultralytics, or describes a dataset for it."""
    if any(isinstance(tree.get(section), Mapping) for section in ("model", "data", "trainer")):
        return False
    model = str(tree.get("model")).lower()
    named = tree.get("task") in (*_TASKS, "segment", "obb") or model.endswith((".pt", ".yaml", ".yml"))
    return _is_dataset(tree) or named or bool(_OWN_NAMES & tree.keys())


def convert_ultralytics(tree: Mapping[str, Any], source: Path) -> Conversion:
    """Convert training arguments, or the description of a dataset with the default arguments.

    Args:
        tree: The content of the file.
        source: The file.

    Raises:
        ConfigError: If the task has no counterpart.
    """
    found = Conversion(tree)
    found.drop(dict.fromkeys((key for key, value in tree.items() if value is None), "it is not set."))
    task = _task(found, tree)
    model, data, metric, params = _TASKS[task]
    found.put("model", {"name": model, "params": {"backbone": "resnet18", **params}})
    found.put("data", {"name": data, "params": {}})
    if _is_dataset(tree):
        found.put("data.params.path", str(source))
        for key in (key for key in tree if key in _OF_DATA and tree[key] is not None):
            found.take(key)
            found.say(key, "kept", f"{data} reads it from {source.name}.")
    else:
        _convert_network(found, tree)
        found.keep("data", "data.params.path", "data" if task == "classify" else "data.yaml")
    _convert_size(found, task)
    convert_transforms(found, task)
    convert_training(found, metric)
    if task != "classify":
        _convert_boxes(found)
    _convert_export(found)
    found.drop(_REASONS)
    found.drop_the_rest()
    return found


def _is_dataset(tree: Mapping[str, Any]) -> bool:
    return "names" in tree and bool({"train", "val", "path", "nc"} & tree.keys())


def _task(found: Conversion, tree: Mapping[str, Any]) -> str:
    by_name = _SUFFIXES.get(Path(str(tree.get("model"))).stem.rpartition("-")[2], "detect")
    given = found.take("task")
    task = str(given or ("pose" if "kpt_shape" in tree else by_name))
    if task not in _TASKS:
        message = f'the task "{task}" has no counterpart. Tasks that have one: {", ".join(_TASKS)}.'
        raise ConfigError([Problem(message, "task" if given else "model")])
    if given:
        found.say("task", "kept", f"model.name: {_TASKS[task][0]}")
    if mode := found.take("mode"):
        found.say("mode", "kept" if mode == "train" else "dropped", "the file is one of a training.")
    return task


def _convert_network(found: Conversion, tree: Mapping[str, Any]) -> None:
    """Choose a backbone for the size of a network."""
    given = str(found.take("model", ""))
    match = _SIZE.match(Path(given).stem.lower())
    backbone = _BACKBONES.get(match.group(1), "resnet50") if match else "resnet18"
    found.put("model.params.backbone", backbone)
    pretrained = found.take("pretrained", default=not given.endswith((".yaml", ".yml")))
    found.put("model.params.pretrained", bool(pretrained))
    weights = "with weights of ImageNet" if pretrained else "without trained weights"
    if given:
        found.say("model", "approximated", f"{found.config['model']['name']} with {backbone}, {weights}.")
    if tree.get("pretrained") is not None:
        kept = isinstance(pretrained, bool)
        note = "model.params.pretrained" if kept else f"{weights}: those of {pretrained} fit no other network."
        found.say("pretrained", "kept" if kept else "approximated", note)


def _convert_size(found: Conversion, task: str) -> None:
    size: Any = found.take("imgsz")
    given = size if isinstance(size, list) else [size]
    sides = [side for side in given if isinstance(side, int) and side > 0][:2]
    step = 1 if task == "classify" else _STRIDE
    fitting = [-(-side // step) * step for side in sides] or [224 if task == "classify" else 640]
    used = fitting[0] if len(fitting) == 1 else fitting
    found.put("data.params.size", used)
    if size is not None:
        is_kept = given == fitting
        multiples = "" if step == 1 else f", of multiples of {step}"
        note = "data.params.size" if is_kept else f"data.params.size: {used}{multiples}."
        found.say("imgsz", "kept" if is_kept else "approximated", note)


def _convert_boxes(found: Conversion) -> None:
    """Convert what only detectors have."""
    for theirs, ours in (("iou", "iou_threshold"), ("conf", "conf_threshold"), ("max_det", "max_det")):
        found.keep(theirs, f"model.params.{ours}")
    loss = "model.params.loss"
    found.put(loss, {"varifocal": _weight(found, "cls", 0.5, 1.0, loss), "giou": _weight(found, "box", 7.5, 2.5, loss)})
    if found.config["model"]["name"] == "KeypointModel":
        for key, usual, own, place in (("pose", 12.0, 5.0, "oks_weight"), ("kobj", 1.0, 0.5, "visibility_weight")):
            found.put(f"model.params.{place}", _weight(found, key, usual, own, f"model.params.{place}"))


def _weight(found: Conversion, key: str, usual: float, own: float, place: str) -> float:
    """Take the weight of a loss; it changes the own default as it differs from the usual one."""
    note = f"{place}: {own:g}, changed as the weight differs from {usual:g}."
    return take_number(found, key, usual, note, "approximated") / usual * own


def _convert_export(found: Conversion) -> None:
    for theirs, ours in (
        ("opset", "opset"), ("simplify", "simplify"), ("half", "half_precision"), ("dynamic", "dynamic_batch"),
    ):  # fmt: skip
        found.keep(theirs, f"exporter.{ours}")
    if form := found.take("format"):
        is_onnx = form == "onnx"
        found.say("format", "kept" if is_onnx else "dropped", "ExportOnTrainEnd" if is_onnx else _OF_DEVICE)
