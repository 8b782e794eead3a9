"""ONNX Runtime sessions on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from onnxruntime.capi import onnxruntime_pybind11_state as runtime  # type: ignore[import-untyped]

from cuelight.errors import ArchiveError, CuelightError
from cuelight.export.onnx.info import OnnxInfo, TensorInfo, fixed_batch
from cuelight.utils.words import is_text

_ONLY_ERRORS = 3
_NUMPY_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}

RUNTIME_ERRORS = (
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NoSuchFile,
    runtime.NotImplemented,
    runtime.RuntimeException,
)


def open_session(model: bytes | Path, source: Path) -> onnxruntime.InferenceSession:
    """Open a model, a file or its content, in ONNX Runtime on the CPU; ``source`` is its name in an error."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    content: str | bytes | Path = model
    if isinstance(model, Path):
        content = str(model) if is_text(model) else model.read_bytes()  # ONNX Runtime opens no other name
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise CuelightError(
            f"{source}: ONNX Runtime cannot open this model: {error} If the file is damaged, export it again."
        ) from error


def output_tensors(info: OnnxInfo, onnx: Path) -> list[TensorInfo]:
    """Return the outputs of a graph for one image, running it once if their sizes are not all fixed."""
    tensors = [TensorInfo(tensor.name, tensor.dtype, fixed_batch(tensor)) for tensor in info.outputs]
    if all(None not in tensor.shape for tensor in tensors):
        return tensors
    session = open_session(onnx, onnx)
    sizes = {tensor.name: tuple(size or 1 for size in tensor.shape) for tensor in info.inputs}
    feeds = {entry.name: np.zeros(sizes[entry.name], numpy_type(entry.type)) for entry in session.get_inputs()}
    try:
        results = session.run(None, feeds)
    except RUNTIME_ERRORS as error:
        raise ArchiveError(f"{onnx}: the model does not run: {error} Export it again.") from error
    shapes = {entry.name: np.shape(result) for entry, result in zip(session.get_outputs(), results, strict=True)}
    return [TensorInfo(tensor.name, tensor.dtype, shapes[tensor.name]) for tensor in tensors]


def numpy_type(name: str) -> np.dtype[np.generic]:
    """Return the numpy type of a type of ONNX Runtime.

    Examples:
        >>> numpy_type("tensor(uint8)")
        dtype('uint8')
    """
    return np.dtype(_NUMPY_TYPES.get(name, name.removeprefix("tensor(").removesuffix(")")))
