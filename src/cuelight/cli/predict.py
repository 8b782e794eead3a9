"""``cuelight predict``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.progress import track

from cuelight.cli.display import begin, print_images
from cuelight.deploy.onnx_model import OnnxModel
from cuelight.errors import CheckpointError
from cuelight.files import short_path
from cuelight.prediction import ImagePrediction, Network, find_images, predict, write_predictions
from cuelight.run import Run

_CHECKPOINT = ".ckpt"


def run(arguments: argparse.Namespace) -> int:
    """Predict images.

    Args:
        arguments: The parsed command line.

    Returns:
        The exit code.
    """
    display = begin(arguments)
    network, folder = _open(Path(arguments.model))
    files = find_images(arguments.images)
    folder = Path(arguments.output) if arguments.output else folder
    predictions = predict(network, files, arguments.batch_size)
    if display is not None and display.console is not None:
        predictions = iter(track(predictions, "predicting", total=len(files), console=display.console, transient=True))
    rows: list[dict[str, Any]] = []
    write_predictions(_noted(predictions, rows), folder, pictures=None if arguments.no_pictures else "png")
    if not arguments.quiet:
        print_images(rows, folder)
    return 0


def _open(model: Path) -> tuple[Network, Path]:
    """The model, and where its predictions go."""
    if not model.exists():
        raise CheckpointError(f"{model}: there is no such run directory, checkpoint, ONNX file or NN Archive.")
    if model.is_file() and model.suffix != _CHECKPOINT:
        return OnnxModel.open(model), Path("predictions")
    run = Run.load(model)
    return run.network(model if model.is_file() else None), (run.directory or Path()) / "predictions"


def _noted(predictions: Iterator[ImagePrediction], rows: list[dict[str, Any]]) -> Iterator[ImagePrediction]:
    for prediction in predictions:
        rows.append({"image": short_path(prediction.path.absolute())} | prediction.result.summary())
        yield prediction
