"""From the command to the end of the first training step takes at most 1.05 times what a script by hand takes.

The script, `peers/digits_by_hand.py`, imports the same libraries and does the same as `cuelight train
examples/digits.yaml`. Both write a line when the first step is done, and are timed until that line comes. Of this,
Cuelight's own work may take 0.3 s of CPU, as `peers/own_work.py` measures it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common import Measurements, Target, interleave, parse_options, report

PEER = "script by hand"
OWN = "cuelight train"
DONE = "first step"
MOST_SECONDS = 0.3
PEERS = Path(__file__).with_name("peers")
EXAMPLE = Path(__file__).parent.parent / "examples" / "digits.yaml"
CALLBACKS = "[{name: LearningRateMonitor}, {name: EarlyStopping, params: {monitor: val/loss}}, {name: FirstStep}]"


def commands(folder: str) -> dict[str, list[str]]:
    """Tell what is compared.

    Args:
        folder: Where both write.

    Returns:
        Each command by its name.
    """
    cuelight = [str(Path(sys.executable).with_name("cuelight")), "train", str(EXAMPLE)]
    return {
        PEER: [sys.executable, str(PEERS / "digits_by_hand.py"), folder],
        OWN: [
            *cuelight,
            f"trainer.callbacks={CALLBACKS}",
            f"--source={PEERS / 'first_step_callback.py'}",
            f"--output={folder}",
        ],
    }


def measure(rounds: int) -> Measurements:
    """Time both.

    Args:
        rounds: Repetitions, after one to warm the file cache up.

    Returns:
        Seconds of each.
    """
    with tempfile.TemporaryDirectory() as folder:
        measures = {name: partial(_seconds, command) for name, command in commands(folder).items()}
        for warm_up in measures.values():
            warm_up()
        return interleave(measures, rounds)


def _seconds(command: Sequence[str]) -> float:
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            reached = any(DONE in line for line in process.stdout or ())
            took = time.perf_counter() - began
        if not reached:
            errors.seek(0)
            raise RuntimeError(f"{command[0]} ended without a training step:\n{errors.read()}")
    return took


def own_work_missed(rounds: int) -> bool:
    """Print how long Cuelight's own work takes; return whether that is too long."""
    command = [sys.executable, str(PEERS / "own_work.py"), str(EXAMPLE), str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = statistics.median(json.loads(done.stdout.splitlines()[-1]))
    print(f"Cuelight's own work: {seconds:.2f} s of CPU (at most {MOST_SECONDS} s)")
    return seconds > MOST_SECONDS


def main() -> int:
    options = parse_options("Time from command to first training step.", rounds=7)
    values = measure(options.rounds)
    missed = report("Time to the first training step", "s", values, PEER, {OWN: Target(1.05)})
    return int(own_work_missed(options.rounds) or missed)


if __name__ == "__main__":
    sys.exit(main())
