"""The commands that read images: ``predict`` and ``explain``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from cuelight import prediction
from cuelight.cli.display import begin, print_json
from cuelight.errors import CheckpointError, NoSuchRunError
from cuelight.utils.console import make_console
from cuelight.utils.files import short_path

if TYPE_CHECKING:
    from cuelight.prediction import ImageExplanation, ImagePrediction, Network

CHECKPOINT_SUFFIX = ".ckpt"
_MOST_SHOWN = 20

Found = TypeVar("Found", "ImagePrediction", "ImageExplanation")


def predict(arguments: argparse.Namespace) -> int:
    """Predict images."""
    console = begin(arguments)
    network, folder = _network(Path(arguments.model))
    files = prediction.find_images(arguments.images)
    folder = Path(arguments.output) if arguments.output else folder
    found = with_bar(prediction.predict(network, files, arguments.batch_size), "predicting", len(files), console)
    rows: list[dict[str, Any]] = []
    found = _noted(found, rows, lambda one: one.result.summary())
    prediction.write_predictions(found, folder, pictures=None if arguments.no_pictures else "png", coco=arguments.coco)
    if arguments.json:
        print_json(rows)
    elif not arguments.quiet:
        print_images(rows, folder)
    return 0


def _network(model: Path) -> tuple[Network, Path]:
    """Return the model, and the folder for its predictions."""
    if not model.exists():
        raise NoSuchRunError(f"{model}: there is no such run directory, checkpoint, ONNX file or NN Archive.")
    if model.is_file() and model.suffix != CHECKPOINT_SUFFIX:
        from cuelight.prediction.onnx_model import OnnxModel

        return OnnxModel.open(model), Path("predictions")
    from cuelight.runs.run import Run

    run = Run.load(model)
    return run.network(model if model.is_file() else None), (run.directory or Path()) / "predictions"


def explain(arguments: argparse.Namespace) -> int:
    """Explain images."""
    console = begin(arguments)
    path = Path(arguments.run)
    if path.is_file() and path.suffix != CHECKPOINT_SUFFIX:
        raise CheckpointError(
            f"{path}: expected a run directory or a checkpoint ({CHECKPOINT_SUFFIX}), because an exported model has no "
            "gradients."
        )
    from cuelight.runs.run import Run

    run = Run.load(path)
    files = prediction.find_images(arguments.images)
    folder = Path(arguments.output) if arguments.output else (run.directory or Path()) / "explain"
    found = run.explain(
        files,
        path if path.is_file() else None,
        layer=_index_or_name(arguments.layer),
        class_idx=arguments.class_idx,
        method=arguments.method,
        output=_index_or_name(arguments.model_output),
        batch_size=arguments.batch_size,
    )
    found = with_bar(found, "explaining", len(files), console)
    rows: list[dict[str, Any]] = []
    prediction.write_explanations(_noted(found, rows, lambda one: one.row()), folder)
    if arguments.json:
        print_json(rows)
    elif not arguments.quiet:
        print_images(rows, folder)
    return 0


def _index_or_name(text: Any) -> Any:
    try:
        return int(text)
    except (TypeError, ValueError):
        return text


def with_bar(found: Iterator[Any], doing: str, count: int, console: Console | None) -> Iterator[Any]:
    """Return the results with a progress bar on a terminal, else unchanged."""
    if console is None or not console.is_terminal:
        return found
    return iter(track(found, doing, count, console=console, transient=True))


def _noted(
    found: Iterator[Found], rows: list[dict[str, Any]], row: Callable[[Found], Mapping[str, Any]]
) -> Iterator[Found]:
    """Append a row for ``print_images`` to ``rows`` as each result passes through."""
    for one in found:
        rows.append({"image": short_path(one.path.absolute()), **row(one)})
        yield one


def print_images(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print the first 20 rows, without empty columns, and the output folder. All rows have the same keys."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    columns = [name for name in rows[0] if any(row[name] != "" for row in rows[:_MOST_SHOWN])]
    for name in columns:
        table.add_column(name)
    for row in rows[:_MOST_SHOWN]:
        values = [row[name] for name in columns]
        table.add_row(*(escape(f"{value:.4f}" if isinstance(value, float) else str(value)) for value in values))
    console = make_console()
    console.print(table)
    if len(rows) > _MOST_SHOWN:
        console.print(f"and {len(rows) - _MOST_SHOWN} more images")
    console.print(f"files  {short_path(folder.absolute())}")
