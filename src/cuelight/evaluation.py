"""A checkpoint measured on a split of the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl

from cuelight.building import build_model
from cuelight.config import Config
from cuelight.errors import CheckpointError
from cuelight.files import write_text
from cuelight.trainer import build_evaluator, take_model_callbacks
from cuelight.weights.checkpoint_io import load_checkpoint

View = Literal["test", "val"]
RESULTS_FILE = "results.json"


def evaluate(
    config: Config,
    checkpoint: Path,
    data: pl.LightningDataModule,
    view: View = "test",
    display: pl.Callback | None = None,
    trained_by: pl.Trainer | None = None,
) -> dict[str, float]:
    """Measure a checkpoint with a model and a trainer of their own, so that nothing else is touched.

    Args:
        config: The configuration of the run.
        checkpoint: The file whose weights are measured.
        data: The data.
        view: Which split: ``test`` or ``val``.
        display: What shows the progress.
        trained_by: The trainer of the training before; its device is used again.

    Returns:
        Each metric by its name, such as ``test/accuracy``.

    Raises:
        CheckpointError: If the file is missing, damaged or of another model.
    """
    content = load_checkpoint(checkpoint)
    model = build_model(config, data, fresh=False)
    take_model_callbacks(model)  # they belong to the training; fresh ones would know nothing of it
    model.on_load_checkpoint(content)
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise CheckpointError(
            f"{checkpoint}: its weights do not fit {config.model.name} as configured: {error}"
        ) from error
    trainer = build_evaluator(config.trainer, [display] if display else [], trained_by)
    run = trainer.test if view == "test" else trainer.validate
    results: list[Mapping[str, float]] = run(model, datamodule=data, verbose=False)
    return {name: float(value) for result in results for name, value in result.items()}


def write_results(directory: Path, view: View, checkpoint: Path, metrics: Mapping[str, float]) -> Path:
    """Add the results for one split to ``test/results.json``.

    Args:
        directory: The run directory.
        view: Which split was measured.
        checkpoint: The file that was measured.
        metrics: What was measured.

    Returns:
        The path of the file.
    """
    path = directory / "test" / RESULTS_FILE
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    file, folder = checkpoint.absolute(), directory.absolute()
    measured = str(file.relative_to(folder) if file.is_relative_to(folder) else file)
    results[view] = {"checkpoint": measured, "metrics": dict(metrics)}
    write_text(path, json.dumps(results, indent=2) + "\n")
    return path
