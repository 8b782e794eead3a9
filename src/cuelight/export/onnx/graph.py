"""An ONNX model whose weights are kept outside the protobuf, so that changing and writing it does not copy them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16  # type: ignore[import-untyped]

from cuelight.errors import ExportError
from cuelight.export.onnx.suppress_output import suppress_output

Array = NDArray[Any]

# Field numbers in onnx.proto, with the wire type LEN.
_GRAPH_OF_MODEL = 7 << 3 | 2
_INITIALIZER_OF_GRAPH = 5 << 3 | 2
_RAW_DATA_OF_TENSOR = 9 << 3 | 2

# Bytes. Small tensors are often parameters of operators, whose values onnxslim needs.
_SMALL = 16 * 1024
# Fusions that expect the weight of a convolution to be a constant; a large weight is an input here.
_NEEDS_WEIGHTS = ["FusionConvMul", "FusionConvTransposeMul"]


@dataclass
class OnnxGraph:
    """A graph whose weights follow its other inputs, and their values by name.

    The values may be views of the parameters of the exported model.
    """

    proto: onnx.ModelProto
    weights: dict[str, Array]

    @property
    def opset(self) -> int:
        """Opset version of the default ONNX domain."""
        return next(int(entry.version) for entry in self.proto.opset_import if entry.domain in {"", "ai.onnx"})

    @property
    def inputs(self) -> list[onnx.ValueInfoProto]:
        """The inputs that are not weights."""
        return [value for value in self.proto.graph.input if value.name not in self.weights]

    def keep_inputs(self, inputs: list[onnx.ValueInfoProto]) -> None:
        """Replace the inputs of the graph by the given entries of ``proto.graph.input``."""
        replace_entries(self.proto.graph.input, inputs)

    def set_weight(self, name: str, value: Array) -> None:
        """Add or replace a weight."""
        self.keep_inputs([known for known in self.proto.graph.input if known.name != name])
        data_type = helper.np_dtype_to_tensor_dtype(value.dtype)
        self.proto.graph.input.append(helper.make_tensor_value_info(name, data_type, value.shape))
        self.weights[name] = value

    def drop_unused_weights(self) -> None:
        """Remove the weights that no node reads."""
        read = {name for node in _all_nodes(self.proto.graph) for name in node.input}
        read |= {value.name for value in self.proto.graph.output}
        self.keep_inputs([
            value for value in self.proto.graph.input if value.name not in self.weights or value.name in read
        ])  # fmt: skip
        present = {value.name for value in self.proto.graph.input}
        self.weights = {name: value for name, value in self.weights.items() if name in present}

    def sort_nodes(self) -> None:
        """Sort the nodes topologically, as ONNX requires."""
        nodes = list(self.proto.graph.node)
        maker = {name: index for index, node in enumerate(nodes) for name in node.output if name}
        order = TopologicalSorter({
            index: {maker[name] for inner in _with_inner(node) for name in inner.input if name in maker}
            for index, node in enumerate(nodes)
        })  # fmt: skip
        replace_entries(self.proto.graph.node, [nodes[index] for index in order.static_order()])

    def store_small_weights(self) -> None:
        """Move the small weights into the graph, so that onnxslim can read their values."""
        small = {name: value for name, value in self.weights.items() if value.nbytes <= _SMALL}
        for name, value in small.items():
            self.proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        self.keep_inputs([value for value in self.proto.graph.input if value.name not in small])
        self.weights = {name: value for name, value in self.weights.items() if name not in small}

    def simplify(self) -> str:
        """Simplify the graph with onnxslim; return why that failed, or an empty text."""
        before = _signature(self.proto)
        try:
            with suppress_output():
                import onnxslim  # type: ignore[import-untyped] # noqa: PLC0415 - its import may warn

                slim = onnxslim.slim(
                    onnx.ModelProto.FromString(self.proto.SerializeToString()), skip_fusion_patterns=_NEEDS_WEIGHTS
                )
                onnx.checker.check_model(slim, full_check=True)
        except Exception as error:  # noqa: BLE001 - the graph works without it
            return (str(error).strip() or type(error).__name__).splitlines()[0]
        after = _signature(slim)
        names = [name for name, _ in before]
        if [entry for entry in before if entry[0] not in self.weights] != [
            entry for entry in after if entry[0] not in self.weights
        ] or any(entry not in before for entry in after):
            return f"it changed the inputs and outputs {names} to {[name for name, _ in after]}"
        self.proto = slim
        self.drop_unused_weights()
        return ""

    def to_half(self) -> None:
        """Convert the graph to float16, with inputs and outputs in float32."""
        kept = [value.name for value in [*self.inputs, *self.proto.graph.output]]
        with suppress_output():
            self.proto = convert_float_to_float16(self.proto, keep_io_types=kept)
        self.sort_nodes()
        largest = float(np.finfo(np.float16).max)
        for value in self.proto.graph.input:
            if value.name in self.weights and value.type.tensor_type.elem_type == TensorProto.FLOAT16:
                self.weights[value.name] = np.clip(self.weights[value.name], -largest, largest).astype(np.float16)

    def write(self, file: BinaryIO) -> None:
        """Write one ONNX file with the weights inside, one tensor at a time; ExportError if it is too large."""
        rest = OnnxGraph(onnx.ModelProto.FromString(self.proto.SerializeToString()), self.weights)
        rest.keep_inputs(rest.inputs)
        graph = rest.proto.graph.SerializeToString()
        rest.proto.ClearField("graph")
        heads = {name: _tensor_head(name, value) for name, value in self.weights.items()}
        sizes = {name: len(heads[name]) + value.nbytes for name, value in self.weights.items()}
        size = len(graph) + sum(size + len(_field(_INITIALIZER_OF_GRAPH, size)) for size in sizes.values())
        if size >= checker.MAXIMUM_PROTOBUF:
            raise ExportError(
                f"the model takes {size / 1e9:.2f} GB, but an ONNX file holds at most "
                f"{checker.MAXIMUM_PROTOBUF / 1e9:.0f} GB. Use a smaller model, or `exporter.half_precision: true`."
            )
        file.write(rest.proto.SerializeToString())
        file.write(_field(_GRAPH_OF_MODEL, size))
        file.write(graph)
        for name, value in self.weights.items():
            file.write(_field(_INITIALIZER_OF_GRAPH, sizes[name]))
            file.write(heads[name])
            file.write(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)


def replace_entries(field: Any, entries: Sequence[Any]) -> None:
    """Replace the entries of a repeated field, of which the new ones may be some."""
    copies = [type(entry).FromString(entry.SerializeToString()) for entry in entries]
    del field[:]
    field.extend(copies)


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of its subgraphs."""
    for node in graph.node:
        yield from _with_inner(node)


def _with_inner(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    yield node
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            yield from _all_nodes(graph)


def _tensor_head(name: str, value: Array) -> bytes:
    tensor = onnx.TensorProto(name=name, dims=value.shape, data_type=helper.np_dtype_to_tensor_dtype(value.dtype))
    head: bytes = tensor.SerializeToString()
    return head + _field(_RAW_DATA_OF_TENSOR, value.nbytes)


def _field(key: int, size: int) -> bytes:
    """The start of a protobuf field: its key and its length as a varint."""
    encoded = [key]
    while size > 0x7F:  # noqa: PLR2004
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*encoded, size])


def _signature(proto: onnx.ModelProto) -> list[tuple[str, int]]:
    values = [*proto.graph.input, *proto.graph.output]
    return [(value.name, value.type.tensor_type.elem_type) for value in values]
