"""Reading inputs, outputs, weight type and metadata of an ONNX file, without running it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from cuelight.errors import ArchiveError

_LUXONIS_NAMES = {"float": "float32", "double": "float64", "bool": "boolean"}


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a graph, with a type such as ``float32``; a free dimension is ``None``."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxInfo:
    """Inputs without weights, outputs, metadata, and the float type of most weights of an ONNX file."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    precision: str
    metadata: dict[str, str]


def read_onnx_info(path: Path) -> OnnxInfo:
    """Read the description of an ONNX file; ArchiveError if no archive can have this file."""
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise ArchiveError(f"{path}: the ONNX file cannot be read: {error.strerror}.") from error
    except DecodeError as error:
        raise ArchiveError(f"{path}: this is not a whole ONNX file: {error}. Export it again.") from error
    graph = model.graph
    if not graph.node:
        raise ArchiveError(f"{path}: this is not a whole ONNX file: it has no graph. Export it again.")
    if any(weights.data_location == TensorProto.EXTERNAL for weights in graph.initializer):
        raise ArchiveError(
            f"{path}: its weights are in a separate file, but an archive holds a single model file. Export it as one "
            "file, with external_data=False."
        )
    weight_names = {weights.name for weights in graph.initializer}
    return OnnxInfo(
        inputs=tuple(_tensor(value) for value in graph.input if value.name not in weight_names),
        outputs=tuple(_tensor(value) for value in graph.output),
        precision=_precision(graph),
        metadata={entry.key: entry.value for entry in model.metadata_props},
    )


def fixed_batch(tensor: TensorInfo) -> tuple[int | None, ...]:
    """Return the shape of a tensor, a free batch size replaced by 1."""
    free = bool(tensor.shape) and tensor.shape[0] is None
    return (1, *tensor.shape[1:]) if free else tensor.shape


def _tensor(value: onnx.ValueInfoProto) -> TensorInfo:
    kind = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)
    return TensorInfo(value.name, _type_name(kind.elem_type), shape)


def _type_name(number: int) -> str:
    """Return luxonis-ml's name of a type of ONNX; it refuses those that it has none for."""
    name: str = TensorProto.DataType.Name(number).lower()
    return _LUXONIS_NAMES.get(name, name)


def _precision(graph: onnx.GraphProto) -> str:
    counts: Counter[str] = Counter()
    for weights in graph.initializer:
        dtype = _type_name(weights.data_type)
        if dtype.startswith("float"):
            counts[dtype] += prod(weights.dims)
    return counts.most_common(1)[0][0] if counts else "float32"
