"""What is done to a graph after the exporter: simplification, half precision, and the shapes that are promised."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto
from onnxruntime.transformers.float16 import convert_float_to_float16  # type: ignore[import-untyped]

from cuelight.export.onnx.export_target import Target
from cuelight.export.onnx.graph import OnnxGraph
from cuelight.export.onnx.suppress_output import suppress_output

# They take the weight of every convolution for a constant, which a large one is not.
_NEEDS_WEIGHTS = ["FusionConvMul", "FusionConvTransposeMul"]


def simplify(graph: OnnxGraph) -> str:
    """Simplify a graph with onnxslim.

    Args:
        graph: Changed in place; left as it was if it cannot be simplified.

    Returns:
        Why it could not be simplified; empty if it was.
    """
    before = _signature(graph.proto)
    try:
        with suppress_output():
            import onnxslim  # type: ignore[import-untyped] # noqa: PLC0415 - may warn when it is imported

            slim = onnxslim.slim(
                onnx.ModelProto.FromString(graph.proto.SerializeToString()), skip_fusion_patterns=_NEEDS_WEIGHTS
            )
            onnx.checker.check_model(slim, full_check=True)
    except Exception as error:  # noqa: BLE001 - a graph that is not simplified is as good
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    after = _signature(slim)
    names = [name for name, _ in before]
    if [entry for entry in before if entry[0] not in graph.weights] != [
        entry for entry in after if entry[0] not in graph.weights
    ] or any(entry not in before for entry in after):
        return f"it changed the inputs and outputs {names} to {[name for name, _ in after]}"
    graph.proto = slim
    graph.drop_unused_weights()
    return ""


def to_half(graph: OnnxGraph) -> None:
    """Let a graph compute in float16, with inputs and outputs in float32.

    Args:
        graph: Changed in place.
    """
    kept = [value.name for value in [*graph.inputs, *graph.proto.graph.output]]
    with suppress_output():
        graph.proto = convert_float_to_float16(graph.proto, keep_io_types=kept)
    graph.sort_nodes()
    largest = float(np.finfo(np.float16).max)
    for value in graph.proto.graph.input:
        if value.name in graph.weights and value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            graph.weights[value.name] = np.clip(graph.weights[value.name], -largest, largest).astype(np.float16)


def set_shapes(graph: OnnxGraph, target: Target) -> None:
    """Write the shapes that are known for certain, in place of what the exporter inferred.

    Args:
        graph: Changed in place.
        target: Tells the shapes.
    """
    shapes = [*target.input_shapes, *target.output_shapes]
    for value, shape in zip([*graph.inputs, *graph.proto.graph.output], shapes, strict=True):
        dimensions = value.type.tensor_type.shape
        dimensions.ClearField("dim")
        for size in shape:
            dimensions.dim.add(**({"dim_param": size} if isinstance(size, str) else {"dim_value": size}))


def _signature(proto: onnx.ModelProto) -> list[tuple[str, int]]:
    values = [*proto.graph.input, *proto.graph.output]
    return [(value.name, value.type.tensor_type.elem_type) for value in values]
