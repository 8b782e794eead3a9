"""The figures of a step that logs take a tenth of the time that `nvidia-smi` takes for them, or less.

A step that logs asks twice, at its start and at its end, for all that GPUStatsMonitor can log of every GPU that this
process sees: Cuelight through NVML, Lightning's callback of 1.5.10 through a process of nvidia-smi each time. It needs
an NVIDIA GPU; without one nothing is measured.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pynvml

from common import Measurements, Target, interleave, parse_options, report
from cuelight.utils import nvml

OWN = "NVML"
PEER = "nvidia-smi"
AT_START = ("utilization.gpu", "memory.used", "memory.free", "utilization.memory")
AT_END = (*AT_START, "fan.speed", "temperature.gpu", "temperature.memory")


def own_step(devices: Sequence[nvml.Device]) -> None:
    """Ask through NVML.

    Args:
        devices: The GPUs.
    """
    for names in (AT_START, AT_END):
        for device in devices:
            device.read(names)


def peer_step(command: str, uuids: Sequence[str]) -> None:
    """Ask through nvidia-smi.

    Args:
        command: Its path.
        uuids: The GPUs.
    """
    for names in (AT_START, AT_END):
        query = [f"--query-gpu={','.join(names)}", "--format=csv,nounits,noheader", f"--id={','.join(uuids)}"]
        subprocess.run([command, *query], capture_output=True, check=True)


def measure(command: str, rounds: int) -> Measurements:
    """Time both.

    Args:
        command: The path of nvidia-smi.
        rounds: Repetitions.

    Returns:
        Milliseconds per step that logs.
    """
    with nvml.session():
        devices = nvml.visible_devices()
        uuids = [pynvml.nvmlDeviceGetUUID(device.handle) for device in devices]
        steps = {OWN: partial(own_step, devices), PEER: partial(peer_step, command, uuids)}
        for step in steps.values():
            step()
        return interleave({name: partial(_milliseconds, step) for name, step in steps.items()}, rounds)


def _milliseconds(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1e3


def found_gpus() -> list[dict[str, Any]]:
    """Describe the GPUs of this machine.

    Returns:
        The GPUs; none without a driver that answers.
    """
    try:
        gpus: list[dict[str, Any]] = nvml.describe()["gpus"]
    except pynvml.NVMLError:
        return []
    return gpus


def main() -> int:
    options = parse_options("Figures of the GPUs in a step that logs.", rounds=30)
    gpus = found_gpus()
    command = shutil.which("nvidia-smi")
    if not gpus or command is None:
        print(f"not measured: {'no nvidia-smi' if gpus else 'no GPU'}; this benchmark needs an NVIDIA GPU")
        return 0
    title = f"All figures of a step that logs, {len(gpus)} GPU(s), {gpus[0].get('name', 'of unknown name')}"
    return report(title, "ms", measure(command, options.rounds), PEER, {OWN: Target(0.1)})


if __name__ == "__main__":
    sys.exit(main())
