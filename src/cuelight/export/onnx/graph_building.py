"""From a model in PyTorch to a file of ONNX that tells what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from cuelight.config.schema import ExporterConfig
from cuelight.errors import ExportError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export_target import Target
from cuelight.export.onnx.exporters import export_graph
from cuelight.export.onnx.graph import OnnxGraph
from cuelight.export.onnx.graph_passes import set_shapes, simplify, to_half
from cuelight.export.onnx.weight_folding import fold_weights
from cuelight.utils.files import atomic_write


@dataclass(frozen=True)
class Written:
    """How a file came about.

    Args:
        exporter: ``torchscript`` or ``dynamo``.
        simplified: Whether onnxslim simplified it.
        notes: What went otherwise than expected.
    """

    exporter: str
    simplified: bool
    notes: tuple[str, ...]


def write_graph(
    target: Target, path: Path, options: ExporterConfig, metadata: ModelMetadata, report: Callable[[str], None]
) -> Written:
    """Export to a file that is not compared with anything yet.

    Args:
        target: What is exported.
        path: Where the file shall be.
        options: How to export.
        metadata: What the file tells about itself.
        report: Told the name of each stage.

    Returns:
        How it was done.

    Raises:
        ExportError: No exporter takes the model, or the graph is not valid or too large.
        OSError: The disk is full.
    """
    notes, simplified = [], False
    exporter, graph, error = export_graph(target, options.opset, report)
    if error:
        notes.append(f"exported with {exporter}, because the other exporter refused the model: {error}")
    fold_weights(graph)
    graph.store_small_weights()
    if options.simplify:
        report("simplifying")
        problem = simplify(graph)
        simplified = not problem
        if problem:
            notes.append(f"not simplified: {problem}")
    set_shapes(graph, target)
    if options.half_precision:
        to_half(graph)
    _describe(graph, exporter, options, metadata)
    _check_graph(graph)
    with atomic_write(path) as file:
        graph.write(file)
    return Written(exporter, simplified, tuple(notes))


def _check_graph(graph: OnnxGraph) -> None:
    try:
        # Without the weights, whose values it does not look at: with them it would hold a copy of each.
        onnx.checker.check_model(graph.proto, full_check=True)
    except Exception as error:
        raise ExportError(
            f"the exported graph is not valid: {error} Try another `exporter.opset`, or leave "
            "`exporter.half_precision` out."
        ) from error


def _describe(graph: OnnxGraph, exporter: str, options: ExporterConfig, metadata: ModelMetadata) -> None:
    told = metadata.to_metadata() | {
        "preprocessing_inside": json.dumps(options.preprocessing),
        "exporter": exporter,
        "opset": str(options.opset),
        "export_options": json.dumps(options.model_dump()),
    }
    onnx.helper.set_model_props(graph.proto, told)
