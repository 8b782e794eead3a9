"""ONNX Runtime on the CPU, quiet, with errors that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from onnxruntime.capi import onnxruntime_pybind11_state as runtime  # type: ignore[import-untyped]

from cuelight.errors import ArchiveError, CuelightError
from cuelight.export.onnx.info import OnnxInfo, TensorInfo, fixed_batch

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
    """Open a model in ONNX Runtime.

    Args:
        model: The content of an ONNX file, or where it is.
        source: The file that the user named, for the message.

    Returns:
        A session on the CPU.

    Raises:
        CuelightError: It is no ONNX model, or one that ONNX Runtime cannot run.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    content = str(model) if isinstance(model, Path) else model
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise CuelightError(
            f"{source}: ONNX Runtime cannot open this model: {error} If the file is damaged, export it again."
        ) from error


def output_tensors(info: OnnxInfo, onnx: Path) -> list[TensorInfo]:
    """Return the outputs of a graph at the batch size that an archive shows.

    Args:
        info: What the file says of itself.
        onnx: The file; it is run once if it leaves a size open.

    Returns:
        The outputs, all sizes known.
    """
    tensors = [TensorInfo(tensor.name, tensor.dtype, fixed_batch(tensor)) for tensor in info.outputs]
    if all(None not in tensor.shape for tensor in tensors):
        return tensors
    shapes = run_for_shapes(onnx, {tensor.name: tuple(size or 1 for size in tensor.shape) for tensor in info.inputs})
    return [TensorInfo(tensor.name, tensor.dtype, shapes[tensor.name]) for tensor in tensors]


def run_for_shapes(onnx: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Run a model once on zeros, to see how large its outputs are.

    Args:
        onnx: The file.
        input_shapes: The shape of each input, all sizes known.

    Returns:
        The shape of each output.

    Raises:
        ArchiveError: It does not run.
    """
    session = open_session(onnx, onnx)
    feeds = {entry.name: np.zeros(input_shapes[entry.name], numpy_type(entry.type)) for entry in session.get_inputs()}
    try:
        results = session.run(None, feeds)
    except RUNTIME_ERRORS as error:
        raise ArchiveError(f"{onnx}: the model does not run: {error} Export it again.") from error
    names = [entry.name for entry in session.get_outputs()]
    return {name: tuple(np.shape(result)) for name, result in zip(names, results, strict=True)}


def numpy_type(name: str) -> np.dtype[np.generic]:
    """Translate a type of ONNX Runtime.

    Args:
        name: Such as ``tensor(float)``.

    Returns:
        Such as float32.

    Examples:
        >>> numpy_type("tensor(uint8)")
        dtype('uint8')
    """
    return np.dtype(_NUMPY_TYPES.get(name, name.removeprefix("tensor(").removesuffix(")")))
