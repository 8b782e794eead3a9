"""``cuelight schema``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cuelight.errors import CuelightError
from cuelight.registry import load_source
from cuelight.registry.json_schema import make_schema
from cuelight.utils.files import write_text

SCHEMA_FILE = "cuelight.schema.json"
"""Its usual name, in the first line of the starter files and the examples."""


def run(arguments: argparse.Namespace) -> int:
    """Write the JSON Schema of the YAML file, or print it."""
    for source in arguments.source:
        load_source(source)
    if not arguments.output:
        sys.stdout.write(schema_text())
        return 0
    try:
        write_text(Path(arguments.output), schema_text())
    except OSError as error:
        raise CuelightError(f"{arguments.output} cannot be written: {error.strerror}.") from error
    return 0


def schema_text() -> str:
    """Return the schema as JSON."""
    return json.dumps(make_schema(), ensure_ascii=False) + "\n"
