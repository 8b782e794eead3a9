"""The ``config.json`` of an NN Archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cuelight.errors import ArchiveError
from cuelight.export.archive.schema import validate
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.info import TensorInfo, fixed_batch, read_onnx_info
from cuelight.export.onnx.sessions import output_tensors
from cuelight.images.preprocessing import DAMAGED
from cuelight.version import __version__

_FORMAT_VERSION = "1.0"
_UINT8_MAX = 255.0
_LAYOUTS = ("", "N", "NC", "NCD", "NCHW")
_IMAGE_CHANNELS = (1, 3)
_DAI_TYPES = {"RGB": "RGB888p", "BGR": "BGR888p", "GRAY": "GRAY8"}


def build_config(onnx: Path, *, name: str, heads: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return the content of ``config.json`` for an ONNX file, accepted by luxonis-ml; ArchiveError if it is not.

    Names, shapes, types and preprocessing come from the file; ``heads`` describe how its outputs are decoded.
    """
    info = read_onnx_info(onnx)
    metadata = read_metadata(info.metadata, onnx)
    member = onnx.name if onnx.name.isascii() else "model.onnx"  # depthai finds other names in some locales only
    inputs = [_input(tensor, metadata, onnx) for tensor in info.inputs]
    model = {
        "metadata": {"name": name, "path": member, "precision": info.precision},
        "inputs": inputs,
        "outputs": [_output(tensor) for tensor in output_tensors(info, onnx)],
        "heads": [dict(head) for head in heads] if heads else None,
    }
    validated, problems = validate({"config_version": _FORMAT_VERSION, "model": model})
    if validated is None:
        raise ArchiveError("\n  ".join([f"{onnx}: luxonis-ml rejects the configuration of the archive:", *problems]))
    config: dict[str, Any] = validated.model_dump(mode="json", exclude_none=True)
    config["model"].setdefault("heads", None)  # the key is required, even if it is null
    # The schema would drop these.
    entries = config["model"]["metadata"]
    entries["cuelight_version"] = info.metadata.get("cuelight_version", __version__)
    if metadata is not None:
        entries["weights_fingerprint"] = metadata.fingerprint
        if metadata.task is not None:
            entries["task"] = metadata.task
        if metadata.class_names is not None:
            entries["class_names"] = list(metadata.class_names)
        if metadata.preprocessing is not None and metadata.preprocessing.value_range is not None:
            entries["value_range"] = list(metadata.preprocessing.value_range)
    return config


def read_metadata(text: Mapping[str, str], source: Path) -> ModelMetadata | None:
    """Read Cuelight's entries in the metadata of an ONNX file; ``None`` if Cuelight did not write the file."""
    try:
        return ModelMetadata.from_metadata(text)
    except DAMAGED as error:
        raise ArchiveError(f"{source}: its metadata is damaged: {error}. Export it again.") from error


def _input(tensor: TensorInfo, metadata: ModelMetadata | None, onnx: Path) -> dict[str, Any]:
    shape = fixed_batch(tensor)
    if None in shape:
        raise ArchiveError(
            f"{onnx}: the input {tensor.name} has a free size other than the batch: {list(tensor.shape)}. An archive "
            "needs fixed sizes; export the model for one size of images."
        )
    is_image = len(shape) == len("NCHW") and shape[1] in _IMAGE_CHANNELS
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "input_type": "image" if is_image else "raw",
        "shape": list(shape),
        **_layout(shape),
        "preprocessing": _preprocessing(metadata) if is_image else {},
    }


def _output(tensor: TensorInfo) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape), **_layout(tensor.shape)}


def _layout(shape: Sequence[int | None]) -> dict[str, str]:
    # luxonis-ml chooses the letters of longer shapes.
    return {"layout": _LAYOUTS[len(shape)]} if len(shape) < len(_LAYOUTS) else {}


def _preprocessing(metadata: ModelMetadata | None) -> dict[str, Any]:
    if metadata is None or metadata.preprocessing is None:
        return {}
    preprocessing = metadata.preprocessing
    resize = {"resize_mode": preprocessing.resize.upper()}
    if metadata.preprocessing_inside:
        zeros, ones = [0.0] * preprocessing.channels, [1.0] * preprocessing.channels
        dai_type = _DAI_TYPES["GRAY" if preprocessing.color == "GRAY" else "RGB"]
        return {"mean": zeros, "scale": ones, "dai_type": dai_type, **resize}
    return {
        "mean": [mean * _UINT8_MAX for mean in preprocessing.mean],
        "scale": [std * _UINT8_MAX for std in preprocessing.std],
        "dai_type": _DAI_TYPES[preprocessing.color],
        **resize,
    }
