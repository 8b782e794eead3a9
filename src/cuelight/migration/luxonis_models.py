"""Predefined models of luxonis-train as models of Cuelight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cuelight.errors import ConfigError, Problem
from cuelight.migration.conversion import Conversion

_MODEL = "model.predefined_model"
_PARAMS = f"{_MODEL}.params"
_DETECTORS = {
    "light": ({"backbone": "resnet18", "neck": "pan"}, "EfficientRep n"),
    "medium": ({"backbone": "resnet34", "neck": "pan"}, "EfficientRep s"),
    "heavy": ({"backbone": "resnet50", "neck": "pan"}, "EfficientRep l"),
}
# The model of each predefined model, and its parameters for each variant, with the network that they stand for.
_MODELS: dict[str, tuple[str, dict[str, tuple[dict[str, Any], str]]]] = {
    "ClassificationModel": (
        "ClassificationModel",
        {"light": ({"backbone": "resnet18"}, ""), "heavy": ({"backbone": "resnet50"}, "")},
    ),
    "SegmentationModel": (
        "SegmentationModel",
        {
            "light": ({"architecture": "Unet", "encoder": "resnet18"}, "DDRNet-23-slim"),
            "heavy": ({"architecture": "Unet", "encoder": "resnet50"}, "DDRNet-23"),
        },
    ),
    "DetectionModel": ("DetectionModel", _DETECTORS),
    "KeypointDetectionModel": ("KeypointModel", _DETECTORS),
}
# The network of timm of each backbone, and the variant that it has by default.
_BACKBONES = {
    "ResNet": ("resnet{}", "18"),
    "MobileNetV2": ("mobilenetv2_100", ""),
    "MobileOne": ("mobileone_{}", "s0"),
    "RepVGG": ("repvgg_{}", "a0"),
    "EfficientNet": ("tf_efficientnet_lite0", ""),
}
_HEAD = (("iou_thres", "iou_threshold", 0.45), ("conf_thres", "conf_threshold", 0.25), ("max_det", "max_det", 300))
_BOX_LOSSES = {"giou": "giou", "ciou": "ciou", "none": "giou"}  # others: ciou
# The place of each weight of a loss in model.params, and its default.
_WEIGHTS = {
    "DetectionModel": {"class_loss_weight": ("loss.varifocal", 1.0), "iou_loss_weight": ("loss.{boxes}", 2.5)},
    "KeypointModel": {
        "class_loss_weight": ("loss.varifocal", 0.5),
        "iou_loss_weight": ("loss.{boxes}", 7.5),
        "regr_kpts_loss_weight": ("oks_weight", 12.0),
        "vis_kpts_loss_weight": ("visibility_weight", 1.0),
    },
}


def convert_model(found: Conversion) -> None:
    """Convert the predefined model, without its loss.

    Raises:
        ConfigError: If it is none of those that have a counterpart, or its variant does not exist.
    """
    name = str(found.take(f"{_MODEL}.name", "")).partition(":")[0]
    if name not in _MODELS:
        what = f'the predefined model "{name}"' if name else "a model made of nodes"
        message = f"{what} has no counterpart. Predefined models that have one: {', '.join(_MODELS)}."
        raise ConfigError([Problem(message, f"{_MODEL}.name" if name else "model")])
    cuelight_name, variants = _MODELS[name]
    found.put("model.name", cuelight_name)
    found.say(f"{_MODEL}.name", "kept", "model.name")
    _convert_variant(found, name, variants)
    _convert_backbone(found, "encoder" if cuelight_name == "SegmentationModel" else "backbone")
    if variants is _DETECTORS:
        for theirs, ours, default in _HEAD:
            found.keep(f"{_PARAMS}.head_params.{theirs}", f"model.params.{ours}", default)
    weights = f"{_PARAMS}.backbone_params.weights"
    if found.has(weights):
        value = found.take(weights)
        found.put("model.params.pretrained", value == "download")
        found.say(weights, "kept" if value != "download" else "approximated", "model.params.pretrained")


def convert_loss(found: Conversion, factor: int | None) -> None:
    """Convert the loss.

    Args:
        found: Where the model is converted.
        factor: By what luxonis-train multiplies its own weights, which replace those of the file; ``None`` if it keeps
            those of the file.
    """
    section, model = f"{_PARAMS}.loss_params", found.config["model"]["name"]
    boxes = _convert_iou_type(found, f"{section}.iou_type") if model in _WEIGHTS else ""
    for theirs, (ours, default) in _WEIGHTS.get(model, {}).items():
        key, place = f"{section}.{theirs}", f"model.params.{ours.format(boxes=boxes)}"
        if factor is None:
            found.keep(key, place, default)
            continue
        is_set, given, weight = found.has(key), found.take(key), default * factor
        found.put(place, weight)
        if is_set:
            note = f"luxonis-train replaces it by {weight:g}, unless smart_cfg_auto_populate is off."
            found.say(key, "kept" if given == weight else "dropped", place if given == weight else note)
    if model == "KeypointModel":
        found.keep(f"{section}.sigmas", "model.params.sigmas")
        found.keep(f"{section}.area_factor", "model.params.area_share", 0.53)
    if model == "ClassificationModel":
        found.keep(f"{section}.label_smoothing", "model.params.label_smoothing")


def _convert_variant(found: Conversion, name: str, variants: Mapping[str, tuple[dict[str, Any], str]]) -> None:
    key = f"{_PARAMS}.variant"
    if variant := found.take(key):
        found.drop({f"{_MODEL}.variant": "that of params is used."})
    else:
        key = f"{_MODEL}.variant"
        variant = found.take(key)
    if variant not in (None, "default", *variants):
        expected = ", ".join(variants)
        raise ConfigError([Problem(f'{name} has no variant "{variant}". Expected one of: {expected}.', key)])
    params, network = variants.get(str(variant), variants["light"])
    found.put("model.params", dict(params))
    if network:
        found.put("model.params.pretrained", value=True)
        chosen = " and ".join(str(value) for value in params.values())
        found.say(
            key, "approximated", f"{chosen}, with weights of ImageNet, in place of {network} with weights of COCO."
        )
    elif variant is not None:
        found.say(key, "kept", "model.params.backbone")


def _convert_backbone(found: Conversion, parameter: str) -> None:
    """Convert a backbone, or its variant, that is set beside the variant of the model."""
    keys = [key for key in (f"{_PARAMS}.backbone", f"{_PARAMS}.backbone_variant") if found.has(key)]
    default = "ResNet" if found.config["model"]["name"] == "ClassificationModel" else ""
    node = str(found.take(f"{_PARAMS}.backbone", default))
    variant = found.take(f"{_PARAMS}.backbone_variant")
    network, usual = _BACKBONES.get(node, ("", ""))
    if keys and network:
        found.put(f"model.params.{parameter}", network.format(variant or usual).lower())
    for key in keys:
        if network:
            found.say(key, "kept", f"model.params.{parameter}")
        else:
            found.say(key, "dropped", "the network of the variant is used; set another one of timm.")


def _convert_iou_type(found: Conversion, key: str) -> str:
    """Return the name of the loss of boxes."""
    is_set, kind = found.has(key), str(found.take(key, "giou"))
    ours = _BOX_LOSSES.get(kind, "ciou")
    if is_set:
        note = "" if kind == ours else f": {ours} in place of {kind}."
        found.say(key, "approximated" if note else "kept", f"model.params.loss{note}")
    return ours
