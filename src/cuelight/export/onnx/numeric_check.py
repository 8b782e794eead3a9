"""Comparison of the outputs of ONNX Runtime with those of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from cuelight.errors import ExportError
from cuelight.export.onnx.target import Batch

_ONLY_ERRORS = 3


@dataclass(frozen=True)
class Difference:
    """The largest difference of two values in an output of ONNX Runtime and of PyTorch.

    ``relative`` is ``absolute`` divided by the largest absolute value of PyTorch.
    """

    batch_size: int
    output: str
    absolute: float
    relative: float


def compare(model: Path | bytes, reference: Callable[..., Batch], batches: Sequence[Batch]) -> tuple[Difference, ...]:
    """Run a model, a file or its content, in ONNX Runtime on the CPU, and compare it with PyTorch.

    ``reference`` takes the tensors of a batch and returns the outputs, both in the order of the graph. The result has
    one entry for each batch and output. Raises ExportError if ONNX Runtime refuses the model, or an output is not
    finite or has another shape.
    """
    session = _session(model)
    return tuple(difference for batch in batches for difference in _differences(session, reference, batch))


def _session(model: Path | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    options.intra_op_num_threads = torch.get_num_threads()
    # The highest level copies all weights into another layout.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.enable_cpu_mem_arena = False
    content = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"ONNX Runtime cannot load the exported model: {error}") from error


def _differences(
    session: onnxruntime.InferenceSession, reference: Callable[..., Batch], batch: Batch
) -> list[Difference]:
    with torch.no_grad():
        expected = [tensor.detach().numpy().astype(np.float64) for tensor in reference(*batch)]
    names = [value.name for value in session.get_inputs()]
    feed = {name: tensor.numpy() for name, tensor in zip(names, batch, strict=True)}
    try:
        found = [array.astype(np.float64) for array in session.run(None, feed)]
    except Exception as error:
        raise ExportError(f"ONNX Runtime cannot run the exported model with {len(batch[0])} images: {error}") from error
    outputs = [value.name for value in session.get_outputs()]
    return [_difference(len(batch[0]), *entry) for entry in zip(outputs, found, expected, strict=True)]


def _difference(batch_size: int, output: str, found: NDArray[np.float64], expected: NDArray[np.float64]) -> Difference:
    if found.shape != expected.shape:
        raise ExportError(
            f"the output {output} has the shape {found.shape} in ONNX Runtime and {expected.shape} in PyTorch, with "
            f"{batch_size} images."
        )
    for where, values in (("already in PyTorch", expected), ("only in ONNX Runtime", found)):
        if not np.isfinite(values).all():
            what = "NaN" if np.isnan(values).any() else "infinity"
            raise ExportError(f"the output {output} of the model contains {what}, {where}, with {batch_size} images.")
    absolute = float(np.abs(found - expected).max(initial=0.0))
    largest = float(np.abs(expected).max(initial=0.0))
    relative = absolute / largest if largest else (np.inf if absolute else 0.0)
    return Difference(batch_size, output, absolute, float(relative))
