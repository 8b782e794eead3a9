"""Export of the best weights as ONNX and as NN Archive."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_utilities import apply_to_collection
from torch import Tensor

from cuelight.config.schema import ExporterConfig
from cuelight.errors import CuelightError, ExportError
from cuelight.export.archive.nn_archive import archive_suffix, write_archive
from cuelight.export.onnx.export import Inputs, export_onnx
from cuelight.export.protocols import BringsExport, BringsHeads, NamesOutputs
from cuelight.tasks.lookup import head_problems
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.measured_weights import MeasuredWeights
from cuelight.train_end.outcomes import Outcome, read_outcomes
from cuelight.train_end.running import StepResult
from cuelight.utils.files import relative_to_run
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

EXPORT_STEP = "ExportOnTrainEnd"
EXPORT_FOLDER = "export"
ARCHIVE_FOLDER = "archive"
_ONNX_FOLDER = "onnx"

Report = Callable[[str], None]


def onnx_path(training: FinishedTraining, options: ExporterConfig) -> Path:
    """Return the default path of the ONNX file."""
    return training.directory / EXPORT_FOLDER / f"{options.name or training.name}.onnx"


def archive_path(training: FinishedTraining, options: ExporterConfig) -> Path:
    """Return the default path of the NN Archive."""
    name = f"{options.name or training.name}{archive_suffix(options.compression)}"
    return training.directory / ARCHIVE_FOLDER / name


def export(
    training: FinishedTraining, weights: MeasuredWeights, path: Path, options: ExporterConfig, report: Report
) -> StepResult:
    """Export weights as ONNX and compare the file with PyTorch; ``report`` gets the name of each stage.

    Raises:
        CheckpointError: If the weights do not fit the model.
        ExportError: If the model cannot be exported, or the outputs of the file differ from PyTorch's.
    """
    module = weights.module
    report("reading validation images")
    images, notes = _images(training)
    example = _example(module.example_input_array, images, type(module).__name__)
    metadata = training.describe(weights)
    exported = export_onnx(
        module.for_export() if isinstance(module, BringsExport) else module,
        example,
        path,
        options,
        metadata,
        images=images,
        output_names=module.output_names if isinstance(module, NamesOutputs) else None,
        report=report,
    )
    details = {key: value for key, value in exported.to_dict().items() if key != "path"}
    details["notes"] = [*notes, *details.get("notes", ())]
    furthest = max((difference.relative for difference in exported.differences), default=0.0)
    megabytes = exported.path.stat().st_size / 1e6
    logger.info(
        "%s: %.1f MB, opset %d, %s exporter, maximum difference from PyTorch %.1g of the largest output",
        path.name, megabytes, exported.opset, exported.exporter, furthest,
    )  # fmt: skip
    for note in details["notes"]:
        logger.warning("%s: %s", path.name, note)
    details["options"] = options.model_dump()
    return StepResult(weights.checkpoint, weights.fingerprint, [path], details)


def archive(
    training: FinishedTraining, weights: MeasuredWeights, path: Path, options: ExporterConfig, report: Report
) -> StepResult:
    """Write weights as NN Archive, from the file of ``ExportOnTrainEnd`` if it is up to date.

    Raises:
        CheckpointError: If the weights do not fit the model.
        ExportError: If the model cannot be exported, or the outputs of the file differ from PyTorch's.
        ArchiveError: If the archive cannot be written.
    """
    module = weights.module
    heads = module.archive_heads() if isinstance(module, BringsHeads) else None
    details: dict[str, Any] = {"export": f"that of {EXPORT_STEP}"}
    own = path.parent / _ONNX_FOLDER / onnx_path(training, options).name
    onnx, checksum = _exported_before(training, weights, options)
    try:
        if onnx is None:
            details = {"export": export(training, weights, own, options, report).details}
        report("writing the archive")
        onnx = onnx or own
        write_archive(
            onnx,
            path,
            name=onnx.stem,
            heads=heads,
            compression=options.compression,
            check_head=head_problems,
            checksum=checksum,
        )
    finally:  # a rejected file stays in the folder
        with suppress(OSError):
            own.unlink(missing_ok=True)
            own.parent.rmdir()
    details |= {"heads": len(heads or ()), "options": options.model_dump()}
    return StepResult(weights.checkpoint, weights.fingerprint, [path], details)


def is_up_to_date(
    outcome: Outcome, training: FinishedTraining, path: Path, options: ExporterConfig, weights: MeasuredWeights
) -> bool:
    """Return whether a step has written this file with these weights and options, and the file is unchanged."""
    return (
        outcome.status == "ok"
        and outcome.weights_fingerprint == weights.fingerprint
        and outcome.details.get("options") == options.model_dump()
        and relative_to_run(path, training.directory) in outcome.files
        and outcome.is_intact(training.directory)
    )


def _images(training: FinishedTraining) -> tuple[Tensor | None, list[str]]:
    try:
        images = training.validation_inputs()
    except (CuelightError, OSError) as error:
        return None, [f"the validation images cannot be read: {reason_of(error)}"]
    return images[:2] if images is not None else None, []


def _example(example: Inputs | None, images: Tensor | None, name: str) -> Inputs:
    if example is not None:
        inputs: Inputs = apply_to_collection(example, Tensor, _in_single_precision)
        return inputs
    if images is None:
        raise ExportError(
            f"{name} has no example_input_array, and there is no validation image to use instead. Set "
            "self.example_input_array in the module, such as torch.zeros(1, 3, 224, 224)."
        )
    return images[:1]


def _in_single_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _exported_before(
    training: FinishedTraining, weights: MeasuredWeights, options: ExporterConfig
) -> tuple[Path | None, str | None]:
    """Return the ONNX file of ``ExportOnTrainEnd`` and its SHA-256, if it is up to date."""
    path, exported = onnx_path(training, options), read_outcomes(training.directory).get(EXPORT_STEP)
    if exported is None or not is_up_to_date(exported, training, path, options, weights):
        return None, None
    return path, exported.files[relative_to_run(path, training.directory)]
