"""``cuelight explain``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.progress import track

from cuelight.cli.display import begin, print_images
from cuelight.errors import CheckpointError
from cuelight.files import short_path
from cuelight.prediction import ImageExplanation, find_images, write_explanations
from cuelight.run import Run

_CHECKPOINT = ".ckpt"


def run(arguments: argparse.Namespace) -> int:
    """Explain images.

    Args:
        arguments: The parsed command line.

    Returns:
        The exit code.
    """
    display = begin(arguments)
    opened, checkpoint = _open(Path(arguments.run))
    files = find_images(arguments.images)
    folder = Path(arguments.output) if arguments.output else (opened.directory or Path()) / "explain"
    explanations = opened.explain(
        files,
        checkpoint,
        layer=_index_or_name(arguments.layer),
        class_idx=arguments.class_idx,
        method=arguments.method,
        output=_index_or_name(arguments.model_output),
        batch_size=arguments.batch_size,
    )
    if display is not None and display.console is not None:
        explanations = iter(track(explanations, "explaining", len(files), console=display.console, transient=True))
    rows: list[dict[str, Any]] = []
    write_explanations(_noted(explanations, rows), folder)
    if not arguments.quiet:
        print_images(rows, folder)
    return 0


def _open(path: Path) -> tuple[Run, Path | None]:
    """The run, and the checkpoint that is meant, if one was named."""
    if path.is_file() and path.suffix != _CHECKPOINT:
        raise CheckpointError(
            f"{path}: only a run directory or a checkpoint ({_CHECKPOINT}) can be explained, because an exported model "
            "has no gradients."
        )
    return Run.load(path), path if path.is_file() else None


def _index_or_name(text: Any) -> Any:
    try:
        return int(text)
    except (TypeError, ValueError):
        return text


def _noted(explanations: Iterator[ImageExplanation], rows: list[dict[str, Any]]) -> Iterator[ImageExplanation]:
    for explanation in explanations:
        rows.append({"image": short_path(explanation.path.absolute())} | explanation.row())
        yield explanation
