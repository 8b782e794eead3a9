"""Augmentations of albumentations, by which luxonis-train names them, as transforms of torchvision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cuelight.migration.conversion import Conversion, Verdict, params_of

_Params = Mapping[str, Any]


def _numbers(value: Any) -> list[float]:
    """Return the numbers in a number, a range, or ranges by axis."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else None
    if inner is not None:
        return [number for each in inner for number in _numbers(each)]
    return [value] if isinstance(value, (int, float)) else []


def _largest(value: Any) -> float:
    return max((abs(number) for number in _numbers(value)), default=0)


def _flip(params: _Params) -> dict[str, Any]:
    return {"p": params.get("p", 0.5)}


def _rotation(params: _Params) -> dict[str, Any]:
    return {"degrees": _largest(params.get("limit", 90))}


def _affine(params: _Params) -> dict[str, Any]:
    given: dict[str, Any] = {"degrees": _largest(params.get("rotate", 0))}
    if moved := _largest(params.get("translate_percent")):
        given["translate"] = [moved, moved]
    if scales := _numbers(params.get("scale")):
        given["scale"] = [min(scales), max(scales)]
    if shear := _largest(params.get("shear")):
        given["shear"] = shear
    return given


def _jitter(params: _Params) -> dict[str, Any]:
    names = ("brightness", "contrast", "saturation", "hue")
    return {name: params[name] for name in names if name in params}


def _brightness_contrast(params: _Params) -> dict[str, Any]:
    limits = {name: params.get(f"{name}_limit", 0.2) for name in ("brightness", "contrast")}
    return {
        name: [max(0.0, 1 + least), 1 + most] if isinstance(limit, (list, tuple)) else limit
        for name, limit in limits.items()
        for least, most in [(min(_numbers(limit), default=0), max(_numbers(limit), default=0))]
    }


# The transform of torchvision, its parameters, and how it differs.
_TRANSFORMS: dict[str, tuple[str, Callable[[_Params], dict[str, Any]], str]] = {
    "HorizontalFlip": ("RandomHorizontalFlip", _flip, ""),
    "VerticalFlip": ("RandomVerticalFlip", _flip, ""),
    "Rotate": ("RandomRotation", _rotation, "every image is rotated"),
    "Affine": ("RandomAffine", _affine, "every image is moved"),
    "ColorJitter": ("ColorJitter", _jitter, "every image is changed"),
    "RandomBrightnessContrast": ("ColorJitter", _brightness_contrast, "every image is changed"),
    "Blur": ("GaussianBlur", lambda _: {"kernel_size": 3}, "every image is blurred, by a Gaussian"),
    "GaussianBlur": ("GaussianBlur", lambda _: {"kernel_size": 3}, "every image is blurred"),
    "ToGray": ("RandomGrayscale", _flip, ""),
    "InvertImg": ("RandomInvert", _flip, ""),
    "Equalize": ("RandomEqualize", _flip, ""),
}
_OF_BOXES = {"Mosaic4": "mosaic", "MixUp": "mixup"}
_MIXING = {
    "DetectionModel": _OF_BOXES,
    "KeypointModel": _OF_BOXES,
    "ClassificationModel": {"MixUp": "mixup_alpha", "CutMix": "cutmix_alpha"},
}


def convert_transforms(found: Conversion, entries: Sequence[Mapping[str, Any]], path: str) -> None:
    """Put transforms that stand for augmentations into ``data.params``; ``path`` is their key path.

    Normalize is left out: it becomes the mean and the standard deviation of the data.
    """
    transforms: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        if entry.get("name") != "Normalize":
            found.say(f"{path}.{index}", *_convert_transform(found, entry, transforms))
    if transforms:
        found.put("data.params.transforms", transforms)


def _convert_transform(
    found: Conversion, entry: Mapping[str, Any], transforms: list[dict[str, Any]]
) -> tuple[Verdict, str]:
    """Convert an augmentation; return what became of it."""
    name, params, stages = str(entry.get("name")), params_of(entry), entry.get("apply_on_stages", ["train"])
    if entry.get("active") is False:
        return "dropped", "it was switched off."
    if not isinstance(stages, list) or "train" not in stages:
        return "dropped", "only training images are augmented."
    parameter = _MIXING.get(found.config["model"]["name"], {}).get(name)
    if parameter:
        target, difference = f"data.params.{parameter}", _mix(found, parameter, _largest(params.get("p", 0.5)))
    elif name in _TRANSFORMS:
        target, convert, difference = _TRANSFORMS[name]
        transforms.append({"name": target, "params": convert(params)})
    else:
        return "dropped", f"torchvision has no transform like {name}."
    differences = [difference] if difference else []
    if stages != ["train"]:
        differences.append("only training images are augmented")
    return "approximated" if differences else "kept", "; ".join([target, *differences])


def _mix(found: Conversion, parameter: str, chance: float) -> str:
    """Mix images with this probability; return the difference to luxonis-train."""
    params = found.config["data"]["params"]
    if parameter.endswith("_alpha"):
        params |= {parameter: 1.0, "mix_prob": min(1.0, params.get("mix_prob", 0.0) + chance)}
        return "and mix_prob, with any share of the other image"
    params |= {parameter: chance, "close_mosaic": 0}
    return ""
