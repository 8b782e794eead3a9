"""GPUs for a real training on a machine that has none: CUDA and NVML tell of cards, the CPU computes."""

import os
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import pynvml
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

from cuelight.utils import nvml
from support.nvml_library import GPU, nvml_library


class PlayedGPUs(SingleDeviceStrategy):
    """Says that it trains on CUDA devices while callbacks are set up, and trains on the CPU.

    Args:
        *indices: The numbers of the devices, the first one its own.
        rank: The rank of the process.
    """

    def __init__(self, *indices, rank=0):
        super().__init__("cpu")
        self.devices = [torch.device("cuda", index) for index in indices or (0,)]
        self.rank = rank

    @property
    def is_global_zero(self):
        return self.rank == 0

    def setup_environment(self):
        super().setup_environment()
        self._root_device = self.devices[0]
        self.parallel_devices = self.devices

    def model_to_device(self):
        self._root_device = torch.device("cpu")
        super().model_to_device()


@contextmanager
def played_gpus(*gpus, fastest_first=False):
    """Put cards into the machine.

    Args:
        *gpus: The cards, in the order of their PCI bus; one if none is given.
        fastest_first: Whether CUDA counts them the other way around.

    Yields:
        The library of the driver.
    """

    def get_device_properties(index):
        with nvml.session():
            handles = [device.handle for device in nvml.visible_devices(os.environ)]
            handle = (handles[::-1] if fastest_first else handles)[index]
            return SimpleNamespace(uuid=pynvml.nvmlDeviceGetUUID(handle)[len("GPU-") :])

    with (
        nvml_library(*gpus or (GPU(),)) as library,
        mock.patch.object(torch.cuda, "get_device_properties", get_device_properties),
    ):
        yield library
