"""From a PyTorch model to an ONNX file with metadata: two exporters, then passes over the graph."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from torch.onnx import TrainingMode

from cuelight.config.schema import ExporterConfig
from cuelight.errors import ExportError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.graph import OnnxGraph
from cuelight.export.onnx.suppress_output import suppress_output
from cuelight.export.onnx.target import Target
from cuelight.export.onnx.weight_folding import fold_weights
from cuelight.utils.files import atomic_write

_FLOOR_OF_DYNAMO = 18
_TERMINAL_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def write_graph(
    target: Target, path: Path, options: ExporterConfig, metadata: ModelMetadata, report: Callable[[str], None]
) -> tuple[str, bool, list[str]]:
    """Export to an ONNX file, which is not compared with PyTorch yet.

    Returns the exporter, ``torchscript`` or ``dynamo``; whether onnxslim simplified the graph; and notes. Raises
    ExportError if neither exporter accepts the model, or the graph is not valid or too large.
    """
    notes, simplified = [], False
    exporter, graph, error = _export_graph(target, options.opset, report)
    if error:
        notes.append(f"exported with {exporter}, because the other exporter failed: {error}")
    fold_weights(graph)
    graph.store_small_weights()
    if options.simplify:
        report("simplifying")
        problem = graph.simplify()
        simplified = not problem
        if problem:
            notes.append(f"not simplified: {problem}")
    _set_shapes(graph, [*target.input_shapes, *target.output_shapes])
    if options.half_precision:
        graph.to_half()
    entries = metadata.to_metadata() | {
        "preprocessing_inside": json.dumps(options.preprocessing),
        "exporter": exporter,
        "opset": str(options.opset),
        "export_options": json.dumps(options.model_dump()),
    }
    onnx.helper.set_model_props(graph.proto, entries)
    _check_graph(graph)
    with atomic_write(path) as file:
        graph.write(file)
    return exporter, simplified, notes


def _set_shapes(graph: OnnxGraph, shapes: Sequence[Sequence[int | str]]) -> None:
    """Replace the shapes that the exporter inferred by those of the real inputs and outputs."""
    for value, shape in zip([*graph.inputs, *graph.proto.graph.output], shapes, strict=True):
        dimensions = value.type.tensor_type.shape
        dimensions.ClearField("dim")
        for size in shape:
            dimensions.dim.add(**({"dim_param": size} if isinstance(size, str) else {"dim_value": size}))


def _check_graph(graph: OnnxGraph) -> None:
    try:
        # Without the weights, whose values it does not look at: with them it would hold a copy of each.
        onnx.checker.check_model(graph.proto, full_check=True)
    except Exception as error:
        raise ExportError(
            f"the exported graph is not valid: {error} Try another `exporter.opset`, or leave "
            "`exporter.half_precision` out."
        ) from error


def _export_graph(target: Target, opset: int, report: Callable[[str], None]) -> tuple[str, OnnxGraph, str]:
    """Export with the exporter that fits the opset; if it fails, with the other one.

    Returns the name of the exporter, the graph, and why the first exporter failed (empty if it did not).
    """
    names = ["dynamo", "torchscript"] if opset >= _FLOOR_OF_DYNAMO else ["torchscript", "dynamo"]
    reasons = []
    for name in names:
        report(f"exporting with {'TorchScript' if name == 'torchscript' else name}")
        try:
            with suppress_output(), torch.no_grad():
                graph = EXPORTERS[name](target, opset)
            _check_request(graph, target, opset)
        except Exception as error:  # noqa: BLE001 - an exporter may fail with anything; the reason is told
            reasons.append(f"{name}: {_first_line(error)}")
        else:
            return name, graph, "; ".join(reasons)
    raise ExportError(
        f"the model cannot be exported with opset {opset}. " + " | ".join(reasons) + " | Replace the "
        "unsupported operator, or try another `exporter.opset`: with 18 or higher, dynamo can export more models."
    )


def _torchscript(target: Target, opset: int) -> OnnxGraph:
    """Export by tracing; the weights are the parameters themselves."""
    names = [*target.input_names, *target.output_names]
    shapes = [*target.input_shapes, *target.output_shapes]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        torch.onnx.export(
            target.module, target.example, str(file), dynamo=False, opset_version=opset,
            input_names=target.input_names, output_names=target.output_names,
            dynamic_axes={name: {0: "batch"} for name, shape in zip(names, shapes, strict=True) if "batch" in shape},
            # With these three the weights stay inputs, each under its own name and with its own value.
            export_params=False, do_constant_folding=False, training=TrainingMode.PRESERVE,
        )  # fmt: skip
        proto = onnx.load(file)
    values = target.module.state_dict()
    wanted = [value.name for value in proto.graph.input][len(target.input_names) :]
    return OnnxGraph(proto, {name: values[name].detach().numpy() for name in wanted if name in values})


def _dynamo(target: Target, opset: int) -> OnnxGraph:
    """Export with ``torch.export``; the weights are the parameters, or computed from them by the exporter."""
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} if "batch" in shape else {} for shape in target.input_shapes)
    # torch.export takes a free size of 1 for a fixed one in some models.
    example = tuple(
        torch.cat([tensor, tensor]) if shape else tensor for tensor, shape in zip(target.example, shapes, strict=True)
    )
    with TemporaryDirectory() as folder:
        program = torch.onnx.export(
            target.module, example, None, dynamo=True, opset_version=opset, verbose=False,
            input_names=target.input_names, output_names=target.output_names, artifacts_dir=folder,
            dynamic_shapes=(shapes,) if any(shapes) else None,
        )  # fmt: skip
        if program is None:
            raise RuntimeError("the exporter returned no model")
        file = Path(folder) / "graph.onnx"
        program.save(file, include_initializers=False, keep_initializers_as_inputs=True)
        proto = onnx.load(file)
    values = {name: value.const_value for name, value in program.model.graph.initializers.items()}
    return OnnxGraph(proto, {name: value.numpy() for name, value in values.items() if value is not None})


EXPORTERS = {"torchscript": _torchscript, "dynamo": _dynamo}


def _check_request(graph: OnnxGraph, target: Target, opset: int) -> None:
    if graph.opset != opset:
        raise ExportError(f"expected opset {opset}, the exporter wrote {graph.opset}")
    found = [value.name for value in graph.inputs], [value.name for value in graph.proto.graph.output]
    expected = list(target.input_names), list(target.output_names)
    if found != expected:
        raise ExportError(f"expected inputs and outputs {expected}, the exporter wrote {found}")
    onnx.checker.check_model(graph.proto, full_check=True)


def _first_line(error: BaseException) -> str:
    """The first line of the root cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = _TERMINAL_COLORS.sub("", str(error)).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
