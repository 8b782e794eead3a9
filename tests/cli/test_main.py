"""The exit code tells what ended a command, whatever Lightning made of it."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from cuelight.cli import main
from support.experiments import OWN_PARTS, experiment, only_run, write_yaml
from support.processes import cuelight
from support.run_files import make_run

INTERRUPTED_NET = """
import os
import signal
from own_parts import TinyNet
from cuelight import registry


@registry.models.register
class InterruptedNet(TinyNet):
    def __init__(self, hook: str, name: str, num_classes: int = 10, optimization: object = None) -> None:
        super().__init__(num_classes, optimization)
        self.hook, self.signal_name = hook, name

    def setup(self, stage):
        if stage == "fit":
            self._interrupt("setup")

    def test_step(self, batch, batch_idx):
        self._interrupt("test")
        super().test_step(batch, batch_idx)

    def _interrupt(self, hook):
        if hook == self.hook:
            os.kill(os.getpid(), getattr(signal, self.signal_name))
"""


def interrupted(digits, folder, hook, name):
    """The arguments of a training that gets a signal at a hook."""
    source = folder / "interrupted_net.py"
    source.write_text(INTERRUPTED_NET)
    tree = experiment(digits, epochs=1)
    tree["model"] = {"name": "InterruptedNet", "params": {"hook": hook, "name": name}}
    return write_yaml(folder / "tiny.yaml", tree), ("--source", OWN_PARTS, "--source", source)


@pytest.mark.parametrize("hook", ["setup", "test"])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_signal_beside_the_training_loop(digits, tmp_path, hook, name, code) -> None:
    file, sources = interrupted(digits, tmp_path, hook, name)
    done = cuelight("train", file, *sources, folder=tmp_path)
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert not (only_run(tmp_path / "runs") / "test" / "results.json").exists()


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_signal_in_a_test_of_its_own(digits, tmp_path, name, code) -> None:
    file, sources = interrupted(digits, tmp_path, "never", name)
    assert cuelight("train", file, *sources, folder=tmp_path).code == 0
    directory = only_run(tmp_path / "runs")
    done = cuelight("test", directory, "model.params.hook=test", *sources, folder=tmp_path)
    assert done.code == code, done.err
    assert "Traceback" not in done.err


def test_a_swallowed_signal_still_shows_in_the_exit_code(tmp_path) -> None:
    source = tmp_path / "swallowing.py"
    source.write_text("import signal\ntry:\n    signal.raise_signal(signal.SIGTERM)\nexcept SystemExit:\n    pass\n")
    assert cuelight("plan", "missing.yaml", "--source", source, folder=tmp_path).code == 143


def test_exit_of_another_kind_stays(capsys) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["nonsense"])
    assert ending.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_signals_are_given_back_and_ignored_ones_left_alone(tmp_path, capsys) -> None:
    source = tmp_path / "raising.py"
    source.write_text("import signal\nsignal.raise_signal(signal.SIGTERM)\n")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert main(["plan", "missing.yaml", "--source", str(source)]) == 143
        assert {number: signal.getsignal(number) for number in before} == before
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert main(["plan", "missing.yaml", "--source", str(source)]) in {1, 2}  # the file is missing
    finally:
        signal.signal(signal.SIGTERM, before[signal.SIGTERM])


def test_commands_run_outside_the_main_thread(capsys) -> None:
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["plan", "missing.yaml"])))
    thread.start()
    thread.join()
    assert codes in ([1], [2])


HANGING = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from cuelight.cli import run
from cuelight.tracking.outbox.sender import Sender

began = threading.Event()

def send():
    with ThreadPoolExecutor() as executor:  # as boto3 does
        executor.submit(send_a_part).result()

def send_a_part():
    began.set()
    threading.Event().wait()

Sender("a tracker", send).wake()
assert began.wait(60)
sys.argv = ["cuelight", "callbacks", "Nothing"]
run()
"""


@pytest.mark.slow
def test_process_ends_while_a_server_does_not_answer() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert "Nothing" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["callbacks", "EMACalback"],
        ["init", "clasification"],
        *[[command, "nosuchrun"] for command in ("test", "export", "finish", "verify", "report", "upload", "layers")],
        ["explain", "nosuchrun", "a.png"],
        ["predict", "nosuch.onnx", "a.png"],
        ["diff", "nosuchrun", "other"],
        ["train", "nosuch.yaml"],
        ["train", "--resume", "nosuchrun"],
        ["plan", "nosuch.yaml", "--source", "nosuch.py"],
    ],
    ids=" ".join,
)
def test_a_wrong_argument_has_the_exit_code_of_a_wrong_configuration(tmp_path, monkeypatch, capsys, arguments) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "error: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_a_megabyte_is_shortened(tmp_path, capsys) -> None:
    name = "x" * 10**6
    wrong = write_yaml(tmp_path / "wrong.yaml", {"name": name, "model": {"name": name}, "data": {"name": "Digits"}})
    for arguments in (["plan", str(wrong)], ["train", "--resume", name], ["report", name]):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert len(said) < 2000


def test_a_name_that_is_no_text_is_printed_with_its_bytes(tmp_path) -> None:
    make_run(tmp_path / os.fsdecode(b"r\xff"))
    done = subprocess.run(
        [sys.executable, "-m", "cuelight", "report", b"r\xff"], cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"r\\udcff/report.html\n", b"")
