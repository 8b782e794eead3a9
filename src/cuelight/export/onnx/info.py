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

# luxonis-ml's names of the types of ONNX.
_TYPE_NAMES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.INT4: "int4",
    TensorProto.INT8: "int8",
    TensorProto.INT16: "int16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.UINT4: "uint4",
    TensorProto.UINT8: "uint8",
    TensorProto.UINT16: "uint16",
    TensorProto.UINT32: "uint32",
    TensorProto.UINT64: "uint64",
    TensorProto.BOOL: "boolean",
    TensorProto.STRING: "string",
}


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
        inputs=tuple(_tensor(value, path) for value in graph.input if value.name not in weight_names),
        outputs=tuple(_tensor(value, path) for value in graph.output),
        precision=_precision(graph),
        metadata={entry.key: entry.value for entry in model.metadata_props},
    )


def fixed_batch(tensor: TensorInfo) -> tuple[int | None, ...]:
    """Return the shape of a tensor, a free batch size replaced by 1."""
    free = bool(tensor.shape) and tensor.shape[0] is None
    return (1, *tensor.shape[1:]) if free else tensor.shape


def _tensor(value: onnx.ValueInfoProto, path: Path) -> TensorInfo:
    kind = value.type.tensor_type
    if kind.elem_type not in _TYPE_NAMES:
        raise ArchiveError(
            f"{path}: {value.name} has a type that NN Archives do not support; expected a tensor of one of "
            f"{', '.join(_TYPE_NAMES.values())}."
        )
    shape = tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)
    return TensorInfo(value.name, _TYPE_NAMES[kind.elem_type], shape)


def _precision(graph: onnx.GraphProto) -> str:
    counts: Counter[str] = Counter()
    for weights in graph.initializer:
        dtype = _TYPE_NAMES.get(weights.data_type, "")
        if dtype.startswith("float"):
            counts[dtype] += prod(weights.dims)
    return counts.most_common(1)[0][0] if counts else "float32"
