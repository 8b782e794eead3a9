"""NVIDIA GPUs as their driver knows them: which ones a process may use, what they are, what they are doing.

NVML (NVIDIA Management Library) is a part of the driver; ``nvidia-smi`` prints what it answers.
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
_NUMBER = re.compile(r"\s*\+?(\d+)")  # CUDA reads a number as far as there are digits


@contextmanager
def session() -> Iterator[None]:
    """Open NVML, and close it in the end. Sessions are counted, so one may be opened within another.

    Raises:
        pynvml.NVMLError: If there is no driver.
    """
    pynvml.nvmlInit()
    try:
        yield
    finally:
        _shut_down()


def _shut_down() -> None:
    try:
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:  # such as of a GPU that is lost; there is nothing left to close
        logger.debug("NVML was not closed: %s", error)


def explain(error: Exception) -> str:
    """Say in plain words why NVML cannot be used.

    Args:
        error: What it raised.

    Returns:
        A clause.
    """
    if isinstance(error, pynvml.NVMLError_LibraryNotFound):
        return "no NVIDIA driver is installed"
    return f"the NVIDIA driver does not answer: {error}"


def why_no_gpu() -> str | None:
    """Return why PyTorch would find no NVIDIA GPU in this process, without starting CUDA.

    Returns:
        The reason, as a clause; ``None`` if there is a GPU.
    """
    import torch  # noqa: PLC0415 - seconds, and nothing else here needs it

    try:
        with session():
            if torch.cuda.device_count():
                return None
    except pynvml.NVMLError as error:
        return explain(error)
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if variable is None else f' (CUDA_VISIBLE_DEVICES is "{variable}")'
    return f"PyTorch finds none{shown}"


class Device:
    """A GPU, or a MIG instance of one; it is valid as long as the session in which it was found.

    Args:
        handle: The handle of NVML.
    """

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self._absent: set[Callable[[Any], Mapping[str, float]]] = set()
        self._failed: set[Callable[[Any], Mapping[str, float]]] = set()

    @classmethod
    def of_uuid(cls, uuid: str) -> Device:
        """Find a device.

        Args:
            uuid: Its UUID as CUDA gives it, without the prefix that tells a GPU from a MIG instance.

        Returns:
            The device.

        Raises:
            pynvml.NVMLError: If there is none.
        """
        try:
            return cls(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
        except pynvml.NVMLError_NotFound:
            return cls(pynvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}"))

    def read(self, names: Collection[str]) -> dict[str, float]:
        """Read figures, in the words and units of ``nvidia-smi --query-gpu``.

        Args:
            names: Which: ``utilization.gpu`` and ``utilization.memory`` (%), ``memory.used`` and ``memory.free`` (MiB),
                ``fan.speed`` (%), ``temperature.gpu`` and ``temperature.memory`` (°C).

        Returns:
            Each by its name. What the device does not have is left out, and so is what cannot be read at the moment.
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
                logger.warning("The driver did not give %s: %s. Left out.", ", ".join(sorted(_READERS[reader])), error)
        return {}


def _utilization(handle: Any) -> dict[str, float]:
    rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
    return {"utilization.gpu": float(rates.gpu), "utilization.memory": float(rates.memory)}


def _memory(handle: Any) -> dict[str, float]:
    memory = _memory_info(handle)
    return {"memory.used": memory.used / MIB, "memory.free": memory.free / MIB}


def _memory_info(handle: Any) -> Any:
    """Memory as nvidia-smi counts it: what the driver keeps for itself is not in use."""
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
    """Find the devices that CUDA shows to a process, within a session and without starting CUDA.

    ``CUDA_VISIBLE_DEVICES`` is read as CUDA reads it: numbers, UUIDs of GPUs or beginnings of them that fit one only,
    or UUIDs of MIG instances; the list ends at the first entry that means nothing, and one that comes twice makes it
    empty (NVIDIA, CUDA Programming Guide, CUDA Environment Variables). Numbers are those of NVML, which counts by PCI
    bus. Where cards differ, CUDA does so only with ``CUDA_DEVICE_ORDER=PCI_BUS_ID``; the UUIDs that CUDA itself gives
    are certain.

    Args:
        environment: The environment of the process.

    Returns:
        The devices, in the order of the variable; all of the machine if it is not set.

    Raises:
        pynvml.NVMLError: If the driver does not answer.
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

    Args:
        environment: The environment of the process.

    Returns:
        ``driver`` and ``cuda``, the newest version that the driver supports, as text, and ``gpus``, a list with the
        ``name``, the ``memory_mib`` and the ``uuid`` of each. What the driver does not tell is left out.

    Raises:
        pynvml.NVMLError: If there is no driver, or it does not answer; ``explain`` says why.
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
        logger.debug("Left out of the description of the GPUs: %s", error)
        return None
