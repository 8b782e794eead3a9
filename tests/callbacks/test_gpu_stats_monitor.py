"""Figures of GPUs, from trainings on cards that are played; see support/played_gpus.py."""

import csv
import inspect
import pickle
import subprocess
from types import SimpleNamespace

import lightning.pytorch as pl
import pynvml
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import CSVLogger, Logger

from cuelight.callbacks.gpu_stats_monitor import GPUStatsMonitor
from support.nvml_library import GPU, PASSIVE, no_nvml_library
from support.played_gpus import PlayedGPUs, played_gpus
from support.trainers import fit, quiet_trainer

BUSY = "device_id: 0/utilization.gpu (%)"
MEMORY = {
    "device_id: 0/memory.used (MB)",
    "device_id: 0/memory.free (MB)",
    "device_id: 0/utilization.memory (%)",
}
FAN = "device_id: 0/fan.speed (%)"
TEMPERATURES = {"device_id: 0/temperature.gpu (°C)", "device_id: 0/temperature.memory (°C)"}
BETWEEN, WITHIN = "batch_time/inter_step (ms)", "batch_time/intra_step (ms)"
NOTHING = {"memory_utilization": False, "gpu_utilization": False}
FIRST, SECOND = GPU(), GPU(uuid="GPU-51000000-d72c-4106-c12f-20bd9faed9f6", utilization=(7, 3))


class Recorder(Logger):
    """Keeps what is logged, call by call."""

    name = version = "recorder"

    def __init__(self):
        super().__init__()
        self.calls = []

    def log_metrics(self, metrics, step=None):
        self.calls.append((step, metrics))

    def log_hyperparams(self, *_, **__):
        pass

    def keys(self):
        return [set(metrics) for _, metrics in self.calls]

    def steps(self):
        return [step for step, _ in self.calls]


def train(monitor, *devices, rank=0, logger=None, callbacks=(), **options):
    recorder = logger if logger is not None else Recorder()
    limits = {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 0, "log_every_n_steps": 1}
    strategy = PlayedGPUs(*devices, rank=rank)
    fit(None, [monitor, *callbacks], BoringModel, None, strategy=strategy, logger=recorder, **limits | options)
    return recorder


@pytest.fixture
def card():
    with played_gpus() as library:
        yield library
    assert library.sessions == 0


class Raises(pl.Callback):
    """Ends a training by an error."""

    def on_train_batch_end(self, *_):
        raise RuntimeError("in the middle")


class At(pl.Callback):
    """Does something at the start of a batch."""

    def __init__(self, batch, do):
        self.batch = batch
        self.do = do

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == self.batch:
            self.do(trainer)


class Advances(pl.Callback):
    """Lets time pass during a step and after it."""

    def __init__(self, clock, during, after):
        self.clock = clock
        self.during = during
        self.after = after

    def on_train_batch_start(self, *_):
        self.clock.now += self.during

    def on_train_batch_end(self, *_):
        self.clock.now += self.after


def test_parameters_are_those_of_lightnings():
    parameters = inspect.signature(GPUStatsMonitor).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "memory_utilization": True,
        "gpu_utilization": True,
        "intra_step_time": False,
        "inter_step_time": False,
        "fan_speed": False,
        "temperature": False,
    }


class TestKeysAndMoments:
    """Two batches: each logs at its start and at its end."""

    def test_by_default(self, card):
        assert train(GPUStatsMonitor()).keys() == [{BUSY} | MEMORY] * 4

    @pytest.mark.parametrize(
        ("parameter", "at_start", "at_end"),
        [
            ("memory_utilization", MEMORY, MEMORY),
            ("gpu_utilization", {BUSY}, {BUSY}),
            ("fan_speed", set(), {FAN}),
            ("temperature", set(), TEMPERATURES),
        ],
    )
    def test_of_each_parameter(self, card, parameter, at_start, at_end):
        keys = train(GPUStatsMonitor(**NOTHING | {parameter: True})).keys()
        assert keys == [logged for logged in (at_start, at_end) if logged] * 2

    def test_time_of_a_step_is_logged_at_its_end(self, card):
        assert (
            train(GPUStatsMonitor(gpu_utilization=True, memory_utilization=False, intra_step_time=True)).keys()
            == [
                {BUSY},
                {BUSY, WITHIN},
            ]
            * 2
        )

    def test_time_between_steps_is_logged_at_the_start_of_the_next(self, card):
        assert train(GPUStatsMonitor(**NOTHING, inter_step_time=True)).keys() == [{BETWEEN}]

    def test_time_between_steps_does_not_reach_over_epochs(self, card):
        recorder = train(GPUStatsMonitor(**NOTHING, inter_step_time=True), max_epochs=2)
        assert recorder.steps() == [1, 3]

    def test_with_nothing_to_log_nothing_is_logged(self, card):
        assert train(GPUStatsMonitor(**NOTHING)).calls == []

    def test_start_and_end_of_a_step_have_its_number(self, card):
        assert train(GPUStatsMonitor()).steps() == [0, 0, 1, 1]

    def test_only_when_logs_are_due(self, card):
        recorder = train(GPUStatsMonitor(), limit_train_batches=7, log_every_n_steps=3)
        assert recorder.steps() == [2, 2, 5, 5]

    def test_a_step_of_several_batches_has_one_number(self, card):
        recorder = train(GPUStatsMonitor(), limit_train_batches=8, accumulate_grad_batches=2, log_every_n_steps=2)
        assert recorder.steps() == [1, 1, 1, 1, 3, 3, 3, 3]

    def test_also_when_training_is_about_to_stop(self, card):
        stop = At(3, lambda trainer: setattr(trainer, "should_stop", True))
        recorder = train(GPUStatsMonitor(), callbacks=[stop], limit_train_batches=6, log_every_n_steps=100)
        assert recorder.steps() == [3]  # its end: the stop came after its start


class TestFigures:
    def test_are_logged_in_the_units_of_their_keys(self, card):
        _, metrics = train(GPUStatsMonitor(fan_speed=True, temperature=True)).calls[-1]
        assert metrics == {
            BUSY: 83.0,
            "device_id: 0/memory.used (MB)": 1000.0,
            "device_id: 0/memory.free (MB)": 24576.0 - 1000 - 512,
            "device_id: 0/utilization.memory (%)": 41.0,
            FAN: 30.0,
            "device_id: 0/temperature.gpu (°C)": 61.0,
            "device_id: 0/temperature.memory (°C)": 70.0,
        }

    def test_that_the_card_does_not_have_are_left_out(self):
        with played_gpus(PASSIVE):
            keys = train(GPUStatsMonitor(**NOTHING, fan_speed=True, temperature=True)).keys()
        assert keys == [{"device_id: 0/temperature.gpu (°C)"}] * 2

    def test_reach_a_file_under_their_names(self, card, tmp_path):
        train(GPUStatsMonitor(), logger=CSVLogger(tmp_path, name="", version=""))
        with (tmp_path / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["step"], row[BUSY]) for row in rows] == [("0", "83.0")] * 2 + [("1", "83.0")] * 2
        assert rows[0].keys() == {BUSY, "step"} | MEMORY


class TestTimes:
    def test_are_in_milliseconds(self, card, monkeypatch):
        clock = SimpleNamespace(now=0.0)
        monkeypatch.setattr("time.perf_counter", lambda: clock.now)
        monitor = GPUStatsMonitor(**NOTHING, intra_step_time=True, inter_step_time=True)
        recorder = train(monitor, callbacks=[Advances(clock, during=0.25, after=0.5)])
        assert recorder.calls == [(0, {WITHIN: 250.0}), (1, {BETWEEN: 500.0}), (1, {WITHIN: 250.0})]

    def test_do_not_hold_the_time_to_ask_the_driver(self, card, monkeypatch):
        monkeypatch.setattr("time.perf_counter", lambda: float(len(card.calls)))  # a second for each question
        recorder = train(GPUStatsMonitor(intra_step_time=True, inter_step_time=True))
        assert [metrics[WITHIN] for _, metrics in recorder.calls[1::2]] == [0.0, 0.0]
        assert recorder.calls[2][1][BETWEEN] == 0.0


class TestWhichCards:
    @pytest.mark.parametrize("variable", ["1", SECOND.uuid, "GPU-51"])
    def test_that_cuda_shows(self, monkeypatch, variable):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
        with played_gpus(FIRST, SECOND):
            assert train(GPUStatsMonitor()).calls[0][1][BUSY] == 7.0

    def test_of_the_training_under_their_number(self):
        with played_gpus(FIRST, SECOND):
            metrics = train(GPUStatsMonitor(memory_utilization=False), 1).calls[0][1]
        assert metrics == {"device_id: 1/utilization.gpu (%)": 7.0}

    def test_all_of_several(self):
        with played_gpus(FIRST, SECOND):
            metrics = train(GPUStatsMonitor(memory_utilization=False), 1, 0).calls[0][1]
        assert metrics == {BUSY: 83.0, "device_id: 1/utilization.gpu (%)": 7.0}

    def test_as_cuda_counts_them(self):
        with played_gpus(FIRST, SECOND, fastest_first=True):
            assert train(GPUStatsMonitor()).calls[0][1][BUSY] == 7.0

    def test_one_process_logs(self, card):
        assert train(GPUStatsMonitor(), rank=1).calls == []


class TestTheDriver:
    def test_is_asked_for_a_card_once(self, card):
        train(GPUStatsMonitor(), limit_train_batches=5)
        asked = card.calls.count("nvmlDeviceGetHandleByUUID"), card.calls.count("nvmlDeviceGetUtilizationRates")
        assert asked == (1, 10)

    def test_is_not_asked_between_logs(self, card):
        train(GPUStatsMonitor(), limit_train_batches=5, log_every_n_steps=5)
        assert card.calls.count("nvmlDeviceGetUtilizationRates") == 2

    def test_that_fails_in_the_middle_ends_no_training(self, card, caplog):
        lose = At(1, lambda trainer: setattr(card, "error", pynvml.NVML_ERROR_GPU_IS_LOST))
        recorder = train(GPUStatsMonitor(intra_step_time=True), callbacks=[lose], limit_train_batches=4)
        assert recorder.keys()[3:] == [{WITHIN}] * 3
        assert caplog.text.count("GPU is lost") == 2  # once for each question

    def test_is_let_go_after_an_error(self, card):
        with pytest.raises(RuntimeError, match="in the middle"):
            train(GPUStatsMonitor(), callbacks=[Raises()])
        assert card.sessions == 0

    def test_is_let_go_between_two_trainings(self, card):
        monitor = GPUStatsMonitor()
        assert [len(train(monitor).calls) for _ in range(2)] == [4, 4]
        assert card.sessions == 0

    def test_leaves_nothing_that_another_process_cannot_take(self, card):
        monitor = GPUStatsMonitor(temperature=True)
        train(monitor)
        assert pickle.loads(pickle.dumps(monitor)).temperature


class TestCannotWork:
    def test_without_a_logger(self, card):
        with pytest.raises(MisconfigurationException, match=r"has no logger.*active: false.*DeviceStatsMonitor"):
            train(GPUStatsMonitor(), logger=False)

    def test_on_another_device(self, card):
        trainer = quiet_trainer(None, [GPUStatsMonitor()], logger=Recorder(), max_steps=1)
        with pytest.raises(MisconfigurationException, match=r"runs on cpu.*active: false.*DeviceStatsMonitor"):
            trainer.fit(BoringModel())

    def test_without_a_driver(self, monkeypatch):
        reason = r"no NVIDIA driver is installed.*active: false.*DeviceStatsMonitor"
        with no_nvml_library(monkeypatch), pytest.raises(MisconfigurationException, match=reason):
            train(GPUStatsMonitor())

    def test_on_a_card_that_the_driver_does_not_know(self, card, monkeypatch):
        unknown = SimpleNamespace(uuid="00000000-0000-0000-0000-000000000000")
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: unknown)
        with pytest.raises(MisconfigurationException, match="does not respond: Not Found"):
            train(GPUStatsMonitor())
        assert card.sessions == 0

    def test_is_no_matter_for_a_test(self):
        quiet_trainer(None, [GPUStatsMonitor()], limit_test_batches=1).test(BoringModel(), verbose=False)


@pytest.mark.gpu
def test_on_a_real_card():
    recorder = Recorder()
    monitor = GPUStatsMonitor(temperature=True, fan_speed=True, intra_step_time=True, inter_step_time=True)
    settings = {"devices": 1, "max_steps": 3, "log_every_n_steps": 1, "limit_val_batches": 0, "logger": recorder}
    trainer, _ = fit(None, [monitor], BoringModel, None, accelerator="gpu", **settings)
    (device,) = trainer.device_ids
    _, metrics = recorder.calls[-1]
    uuid = torch.cuda.get_device_properties(device).uuid
    query = ["nvidia-smi", f"--id=GPU-{uuid}", "--query-gpu=memory.used,memory.free", "--format=csv,noheader,nounits"]
    used, free = map(float, subprocess.run(query, capture_output=True, text=True, check=True).stdout.split(","))
    assert metrics[f"device_id: {device}/memory.used (MB)"] == pytest.approx(used, abs=64)  # other processes may work
    assert metrics[f"device_id: {device}/memory.free (MB)"] == pytest.approx(free, abs=64)
    assert 10 < metrics[f"device_id: {device}/temperature.gpu (°C)"] < 110
    assert 0 <= metrics[f"device_id: {device}/utilization.gpu (%)"] <= 100
