"""``cuelight predict``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cuelight.cli.display import begin
from cuelight.cli.images import CHECKPOINT_SUFFIX, noted, print_images, with_bar
from cuelight.errors import CheckpointError
from cuelight.prediction import Network, find_images, predict, write_predictions
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.runs.run import Run


def run(arguments: argparse.Namespace) -> int:
    """Predict images."""
    display = begin(arguments)
    network, folder = _open(Path(arguments.model))
    files = find_images(arguments.images)
    folder = Path(arguments.output) if arguments.output else folder
    predictions = with_bar(predict(network, files, arguments.batch_size), "predicting", len(files), display)
    rows: list[dict[str, Any]] = []
    predictions = noted(predictions, rows, lambda prediction: prediction.result.summary())
    write_predictions(predictions, folder, pictures=None if arguments.no_pictures else "png")
    if not arguments.quiet:
        print_images(rows, folder)
    return 0


def _open(model: Path) -> tuple[Network, Path]:
    """Return the model, and the folder for its predictions."""
    if not model.exists():
        raise CheckpointError(f"{model}: there is no such run directory, checkpoint, ONNX file or NN Archive.")
    if model.is_file() and model.suffix != CHECKPOINT_SUFFIX:
        return OnnxModel.open(model), Path("predictions")
    run = Run.load(model)
    return run.network(model if model.is_file() else None), (run.directory or Path()) / "predictions"
