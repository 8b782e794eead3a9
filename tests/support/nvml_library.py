"""The driver's library, played: what the real pynvml loads in place of libnvidia-ml.so.1."""

import ctypes
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pynvml


@dataclass
class GPU:
    """What a card answers; ``None`` for what it does not have."""

    uuid: str = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
    name: str = "NVIDIA Fake 4000"
    utilization: tuple[int, int] | None = (83, 41)
    total: int = 24576 * 2**20
    reserved: int = 512 * 2**20
    used: int = 1000 * 2**20
    fan: int | None = 30
    temperature: int | None = 61
    memory_temperature: int | None = 70
    error: int = 0  # of every question
    device: ctypes.Structure = field(default_factory=pynvml.struct_c_nvmlDevice_t, repr=False)


PASSIVE = GPU(name="NVIDIA Passive", fan=None, memory_temperature=None)


# Each symbol of the library that Cuelight needs, and what plays it.
SYMBOLS = {
    "nvmlInitWithFlags": "_init",
    "nvmlShutdown": "_shutdown",
    "nvmlSystemGetDriverVersion": "_driver_version",
    "nvmlSystemGetCudaDriverVersion_v2": "_cuda_driver_version",
    "nvmlDeviceGetCount_v2": "_count",
    "nvmlDeviceGetHandleByIndex_v2": "_handle_by_index",
    "nvmlDeviceGetHandleByUUID": "_handle_by_uuid",
    "nvmlDeviceGetName": "_name",
    "nvmlDeviceGetUUID": "_uuid",
    "nvmlDeviceGetUtilizationRates": "_utilization_rates",
    "nvmlDeviceGetMemoryInfo": "_memory_info",
    "nvmlDeviceGetMemoryInfo_v2": "_memory_info_v2",
    "nvmlDeviceGetFanSpeed": "_fan_speed",
    "nvmlDeviceGetTemperature": "_temperature",
    "nvmlDeviceGetFieldValues": "_field_values",
}


class Library:
    """The functions of NVML that Cuelight uses, with the C signatures by which pynvml calls them.

    Args:
        gpus: The cards, in the order of their PCI bus.
        old: Whether it lacks what drivers before 510 lack.
    """

    def __init__(self, *gpus, old=False):
        self.gpus = [replace(gpu, device=pynvml.struct_c_nvmlDevice_t()) for gpu in gpus]
        self.old = old
        self.error = 0  # of every question, if the driver itself fails
        self.sessions = 0
        self.calls = []

    def __getattr__(self, name):
        if name not in SYMBOLS or (self.old and name.endswith("MemoryInfo_v2")):
            raise AttributeError(name)  # as a library without the symbol

        def call(*arguments):
            self.calls.append(name)
            if not self.sessions and name != "nvmlInitWithFlags":
                return pynvml.NVML_ERROR_UNINITIALIZED
            if self.error and name != "nvmlShutdown":
                return self.error
            return getattr(self, SYMBOLS[name])(*map(_pointed_at, arguments)) or pynvml.NVML_SUCCESS

        return call

    def _init(self, flags):
        self.sessions += 1

    def _shutdown(self):
        self.sessions -= 1

    def _driver_version(self, text, length):
        text.value = b"575.57.08"

    def _cuda_driver_version(self, number):
        number.value = 12090

    def _count(self, number):
        number.value = sum(gpu.uuid.startswith("GPU-") for gpu in self.gpus)

    def _handle_by_index(self, index, handle):
        handle.contents = self.gpus[index.value].device

    def _handle_by_uuid(self, uuid, handle):
        found = [gpu for gpu in self.gpus if gpu.uuid.encode() == uuid.value]
        if not found:
            return pynvml.NVML_ERROR_NOT_FOUND
        handle.contents = found[0].device
        return pynvml.NVML_SUCCESS

    def _name(self, handle, text, length):
        return self._answer(handle, text, "value", lambda gpu: gpu.name.encode())

    def _uuid(self, handle, text, length):
        return self._answer(handle, text, "value", lambda gpu: gpu.uuid.encode())

    def _utilization_rates(self, handle, rates):
        return self._answer(handle, rates, "gpu", lambda gpu: gpu.utilization and gpu.utilization[0]) or self._answer(
            handle, rates, "memory", lambda gpu: gpu.utilization[1]
        )

    def _memory_info(self, handle, memory):
        """As version 1 counts: what is reserved is in use."""
        return (
            self._answer(handle, memory, "total", lambda gpu: gpu.total)
            or self._answer(handle, memory, "used", lambda gpu: gpu.used + gpu.reserved)
            or self._answer(handle, memory, "free", lambda gpu: gpu.total - gpu.used - gpu.reserved)
        )

    def _memory_info_v2(self, handle, memory):
        assert memory.version == pynvml.nvmlMemory_v2
        return self._memory_info(handle, memory) or self._answer(handle, memory, "used", lambda gpu: gpu.used)

    def _fan_speed(self, handle, speed):
        return self._answer(handle, speed, "value", lambda gpu: gpu.fan)

    def _temperature(self, handle, sensor, degrees):
        assert sensor.value == pynvml.NVML_TEMPERATURE_GPU
        return self._answer(handle, degrees, "value", lambda gpu: gpu.temperature)

    def _field_values(self, handle, count, values):
        for value in values:
            assert value.fieldId == pynvml.NVML_FI_DEV_MEMORY_TEMP
            value.nvmlReturn = self._answer(handle, value.value, "uiVal", lambda gpu: gpu.memory_temperature)

    def _answer(self, handle, place, attribute, figure):
        (gpu,) = (gpu for gpu in self.gpus if ctypes.addressof(gpu.device) == ctypes.addressof(handle.contents))
        value = None if gpu.error else figure(gpu)
        if value is None:
            return gpu.error or pynvml.NVML_ERROR_NOT_SUPPORTED
        setattr(place, attribute, value)
        return pynvml.NVML_SUCCESS


def _pointed_at(argument):
    return getattr(argument, "_obj", argument)  # what ctypes.byref was given


@contextmanager
def nvml_library(*gpus, **options):
    """Let pynvml load a library of these cards, and nothing of it afterwards."""
    before, pynvml.nvmlLib = pynvml.nvmlLib, Library(*gpus, **options)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    try:
        yield pynvml.nvmlLib
    finally:
        pynvml.nvmlLib = before
        pynvml._nvmlGetFunctionPointer_cache.clear()


@contextmanager
def no_nvml_library(monkeypatch):
    """Let pynvml find no library, as on a machine without a driver."""

    def find_none(name):
        raise OSError(name)

    with monkeypatch.context() as patch:
        patch.setattr(pynvml, "nvmlLib", None)
        patch.setattr(pynvml, "CDLL", find_none)
        yield
