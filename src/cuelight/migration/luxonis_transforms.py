"""Augmentations of albumentations, by which luxonis-train names them, as transforms of torchvision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cuelight.migration.conversion import Conversion, params_of

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
_MIXING = {"Mosaic4": "mosaic", "MixUp": "mixup"}


def convert_transforms(found: Conversion, entries: Sequence[Mapping[str, Any]], path: str) -> None:
    """Put transforms that stand for augmentations into ``data.params``; ``path`` is their key path."""
    transforms: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        key = f"{path}.{index}"
        name, params = str(entry.get("name")), params_of(entry)
        mixes = found.config["model"]["name"] in ("DetectionModel", "KeypointModel") and name in _MIXING
        if entry.get("active") is False:
            found.say(key, "dropped", "it was switched off.")
        elif mixes:
            found.put(f"data.params.{_MIXING[name]}", params.get("p", 0.5))
            found.say(key, "kept", f"data.params.{_MIXING[name]}")
        elif name in _TRANSFORMS:
            transform, convert, difference = _TRANSFORMS[name]
            transforms.append({"name": transform, "params": convert(params)})
            found.say(
                key, "approximated" if difference else "kept", f"{transform}; {difference}" if difference else transform
            )
        else:
            found.say(key, "dropped", f"torchvision has no transform like {name}.")
    if transforms:
        found.put("data.params.transforms", transforms)
