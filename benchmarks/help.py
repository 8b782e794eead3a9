"""`cuelight --help` takes at most five times as long as `python -c pass`, and does not import torch."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common import Measurements, Target, interleave, parse_options, report

PEER = "python -c pass"
OWN = "cuelight --help"
HEAVY = frozenset({"torch", "lightning", "numpy", "timm", "torchvision"})

_LIST_MODULES = """\
import sys
from cuelight.cli import main
try:
    main(["--help"])
except SystemExit:
    sys.stderr.write(" ".join(sys.modules))
"""


def measure(rounds: int) -> Measurements:
    """Time both commands.

    Args:
        rounds: Repetitions.

    Returns:
        Milliseconds of each.
    """
    commands = {
        PEER: [sys.executable, "-c", "pass"],
        OWN: [str(Path(sys.executable).with_name("cuelight")), "--help"],
    }
    return interleave({name: partial(_milliseconds, command) for name, command in commands.items()}, rounds)


def heavy_imports() -> frozenset[str]:
    """Name the heavy packages that `cuelight --help` imports.

    Returns:
        Their names; none is what is wanted.
    """
    command = [sys.executable, "-c", _LIST_MODULES]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return HEAVY & set(listed.split())


def _milliseconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1e3


def main() -> int:
    options = parse_options(__doc__, rounds=40)
    missed = report("Time to the help text", "ms", measure(options.rounds), PEER, {OWN: Target(5)})
    heavy = heavy_imports()
    print(f"heavy imports: {', '.join(sorted(heavy)) or 'none'}")
    return int(missed or bool(heavy))


if __name__ == "__main__":
    sys.exit(main())
