"""The best weights exported: as ONNX, and as NN Archive around the same ONNX."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

logger = logging.getLogger(__name__)

EXPORT_STEP = "ExportOnTrainEnd"
EXPORT_FOLDER = "export"
ARCHIVE_FOLDER = "archive"
_ONNX_FOLDER = "onnx"

Report = Callable[[str], None]


def onnx_path(training: FinishedTraining, options: ExporterConfig) -> Path:
    """Return where the ONNX file of a training belongs."""
    return training.directory / EXPORT_FOLDER / f"{options.name or training.name}.onnx"


def archive_path(training: FinishedTraining, options: ExporterConfig) -> Path:
    """Return where the NN Archive of a training belongs."""
    name = f"{options.name or training.name}{archive_suffix(options.compression)}"
    return training.directory / ARCHIVE_FOLDER / name


def export(
    training: FinishedTraining, weights: MeasuredWeights, path: Path, options: ExporterConfig, report: Report
) -> StepResult:
    """Export weights as ONNX, and check the file against PyTorch.

    Args:
        training: The training that they are from.
        weights: The weights.
        path: Where the ONNX file shall be.
        options: How to export.
        report: Called with the name of each stage.

    Returns:
        The file, and how it was made.

    Raises:
        CheckpointError: If the weights are of another model.
        ExportError: If the model cannot be exported, or does something else afterwards.
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
    """Make an NN Archive of weights, around the ONNX file of an export before if that holds them.

    Args:
        training: The training that they are from.
        weights: The weights.
        path: Where the archive shall be.
        options: How to export.
        report: Called with the name of each stage.

    Returns:
        The file, and how it was made.

    Raises:
        CheckpointError: If the weights are of another model.
        ExportError: If the model cannot be exported, or does something else afterwards.
        ArchiveError: If the archive cannot be written.
    """
    module = weights.module
    heads = module.archive_heads() if isinstance(module, BringsHeads) else None
    details: dict[str, Any] = {"export": f"that of {EXPORT_STEP}"}
    own = path.parent / _ONNX_FOLDER / onnx_path(training, options).name
    onnx = _exported_before(training, weights, options)
    try:
        if onnx is None:
            details = {"export": export(training, weights, own, options, report).details}
        report("writing the archive")
        onnx = onnx or own
        write_archive(
            onnx, path, name=onnx.stem, heads=heads, compression=options.compression, check_head=head_problems
        )
    finally:
        _remove(own)
    details |= {"heads": len(heads or ()), "options": options.model_dump()}
    return StepResult(weights.checkpoint, weights.fingerprint, [path], details)


def _remove(onnx: Path) -> None:
    """Remove what was exported for the archive alone; what was rejected stays beside it."""
    onnx.unlink(missing_ok=True)
    if onnx.parent.is_dir() and not any(onnx.parent.iterdir()):
        onnx.parent.rmdir()


def is_up_to_date(
    outcome: Outcome, training: FinishedTraining, path: Path, options: ExporterConfig, weights: MeasuredWeights
) -> bool:
    """Return whether a file is there that would be written in the same way again.

    Args:
        outcome: The outcome of the step that wrote it.
        training: The training.
        path: The file.
        options: How it would be exported now.
        weights: The weights that would be exported now.

    Returns:
        Whether weights and options are the same, and the file is as it was written.
    """
    return (
        outcome.status == "ok"
        and outcome.weights_fingerprint == weights.fingerprint
        and outcome.details.get("options") == options.model_dump()
        and relative_to_run(path, training.directory) in outcome.files
        and outcome.is_intact(training.directory)
    )


def _images(training: FinishedTraining) -> tuple[Any, list[str]]:
    try:
        images = training.validation_inputs()
    except (CuelightError, OSError) as error:
        return None, [f"the validation images cannot be read: {error}"]
    return (images[:2], []) if images is not None else (None, [])


def _example(example: Any, images: Any, name: str) -> Inputs:
    if example is not None:
        given: Inputs = example
        return given
    if images is None:
        raise ExportError(
            f"{name} has no example_input_array, and there is no validation image to use instead. Set "
            "self.example_input_array in the module, such as torch.zeros(1, 3, 224, 224)."
        )
    first: Inputs = images[:1]
    return first


def _exported_before(training: FinishedTraining, weights: MeasuredWeights, options: ExporterConfig) -> Path | None:
    """The ONNX file of the export before, if it is what a second one would write."""
    path, exported = onnx_path(training, options), read_outcomes(training.directory).get(EXPORT_STEP)
    return path if exported and is_up_to_date(exported, training, path, options, weights) else None
