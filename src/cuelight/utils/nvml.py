"""NVIDIA GPUs as their driver sees them: which ones a process may use, their names, and their load.

NVML (NVIDIA Management Library) is part of the driver; ``nvidia-smi`` uses it, too.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pynvml

logger = logging.getLogger(__name__)

MIB = 2**20
_NUMBER = re.compile(r"\s*\+?(\d+)")  # like CUDA, reads the leading digits


@contextmanager
def session() -> Iterator[None]:
    """Open NVML, and close it at the end. Sessions may be nested. Raises ``pynvml.NVMLError`` if there is no driver."""
    pynvml.nvmlInit()
    try:
        yield
    finally:
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError as error:  # such as a lost GPU; nothing is left to close
            logger.debug("NVML could not be shut down: %s", error)


def explain(error: Exception) -> str:
    """Return in a clause why NVML cannot be used."""
    if isinstance(error, pynvml.NVMLError_LibraryNotFound):
        return "no NVIDIA driver is installed"
    return f"the NVIDIA driver does not respond: {error}"


def why_no_gpu() -> str | None:
    """Return in a clause why PyTorch finds no NVIDIA GPU in this process; None if it finds one. Does not start CUDA."""
    import torch  # noqa: PLC0415 - seconds, and nothing else here needs it

    try:
        with session():
            if torch.cuda.device_count():
                return None
    except pynvml.NVMLError as error:
        return explain(error)
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if variable is None else f' (CUDA_VISIBLE_DEVICES is "{variable}")'
    return f"PyTorch finds no GPU{shown}"


class Device:
    """A GPU or a MIG instance, by its NVML handle; valid during the session in which it was found."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self._absent: set[Callable[[Any], Mapping[str, float]]] = set()
        self._failed: set[Callable[[Any], Mapping[str, float]]] = set()

    @classmethod
    def of_uuid(cls, uuid: str) -> Device:
        """Find a device by the UUID that CUDA gives, which has no prefix ``GPU-`` or ``MIG-``."""
        try:
            return cls(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
        except pynvml.NVMLError_NotFound:
            return cls(pynvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}"))

    def read(self, names: Collection[str]) -> dict[str, float]:
        """Return values by name, without those that the device does not have or that cannot be read now.

        The names and units are those of ``nvidia-smi --query-gpu``: ``utilization.gpu`` and ``utilization.memory`` (%),
        ``memory.used`` and ``memory.free`` (MiB), ``fan.speed`` (%), ``temperature.gpu`` and ``temperature.memory``
        (°C).
        """
        figures: dict[str, float] = {}
        for reader, given in _READERS.items():
            if reader not in self._absent and not given.isdisjoint(names):
                figures |= self._ask(reader)
        return {name: figures[name] for name in names if name in figures}

    def _ask(self, reader: Callable[[Any], Mapping[str, float]]) -> Mapping[str, float]:
        try:
            return reader(self.handle)
        except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
            self._absent.add(reader)
        except pynvml.NVMLError as error:
            if reader not in self._failed:
                self._failed.add(reader)
                logger.warning("The driver could not read %s: %s. Skipped.", ", ".join(sorted(_READERS[reader])), error)
        return {}


def _utilization(handle: Any) -> dict[str, float]:
    rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
    return {"utilization.gpu": float(rates.gpu), "utilization.memory": float(rates.memory)}


def _memory(handle: Any) -> dict[str, float]:
    memory = _memory_info(handle)
    return {"memory.used": memory.used / MIB, "memory.free": memory.free / MIB}


def _memory_info(handle: Any) -> Any:
    """Return memory as nvidia-smi counts it: what the driver reserves is not in use."""
    try:
        return pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except pynvml.NVMLError_FunctionNotFound:  # drivers before 510
        return pynvml.nvmlDeviceGetMemoryInfo(handle)


def _fan(handle: Any) -> dict[str, float]:
    return {"fan.speed": float(pynvml.nvmlDeviceGetFanSpeed(handle))}


def _core_temperature(handle: Any) -> dict[str, float]:
    return {"temperature.gpu": float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))}


def _memory_temperature(handle: Any) -> dict[str, float]:
    (field,) = pynvml.nvmlDeviceGetFieldValues(handle, [pynvml.NVML_FI_DEV_MEMORY_TEMP])
    if field.nvmlReturn != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(field.nvmlReturn)
    return {"temperature.memory": float(field.value.uiVal)}


_READERS: dict[Callable[[Any], Mapping[str, float]], frozenset[str]] = {
    _utilization: frozenset({"utilization.gpu", "utilization.memory"}),
    _memory: frozenset({"memory.used", "memory.free"}),
    _fan: frozenset({"fan.speed"}),
    _core_temperature: frozenset({"temperature.gpu"}),
    _memory_temperature: frozenset({"temperature.memory"}),
}


def visible_devices(environment: Mapping[str, str] = os.environ) -> list[Device]:
    """Return the devices that CUDA shows to a process; all if ``CUDA_VISIBLE_DEVICES`` is not set. Needs a session.

    The variable is read as CUDA reads it, without starting CUDA: numbers, UUIDs of GPUs or unique prefixes of them, or
    UUIDs of MIG instances. The list ends at the first invalid entry, and a duplicate makes it empty (NVIDIA, CUDA
    Programming Guide, CUDA Environment Variables). Numbers are those of NVML, which counts by PCI bus. Where cards
    differ, CUDA does so only with ``CUDA_DEVICE_ORDER=PCI_BUS_ID``; UUIDs from CUDA itself are always right.
    """
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    variable = environment.get("CUDA_VISIBLE_DEVICES")
    if variable is None:
        return [Device(handle) for handle in handles]
    entries = variable.split(",")
    if entries[0].startswith("GPU-"):
        uuids = [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
        return [Device(handles[place]) for place in _until_none(entries, lambda entry: _only_match(entry, uuids))]
    if entries[0].startswith("MIG-"):
        return [Device(handle) for handle in _until_none(entries, _mig_instance)]
    return [Device(handles[place]) for place in _until_none(entries, lambda entry: _place(entry, len(handles)))]


def _until_none(entries: Sequence[str], find: Callable[[str], Any]) -> list[Any]:
    found: list[Any] = []
    for position, entry in enumerate(entries):
        one = find(entry)
        if one is None:
            break
        if one in found or entry in entries[:position]:
            return []
        found.append(one)
    return found


def _place(entry: str, count: int) -> int | None:
    number = _NUMBER.match(entry)
    return int(number[1]) if number and int(number[1]) < count else None


def _only_match(entry: str, uuids: Sequence[str]) -> int | None:
    places = [place for place, uuid in enumerate(uuids) if uuid.startswith(entry)]
    return places[0] if entry.startswith("GPU-") and len(places) == 1 else None


def _mig_instance(entry: str) -> Any | None:
    try:
        return pynvml.nvmlDeviceGetHandleByUUID(entry) if entry.startswith("MIG-") else None
    except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
        return None


def describe(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Describe the driver and the GPUs that a process sees, without starting CUDA.

    Returns ``driver`` and ``cuda`` (the newest version that the driver supports) as text, and ``gpus``, a list with
    ``name``, ``memory_mib`` and ``uuid`` of each. Values that cannot be read are left out. Raises ``pynvml.NVMLError``
    if there is no driver, or it does not answer; :func:`explain` gives the reason.
    """
    with session():
        described = _told(driver=pynvml.nvmlSystemGetDriverVersion, cuda=_cuda_version)
        return described | {"gpus": [_describe_gpu(device.handle) for device in visible_devices(environment)]}


def _describe_gpu(handle: Any) -> dict[str, Any]:
    return _told(
        name=lambda: pynvml.nvmlDeviceGetName(handle),
        memory_mib=lambda: _memory_info(handle).total // MIB,
        uuid=lambda: pynvml.nvmlDeviceGetUUID(handle),
    )


def _cuda_version() -> str:
    number = pynvml.nvmlSystemGetCudaDriverVersion_v2()
    return f"{number // 1000}.{number % 1000 // 10}"


def _told(**questions: Callable[[], Any]) -> dict[str, Any]:
    answers = {name: _answer(ask) for name, ask in questions.items()}
    return {name: answer for name, answer in answers.items() if answer is not None}


def _answer(ask: Callable[[], Any]) -> Any | None:
    try:
        return ask()
    except pynvml.NVMLError as error:
        logger.debug("A GPU property could not be read: %s", error)
        return None
