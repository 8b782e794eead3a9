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
_POINT_LOSS: dict[str, tuple[str, float | None]] = {
    "sigmas": ("sigmas", None),
    "area_factor": ("area_share", 0.53),
    "regr_kpts_loss_weight": ("oks_weight", None),
    "vis_kpts_loss_weight": ("visibility_weight", None),
}


def convert_model(found: Conversion) -> None:
    """Convert the predefined model.

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
        _convert_box_loss(found)
    if cuelight_name == "KeypointModel":
        for theirs, (ours, value) in _POINT_LOSS.items():
            found.keep(f"{_PARAMS}.loss_params.{theirs}", f"model.params.{ours}", value)
    if cuelight_name == "ClassificationModel":
        found.keep(f"{_PARAMS}.loss_params.label_smoothing", "model.params.label_smoothing")
    weights = f"{_PARAMS}.backbone_params.weights"
    if found.has(weights):
        value = found.take(weights)
        found.put("model.params.pretrained", value == "download")
        found.say(weights, "kept" if value != "download" else "approximated", "model.params.pretrained")
    found.drop({_MODEL: "the network is another one, so its parameters do not apply."})


def _convert_variant(found: Conversion, name: str, variants: Mapping[str, tuple[dict[str, Any], str]]) -> None:
    key = f"{_MODEL}.variant" if found.has(f"{_MODEL}.variant") else f"{_PARAMS}.variant"
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


def _convert_box_loss(found: Conversion) -> None:
    section = f"{_PARAMS}.loss_params"
    keys = [key for key in ("iou_type", "class_loss_weight", "iou_loss_weight") if found.has(f"{section}.{key}")]
    kind = str(found.take(f"{section}.iou_type", "giou"))
    classes, boxes = found.take(f"{section}.class_loss_weight", 1), found.take(f"{section}.iou_loss_weight", 2.5)
    ours = _BOX_LOSSES.get(kind, "ciou")
    if keys:
        found.put("model.params.loss", {"varifocal": classes, ours: boxes})
    for key in keys:
        is_kept = key != "iou_type" or kind == ours
        found.say(
            f"{section}.{key}",
            "kept" if is_kept else "approximated",
            "model.params.loss" if is_kept else f"model.params.loss: {ours} in place of {kind}.",
        )
