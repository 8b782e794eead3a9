"""Whether an NN Archive is the one that was meant: readable, with its model inside, and true about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from cuelight.errors import ArchiveError
from cuelight.export.archive.reading import scan_archive
from cuelight.export.archive.schema import validate
from cuelight.export.onnx.info import TensorInfo, fixed_batch, read_onnx_info
from cuelight.export.onnx.sessions import output_tensors
from cuelight.utils.files import sha256_of

# The types of frames that a device can make for a model, and their channels.
_DAI_CHANNELS = {
    **dict.fromkeys(("RGB888p", "RGB888i", "BGR888p", "BGR888i"), 3),
    **dict.fromkeys(("RGBF16F16F16p", "RGBF16F16F16i", "BGRF16F16F16p", "BGRF16F16F16i"), 3),
    **dict.fromkeys(("GRAY8", "GRAYF16"), 1),
}

HeadCheck = Callable[[Mapping[str, Any], Mapping[str, tuple[int | None, ...]]], Iterable[str]]
"""Compares a head with the shapes of the outputs that it names."""


def check_archive(path: Path, onnx: Path, check_head: HeadCheck | None = None) -> None:
    """Open an archive and compare it with the model that shall be inside.

    Args:
        path: The archive.
        onnx: The ONNX file.
        check_head: What else is checked of each head.

    Raises:
        ArchiveError: It cannot be read, or something in it is wrong; the message lists all.
    """
    try:
        with path.open("rb") as file:
            check_open_archive(file, path, onnx, check_head)
    except OSError as error:
        raise ArchiveError(f"{path}: the archive cannot be read: {error.strerror}.") from error


def check_open_archive(file: BinaryIO, source: Path, onnx: Path, check_head: HeadCheck | None = None) -> None:
    """Check an archive that is open.

    Args:
        file: The open file.
        source: Its path, for messages.
        onnx: The ONNX file.
        check_head: What else is checked of each head.

    Raises:
        ArchiveError: It cannot be read, or something in it is wrong; the message lists all.
    """
    config, inside = scan_archive(file, source, sha256_of)
    problems = [] if inside == sha256_of(onnx) else [f"the model inside is not {onnx}, byte for byte"]
    refused = validate(config)[1]
    problems += [f"luxonis-ml refuses it: {problem}" for problem in refused]
    if not refused:
        problems += _model_problems(config["model"], onnx, check_head)
    if problems:
        raise ArchiveError("\n  ".join([f"{source}: the archive does not fit its model:", *problems]))


def _model_problems(model: Mapping[str, Any], onnx: Path, check_head: HeadCheck | None) -> list[str]:
    info = read_onnx_info(onnx)
    inputs = [TensorInfo(tensor.name, tensor.dtype, fixed_batch(tensor)) for tensor in info.inputs]
    outputs = output_tensors(info, onnx)
    problems = [*_tensor_problems("input", model["inputs"], inputs)]
    problems += _tensor_problems("output", model["outputs"], outputs)
    for entry in model["inputs"]:
        problems += _image_problems(entry)
    for index, head in enumerate(model["heads"] or []):
        problems += [f"head {index}: {problem}" for problem in _head_problems(head, outputs, check_head)]
    return problems


def _tensor_problems(kind: str, told: Sequence[Mapping[str, Any]], true: Sequence[TensorInfo]) -> Iterator[str]:
    names, true_names = [entry["name"] for entry in told], [tensor.name for tensor in true]
    if names != true_names:
        yield f"{kind}s: the archive tells of {names}, the model has {true_names}"
        return
    for entry, tensor in zip(told, true, strict=True):
        where, shape, layout = f"{kind} {tensor.name}", entry.get("shape"), entry.get("layout")
        if entry["dtype"] != tensor.dtype:
            yield f"{where}: the archive tells {entry['dtype']}, the model has {tensor.dtype}"
        if shape != list(tensor.shape):
            yield f"{where}: the archive tells the shape {shape}, the model has {list(tensor.shape)}"
        if any(not size or size < 1 for size in shape or []):
            yield f"{where}: expected sizes of at least 1, got {shape}"
        if layout is not None and len(layout) != len(tensor.shape):
            yield f"{where}: the layout {layout} has not one letter for each of {len(tensor.shape)} dimensions"


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
    head: Mapping[str, Any], outputs: Sequence[TensorInfo], check_head: HeadCheck | None
) -> Iterator[str]:
    shapes = {tensor.name: tensor.shape for tensor in outputs}
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
