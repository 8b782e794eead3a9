"""Constant folding: computing once what depends on weights alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
from onnx import helper

from cuelight.export.onnx.graph import OnnxGraph, replace_entries


def fold_weights(graph: OnnxGraph) -> None:
    """Merge batch normalization into the convolution before it, skip identities and transpose weights, in place.

    A graph with subgraphs (loops and branches) is left as it is.
    """
    nodes = graph.proto.graph.node
    if any(attribute.HasField("g") or attribute.graphs for node in nodes for attribute in node.attribute):
        return
    _skip_identities(graph)
    _transpose(graph)
    _merge_batch_normalization(graph)
    graph.drop_unused_weights()


def _skip_identities(graph: OnnxGraph) -> None:
    outputs = {value.name for value in graph.proto.graph.output}
    same: dict[str, str] = {}
    kept = []
    for node in graph.proto.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = same.get(name, name)
        if node.op_type == "Identity" and node.input[0] in graph.weights and node.output[0] not in outputs:
            same[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    replace_entries(graph.proto.graph.node, kept)


def _transpose(graph: OnnxGraph) -> None:
    uses, kept = _uses(graph), []
    for node in graph.proto.graph.node:
        source = node.input[0] if node.input else ""
        alone = uses[source] == 1 and source in graph.weights
        if node.op_type == "Transpose" and alone and uses[node.output[0]]:
            order = _attribute(node, "perm", None)
            graph.set_weight(node.output[0], graph.weights[source].transpose(order))
        else:
            kept.append(node)
    replace_entries(graph.proto.graph.node, kept)


def _merge_batch_normalization(graph: OnnxGraph) -> None:
    outputs = {value.name for value in graph.proto.graph.output}
    uses, kept = _uses(graph), []
    convolutions: dict[str, onnx.NodeProto] = {}
    for node in graph.proto.graph.node:
        if node.op_type == "Conv" and all(name in graph.weights for name in node.input[1:] if name):
            convolutions[node.output[0]] = node
        before = convolutions.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        free = before is not None and uses[node.input[0]] == 1 and node.input[0] not in outputs
        if before is not None and free and _is_mergeable(graph, before, node):
            _merge(graph, before, node, shared=uses[before.input[1]] > 1)
        else:
            kept.append(node)
    replace_entries(graph.proto.graph.node, kept)


def _is_mergeable(graph: OnnxGraph, convolution: onnx.NodeProto, normalization: onnx.NodeProto) -> bool:
    names = [*[name for name in convolution.input[1:] if name], *normalization.input[1:]]
    return (
        not _attribute(normalization, "training_mode", 0)
        and all(name in graph.weights and graph.weights[name].dtype == np.float32 for name in names)
    )  # fmt: skip


def _merge(graph: OnnxGraph, convolution: onnx.NodeProto, normalization: onnx.NodeProto, *, shared: bool) -> None:
    scale, shift, mean, variance = (graph.weights[name].astype(np.float64) for name in normalization.input[1:5])
    factor = scale / np.sqrt(variance + _attribute(normalization, "epsilon", 1e-5))
    weight_name = convolution.input[1]
    weight = graph.weights[weight_name]
    has_bias = len(convolution.input) > 2 and bool(convolution.input[2])  # noqa: PLR2004
    bias = graph.weights[convolution.input[2]].astype(np.float64) if has_bias else 0.0
    merged_name = f"{weight_name}_of_{normalization.output[0]}" if shared else weight_name
    bias_name = f"bias_of_{normalization.output[0]}"
    factors = factor.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1))
    graph.set_weight(merged_name, weight * factors)
    graph.set_weight(bias_name, (shift + (bias - mean) * factor).astype(np.float32))
    del convolution.input[1:]
    convolution.input.extend([merged_name, bias_name])
    convolution.output[0] = normalization.output[0]


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    found = next((entry for entry in node.attribute if entry.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def _uses(graph: OnnxGraph) -> Counter[str]:
    return Counter(name for node in graph.proto.graph.node for name in node.input)
