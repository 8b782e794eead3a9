"""Log GPU statistics and step times during the training."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import lightning.pytorch as pl
import pynvml
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from cuelight.callbacks.base.check import no_tracker
from cuelight.config import Config
from cuelight.errors import Problem
from cuelight.tracking.sending import send_metrics
from cuelight.utils import nvml

_OF_NVIDIA = frozenset({"auto", "gpu", "cuda"})
_UTILIZATION = {"utilization.gpu": "%"}
_MEMORY = {"memory.used": "MB", "memory.free": "MB", "utilization.memory": "%"}
_FAN = {"fan.speed": "%"}
_TEMPERATURE = {"temperature.gpu": "°C", "temperature.memory": "°C"}


class GPUStatsMonitor(pl.Callback):
    """Logs utilization, memory and temperature of the GPUs of the training, at the start and the end of a step.

    It has the parameters, keys and times of logging of Lightning's callback of this name (until version 1.6). Values
    are read through NVML, without a ``nvidia-smi`` process each time; values that a GPU lacks are left out.

    Args:
        memory_utilization: Whether to log used and free memory in MiB, and the percentage of time in which memory was
            read or written.
        gpu_utilization: Whether to log the percentage of time in which the GPU was computing.
        intra_step_time: Whether to log the time from the start to the end of a step in milliseconds.
        inter_step_time: Whether to log the time from the end of a step to the start of the next in milliseconds.
        fan_speed: Whether to log the fan speed in percent of its maximum.
        temperature: Whether to log the temperatures of the GPU and of its memory in degrees Celsius.

    Raises:
        MisconfigurationException: When the training starts, if there is no NVIDIA driver, the training does not run on
            an NVIDIA GPU, or the trainer has no logger.
    """

    def __init__(
        self,
        memory_utilization: bool = True,
        gpu_utilization: bool = True,
        intra_step_time: bool = False,
        inter_step_time: bool = False,
        fan_speed: bool = False,
        temperature: bool = False,
    ) -> None:
        self.memory_utilization = memory_utilization
        self.gpu_utilization = gpu_utilization
        self.intra_step_time = intra_step_time
        self.inter_step_time = inter_step_time
        self.fan_speed = fan_speed
        self.temperature = temperature
        self._session = ExitStack()
        self._devices: dict[int, nvml.Device] = {}
        self._began: float | None = None
        self._ended: float | None = None
        self._step = 0

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find out whether there are a tracker and an NVIDIA GPU, without initializing CUDA."""
        if config is None:
            return
        yield from no_tracker(self, config)
        accelerator = config.trainer.accelerator
        reason = nvml.why_no_gpu() if accelerator in _OF_NVIDIA else f"trainer.accelerator is {accelerator}"
        if reason:
            yield Problem(_message(reason), on_this_machine=True)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the GPUs of the training."""
        if stage != "fit":
            return
        if not trainer.loggers:
            raise MisconfigurationException(_message("the Trainer has no logger; add one"))
        root = trainer.strategy.root_device
        if root.type != "cuda":
            raise MisconfigurationException(_message(f"the training runs on {root}, not on an NVIDIA GPU"))
        devices = getattr(trainer.strategy, "parallel_devices", None) or [root]
        try:
            with ExitStack() as session:
                session.enter_context(nvml.session())
                self._devices = {index: _device(index) for index in sorted({device.index for device in devices})}
                self._session = session.pop_all()
        except pynvml.NVMLError as error:
            raise MisconfigurationException(_message(nvml.explain(error))) from error

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset the times: the time between two epochs is not the time between two steps."""
        self._began = self._ended = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Log utilization and memory, and the time since the last step."""
        self._step = trainer.global_step
        if _logs_are_due(trainer, self._step):
            times = {"inter_step": self._ended} if self.inter_step_time else {}
            self._log(trainer, self._names_at_start(), times)
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log all values, and the time of the step."""
        if _logs_are_due(trainer, self._step):
            times = {"intra_step": self._began} if self.intra_step_time else {}
            self._log(trainer, self._names_at_start() | self._names_at_end(), times)
        self._ended = time.perf_counter()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the NVML session."""
        self._close()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the NVML session."""
        self._close()

    def _names_at_start(self) -> dict[str, str]:
        return (_UTILIZATION if self.gpu_utilization else {}) | (_MEMORY if self.memory_utilization else {})

    def _names_at_end(self) -> dict[str, str]:
        return (_FAN if self.fan_speed else {}) | (_TEMPERATURE if self.temperature else {})

    def _log(self, trainer: pl.Trainer, units: dict[str, str], since: dict[str, float | None]) -> None:
        now = time.perf_counter()  # before NVML is read, which is not part of the step
        times = {f"batch_time/{name} (ms)": (now - then) * 1e3 for name, then in since.items() if then is not None}
        figures = {
            f"device_id: {index}/{name} ({units[name]})": value
            for index, device in self._devices.items()
            for name, value in device.read(units).items()
        }
        if logs := figures | times:
            send_metrics(trainer.loggers, logs, self._step)

    def _close(self) -> None:
        self._devices = {}
        self._session.close()


def _message(reason: str) -> str:
    return (
        f"GPUStatsMonitor cannot log GPU metrics: {reason}. Remove it (in a YAML file: active: false), or use "
        "DeviceStatsMonitor, which works on every device."
    )


def _logs_are_due(trainer: pl.Trainer, step: int) -> bool:
    every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it by setattr
    return bool(every and ((step + 1) % every == 0 or trainer.should_stop) and trainer.is_global_zero)


def _device(index: int) -> nvml.Device:
    """Find a CUDA device in NVML by UUID: its index depends on CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER and MIG."""
    return nvml.Device.of_uuid(str(torch.cuda.get_device_properties(index).uuid))
