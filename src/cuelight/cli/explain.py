"""``cuelight explain``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cuelight.cli.display import begin
from cuelight.cli.images import CHECKPOINT_SUFFIX, noted, print_images, with_bar
from cuelight.errors import CheckpointError
from cuelight.prediction import find_images, write_explanations
from cuelight.runs.run import Run


def run(arguments: argparse.Namespace) -> int:
    """Explain images."""
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
    explanations = with_bar(explanations, "explaining", len(files), display)
    rows: list[dict[str, Any]] = []
    write_explanations(noted(explanations, rows, lambda explanation: explanation.row()), folder)
    if not arguments.quiet:
        print_images(rows, folder)
    return 0


def _open(path: Path) -> tuple[Run, Path | None]:
    """Return the run, and the checkpoint if one was given."""
    if path.is_file() and path.suffix != CHECKPOINT_SUFFIX:
        raise CheckpointError(
            f"{path}: expected a run directory or a checkpoint ({CHECKPOINT_SUFFIX}), because an exported model has no "
            "gradients."
        )
    return Run.load(path), path if path.is_file() else None


def _index_or_name(text: Any) -> Any:
    try:
        return int(text)
    except (TypeError, ValueError):
        return text
