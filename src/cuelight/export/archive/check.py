"""Whether the configuration of an NN Archive fits its model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

# The image types of depthai, and their channels.
_DAI_CHANNELS = {
    **dict.fromkeys(("RGB888p", "RGB888i", "BGR888p", "BGR888i"), 3),
    **dict.fromkeys(("RGBF16F16F16p", "RGBF16F16F16i", "BGRF16F16F16p", "BGRF16F16F16i"), 3),
    **dict.fromkeys(("GRAY8", "GRAYF16"), 1),
}

HeadCheck = Callable[[Mapping[str, Any], Mapping[str, tuple[int | None, ...]]], Iterable[str]]
"""Yields what does not fit between a head and the shapes of the outputs that it names."""


def find_problems(model: Mapping[str, Any], check_head: HeadCheck | None = None) -> list[str]:
    """Return what does not fit in the section ``model`` of a configuration: image types and heads.

    Names, shapes and types of the section must be those of the ONNX file. ``check_head`` adds the checks that need
    to know a head's parser.
    """
    problems = [problem for entry in model["inputs"] for problem in _image_problems(entry)]
    shapes = {entry["name"]: tuple(entry["shape"]) for entry in model["outputs"]}
    for index, head in enumerate(model["heads"] or []):
        problems += [f"head {index}: {problem}" for problem in _head_problems(head, shapes, check_head)]
    return problems


def _image_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    preprocessing = entry["preprocessing"]
    channels = dict(zip(entry.get("layout", "NCHW"), entry["shape"], strict=False)).get("C")
    dai_type = preprocessing.get("dai_type")
    if dai_type is not None and dai_type not in _DAI_CHANNELS:
        yield f"input {entry['name']}: unknown dai_type {dai_type!r}; expected one of {', '.join(_DAI_CHANNELS)}"
    elif dai_type is not None and _DAI_CHANNELS[dai_type] != channels:
        yield f"input {entry['name']}: {dai_type} has {_DAI_CHANNELS[dai_type]} channels, the model takes {channels}"
    for name in ("mean", "scale"):
        values = preprocessing.get(name)
        if values is not None and len(values) != channels:
            yield f"input {entry['name']}: {name} has {len(values)} numbers for {channels} channels"


def _head_problems(
    head: Mapping[str, Any], shapes: Mapping[str, tuple[int | None, ...]], check_head: HeadCheck | None
) -> Iterator[str]:
    names = head.get("outputs") or list(shapes)
    if unknown := [name for name in names if name not in shapes]:
        yield f"there is no output {', '.join(unknown)}; the model has {', '.join(shapes)}"
        return
    if len(set(names)) < len(names):
        yield f"an output is named twice: {', '.join(names)}"
        return
    metadata = head["metadata"]
    classes, count = metadata.get("classes"), metadata.get("n_classes")
    if classes is not None and count != len(classes):
        yield f"n_classes is {count}, but classes has {len(classes)} names"
    if check_head is not None:
        yield from check_head(head, {name: shapes[name] for name in names})
