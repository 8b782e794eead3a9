"""GPUs as the driver's library tells them; the library is played, pynvml is real."""

import logging
from contextlib import ExitStack

import pynvml
import pytest

from cuelight.utils import nvml
from support.nvml_library import GPU, PASSIVE, no_nvml_library, nvml_library

FIRST, SECOND, THIRD = (f"GPU-{start}-d72c-4106-c12f-20bd9faed9f6" for start in ("8932f937", "8932aaaa", "51000000"))
MIG = "MIG-1c5e6e1f-1b2c-5d3e-8f4a-0123456789ab"
EVERYTHING = (
    "utilization.gpu", "utilization.memory", "memory.used", "memory.free", "fan.speed", "temperature.gpu",
    "temperature.memory",
)  # fmt: skip


@pytest.fixture
def play():
    """Lets pynvml load a library of cards; all sessions have to be closed in the end."""
    with ExitStack() as stack:
        libraries = []

        def load(*gpus, **options):
            libraries.append(stack.enter_context(nvml_library(*gpus, **options)))
            return libraries[-1]

        yield load
        assert [library.sessions for library in libraries] == [0]


def read(names=EVERYTHING):
    with nvml.session():
        (device,) = nvml.visible_devices({})
        return device.read(names)


class TestSession:
    def test_sessions_are_counted(self, play):
        library = play(GPU())
        with nvml.session():
            with nvml.session():
                assert library.sessions == 2
            assert nvml.visible_devices({})
        assert library.sessions == 0

    def test_is_closed_after_an_error(self, play):
        library = play(GPU())
        with pytest.raises(RuntimeError), nvml.session():
            raise RuntimeError
        assert library.sessions == 0

    def test_a_driver_that_fails_in_the_end_fails_nothing(self, play):
        library = play(GPU())
        with nvml.session():
            library.shutdown_error = pynvml.NVML_ERROR_UNKNOWN
        assert library.sessions == 0

    def test_without_a_driver_says_so(self, monkeypatch):
        with no_nvml_library(monkeypatch), pytest.raises(pynvml.NVMLError_LibraryNotFound), nvml.session():
            pass


class TestFigures:
    def test_are_those_of_nvidia_smi(self, play):
        play(GPU())
        assert read() == {
            "utilization.gpu": 83.0,
            "utilization.memory": 41.0,
            "memory.used": 1000.0,  # MiB; what the driver reserves is neither used nor free
            "memory.free": 24576.0 - 1000 - 512,
            "fan.speed": 30.0,
            "temperature.gpu": 61.0,
            "temperature.memory": 70.0,
        }

    def test_are_those_asked_for(self, play):
        library = play(GPU())
        assert list(read(["memory.free", "temperature.gpu"])) == ["memory.free", "temperature.gpu"]
        assert "nvmlDeviceGetUtilizationRates" not in library.calls

    def test_one_question_gives_both_utilizations(self, play):
        library = play(GPU())
        read()
        assert library.calls.count("nvmlDeviceGetUtilizationRates") == 1

    def test_an_old_driver_counts_memory_in_its_way(self, play):
        play(GPU(), old=True)
        assert read(["memory.used"]) == {"memory.used": 1512.0}

    def test_what_the_card_does_not_have_is_left_out(self, play, caplog):
        play(PASSIVE)
        assert set(EVERYTHING) - read().keys() == {"fan.speed", "temperature.memory"}
        assert not caplog.text

    def test_what_the_card_does_not_have_is_asked_once(self, play):
        library = play(PASSIVE)
        with nvml.session():
            (device,) = nvml.visible_devices({})
            for _ in range(3):
                device.read(["fan.speed"])
        assert library.calls.count("nvmlDeviceGetFanSpeed") == 1

    def test_zero_is_a_figure(self, play):
        play(GPU(utilization=(0, 0), fan=0))
        assert read(["utilization.gpu", "fan.speed"]) == {"utilization.gpu": 0.0, "fan.speed": 0.0}

    def test_a_failing_driver_is_reported_once_and_asked_again(self, play, caplog):
        library = play(GPU(temperature=55))
        with nvml.session(), caplog.at_level(logging.WARNING):
            (device,) = nvml.visible_devices({})
            library.gpus[0].error = pynvml.NVML_ERROR_GPU_IS_LOST
            assert [device.read(["temperature.gpu"]) for _ in range(3)] == [{}, {}, {}]
            assert caplog.text.count("temperature.gpu: GPU is lost. Skipped.") == 1
            library.gpus[0].error = 0
            assert device.read(["temperature.gpu"]) == {"temperature.gpu": 55.0}


class TestOfUUID:
    @pytest.mark.parametrize("uuid", [THIRD, MIG])
    def test_finds_it_as_cuda_names_it(self, play, uuid):
        play(GPU(uuid=FIRST), GPU(uuid=uuid, temperature=33))
        with nvml.session():
            device = nvml.Device.of_uuid(uuid[4:])
            assert device.read(["temperature.gpu"]) == {"temperature.gpu": 33.0}

    def test_an_unknown_one_is_an_error(self, play):
        play(GPU(uuid=FIRST))
        with nvml.session(), pytest.raises(pynvml.NVMLError_NotFound):
            nvml.Device.of_uuid(THIRD[4:])


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, [FIRST, SECOND, THIRD]),
        ("", []),
        ("0", [FIRST]),
        ("2,0", [THIRD, FIRST]),
        (" 1 , 2 ", [SECOND, THIRD]),
        ("0,2,-1,1", [FIRST, THIRD]),
        ("1,3,0", [SECOND]),
        ("1gpu,0", [SECOND, FIRST]),
        ("+1", [SECOND]),
        ("none", []),
        ("NoDevFiles", []),
        ("-1", []),
        ("1,1", []),
        ("1,,0", [SECOND]),
        (THIRD, [THIRD]),
        (f"{THIRD},{FIRST}", [THIRD, FIRST]),
        ("GPU-5,GPU-8932f", [THIRD, FIRST]),
        ("GPU-5,GPU-8932,GPU-8932f", [THIRD]),
        ("GPU-0", []),
        ("GPU-5,GPU-51", []),
        ("GPU-5,0", [THIRD]),
        ("0,GPU-5", [FIRST]),
        (MIG, [MIG]),
        (f"{MIG},MIG-0", [MIG]),
        (f"{MIG},{MIG}", []),
        ("MIG-GPU-0/1/0", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(play, variable, expected):
    play(GPU(uuid=FIRST), GPU(uuid=SECOND), GPU(uuid=THIRD), GPU(uuid=MIG))
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    with nvml.session():
        devices = nvml.visible_devices(environment)
        assert [pynvml.nvmlDeviceGetUUID(device.handle) for device in devices] == expected


def test_number_without_a_card(play):
    play()
    with nvml.session():
        assert nvml.visible_devices({"CUDA_VISIBLE_DEVICES": "0"}) == []


class TestDescribe:
    def test_tells_driver_and_visible_gpus(self, play):
        play(GPU(uuid=FIRST), GPU(uuid=THIRD, name="NVIDIA Other", total=80 * 2**30))
        assert nvml.describe({"CUDA_VISIBLE_DEVICES": "1"}) == {
            "driver": "575.57.08",
            "cuda": "12.9",
            "gpus": [{"name": "NVIDIA Other", "memory_mib": 81920, "uuid": THIRD}],
        }

    def test_leaves_out_what_a_gpu_does_not_tell(self, play):
        play(GPU(error=pynvml.NVML_ERROR_GPU_IS_LOST))
        assert nvml.describe({})["gpus"] == [{}]

    def test_tells_that_the_driver_fails(self, play):
        play(GPU()).error = pynvml.NVML_ERROR_UNKNOWN
        with pytest.raises(pynvml.NVMLError_Unknown):
            nvml.describe({})


@pytest.mark.gpu
def test_of_a_real_card_are_plausible():
    with nvml.session():
        for device in nvml.visible_devices():
            figures = device.read(EVERYTHING)
            assert figures["memory.used"] + figures["memory.free"] > 1000
            assert 0 <= figures["utilization.gpu"] <= 100
