"""Export and archive on request, instead of at the end of a training."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from rich.console import Console

from cuelight.errors import ExportError
from cuelight.train_end.display import showing
from cuelight.train_end.exporting import EXPORT_STEP, archive, archive_path, export, onnx_path
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.running import record_result
from cuelight.utils.files import relative_to_run
from cuelight.utils.words import is_text

_KINDS = {"export": (EXPORT_STEP, onnx_path, export), "archive": ("ArchiveOnTrainEnd", archive_path, archive)}


def write_now(
    kind: Literal["export", "archive"],
    training: FinishedTraining,
    checkpoint: Path,
    output: str | Path | None,
    console: Console | None,
    recorded: bool,
) -> Path:
    """Write a checkpoint as ONNX file or as NN Archive, and return the path.

    Args:
        kind: What to write.
        training: The training that the checkpoint belongs to.
        checkpoint: The checkpoint file.
        output: The file to write; ``None`` writes the default file of the step.
        console: Where progress is shown; ``None`` shows nothing.
        recorded: Whether to record a file inside the run directory in ``outcomes.json``, so that it can be verified.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ExportError: If it cannot be exported, or the outputs of the file differ from PyTorch's.
        ArchiveError: If luxonis-ml is missing, or the archive cannot be written.
    """
    began = time.monotonic()
    step, default_path, write = _KINDS[kind]
    if output is not None and Path(output).is_dir():
        raise ExportError(f"{output}: this is a folder. Expected a file, such as {Path(output) / 'model.onnx'}.")
    if output is not None and not is_text(output):
        raise ExportError(f"{output}: this path is not text in UTF-8. Choose another one.")
    path = Path(output) if output is not None else default_path(training, training.exporter)
    with showing(kind, console) as report:
        result = write(training, training.load(checkpoint), path, training.exporter, report)
    if recorded and not Path(relative_to_run(path, training.directory)).is_absolute():
        record_result(step, training.directory, result, began)
    return path
