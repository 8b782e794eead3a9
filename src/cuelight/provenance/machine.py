"""The machine and the command of a run."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import pynvml

from cuelight.utils import nvml

_CPU_FILE = Path("/proc/cpuinfo")
_NOTEBOOK = frozenset({"ipykernel_launcher", "colab_kernel_launcher"})


def describe_machine() -> dict[str, Any]:
    """Describe Python, the system, the processor and the GPUs.

    ``cores`` counts those that the process may use. ``gpu`` is as :func:`cuelight.utils.nvml.describe` returns it, or
    the reason why it is not known.
    """
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "gpu": _gpu(),
    }


def command_name() -> str:
    """Return the program, script or package (``python -m``) of this process without arguments, or ``a notebook``."""
    program = Path(sys.argv[0]) if sys.argv else Path()
    if program.name == "__main__.py":
        program = program.absolute().parent
    if program.stem in _NOTEBOOK:
        return "a notebook"
    return "python" if program.name in {"", "-c", "-"} else program.name


def _gpu() -> dict[str, Any] | str:
    try:
        return nvml.describe()
    except pynvml.NVMLError_LibraryNotFound as error:
        return f"none: {nvml.explain(error)}"
    except pynvml.NVMLError as error:
        return f"not known: {nvml.explain(error)}"


def _cpu_model() -> str:
    if _CPU_FILE.is_file():
        for line in _CPU_FILE.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
