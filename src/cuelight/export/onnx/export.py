"""Export of a model to one ONNX file, which is renamed to its final name only after the check against PyTorch."""

from __future__ import annotations

import ctypes
import gc
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cuelight.config.schema import ExporterConfig
from cuelight.errors import ExportError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.graph_building import write_graph
from cuelight.export.onnx.numeric_check import Difference, compare
from cuelight.export.onnx.target import Inputs, Target, make_target
from cuelight.utils.files import TEMPORARY_SUFFIX

__all__ = ["Exported", "Inputs", "export_onnx"]

_TOLERANCE, _TOLERANCE_OF_HALF = 1e-3, 0.02


@dataclass(frozen=True)
class Exported:
    """An exported and checked ONNX file.

    Args:
        path: The file.
        exporter: ``torchscript`` or ``dynamo``.
        opset: Version of the operators.
        input_names: Inputs of the graph.
        output_names: Outputs of the graph.
        simplified: Whether onnxslim simplified it.
        differences: Differences to the outputs of PyTorch, for each batch size and output.
        notes: What went otherwise than expected.
    """

    path: Path
    exporter: str
    opset: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    simplified: bool
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return this as plain data for JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self) | {"path": str(self.path)}))
        return plain


def export_onnx(
    model: nn.Module,
    example: Inputs,
    path: Path,
    options: ExporterConfig,
    metadata: ModelMetadata,
    *,
    images: Tensor | None = None,
    output_names: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Export a model to ONNX, and check the file against PyTorch.

    The file appears complete and checked, or not at all; until then an older file of that name stays. A file whose
    outputs are wrong is kept as ``<name>.rejected.onnx``.

    Args:
        model: The model on the CPU; it is exported in eval mode, and its modes are restored.
        example: Its inputs, as Lightning's ``example_input_array``.
        path: The file to write.
        options: How to export.
        metadata: What is written into the file.
        images: Normalized images ``(N, C, H, W)`` for the check; random numbers if left out.
        output_names: Names of the outputs; keys of a mapping, or ``output``, if left out.
        report: Called with the name of each stage.

    Raises:
        ExportError: The model cannot be exported, the file cannot be written, or its outputs differ from the model's.
    """
    rejected = path.with_name(f"{path.stem}.rejected.onnx")
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with _keeping_modes(model), torch.no_grad():
        target, notes = make_target(model, example, options, metadata, output_names, images)
        try:
            exporter, simplified, found = write_graph(target, temporary, options, metadata, report)
            report("checking with ONNX Runtime")
            _release_memory()
            differences = _checked(temporary, target, options, rejected)
            temporary.replace(path)
        except OSError as error:
            raise ExportError(
                f"{path}: the exported model could not be written: {error.strerror or error}. No partial file remains, "
                "and an existing file of that name is unchanged. Free some space or choose another folder, then export "
                "again."
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    with suppress(OSError):
        rejected.unlink(missing_ok=True)
    names = target.input_names, target.output_names
    return Exported(path, exporter, options.opset, *names, simplified, differences, (*found, *notes))


@contextmanager
def _keeping_modes(model: nn.Module) -> Iterator[None]:
    """Restore the training mode of every submodule at the end."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _release_memory() -> None:
    """Return freed memory to the system; the C library would keep it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _checked(path: Path, target: Target, options: ExporterConfig, rejected: Path) -> tuple[Difference, ...]:
    tolerance = options.tolerance or (_TOLERANCE_OF_HALF if options.half_precision else _TOLERANCE)
    try:
        differences = compare(path, target.module, target.check_batches)
        _refuse_above(tolerance, differences)
    except ExportError as error:
        path.replace(rejected)
        raise ExportError(f"{error} The file is kept as {rejected}.") from error
    return differences


def _refuse_above(tolerance: float, differences: Sequence[Difference]) -> None:
    worst = max(differences, key=lambda difference: difference.relative)
    if worst.relative > tolerance:
        raise ExportError(
            f"ONNX Runtime and PyTorch differ: in the output {worst.output}, with a batch of {worst.batch_size}, by "
            f"{worst.absolute:.3g}, which is {worst.relative:.3g} of its largest value; at most {tolerance:g} is "
            "allowed. Try another `exporter.opset` or `exporter.simplify: false`, leave `exporter.half_precision` "
            "out, or raise `exporter.tolerance` if this difference is acceptable."
        )
