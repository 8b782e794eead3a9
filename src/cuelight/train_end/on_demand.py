"""Export and archive when somebody asks for it: the file that a step after the training would write, or another one."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from cuelight.errors import ExportError
from cuelight.train_end.display import showing
from cuelight.train_end.exporting import EXPORT_STEP, ExportedWeights, archive, archive_path, export, onnx_path
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.running import StepResult, record_result

_ARCHIVE_STEP = "ArchiveOnTrainEnd"


def export_now(
    training: FinishedTraining, checkpoint: Path, output: str | Path | None, console: Console | None, recorded: bool
) -> Path:
    """Export a checkpoint as ONNX.

    Args:
        training: The training that it is from.
        checkpoint: The file.
        output: The file to write; where the step writes it if left out.
        console: Where progress is shown; ``None`` shows nothing.
        recorded: Whether a file in the directory of the training is put into ``outcomes.json``, to be verified.

    Returns:
        The ONNX file.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ExportError: If it cannot be exported, or does something else afterwards.
    """
    began = time.monotonic()
    path = _file_for(output) or onnx_path(training)
    with showing("export", console) as report:
        exported = export(training, checkpoint, path, report)
    if recorded:
        _record(EXPORT_STEP, training, checkpoint, exported, began)
    return exported.path


def archive_now(
    training: FinishedTraining, checkpoint: Path, output: str | Path | None, console: Console | None, recorded: bool
) -> Path:
    """Write a checkpoint as NN Archive.

    Args:
        training: The training that it is from.
        checkpoint: The file.
        output: The file to write; where the step writes it if left out.
        console: Where progress is shown; ``None`` shows nothing.
        recorded: Whether a file in the directory of the training is put into ``outcomes.json``, to be verified.

    Returns:
        The archive.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ExportError: If it cannot be exported, or does something else afterwards.
        ArchiveError: If luxonis-ml is missing, or the archive cannot be written.
    """
    began = time.monotonic()
    path = _file_for(output) or archive_path(training)
    with showing("archive", console) as report:
        written = archive(training, checkpoint, path, report)
    if recorded:
        _record(_ARCHIVE_STEP, training, checkpoint, written, began)
    return written.path


def _record(step: str, training: FinishedTraining, checkpoint: Path, written: ExportedWeights, began: float) -> None:
    if written.path.absolute().is_relative_to(training.directory):
        result = StepResult(checkpoint, written.fingerprint, [written.path], written.details)
        record_result(step, training.directory, result, began)


def _file_for(output: str | Path | None) -> Path | None:
    if output is not None and Path(output).is_dir():
        raise ExportError(f"{output}: this is a folder. Give the file to write, such as {Path(output) / 'model.onnx'}.")
    return Path(output) if output is not None else None
