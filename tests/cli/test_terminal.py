"""What a person sees on a terminal: bars while it runs, lines that stay, and the cursor back at the end."""

import os
import pty
import re
from threading import Thread

import pytest

from support.experiments import OWN_PARTS, experiment, write_yaml
from support.processes import Command


def on_terminal(folder, *arguments):
    """Run a command on a pseudo-terminal.

    Returns:
        The exit code and all that it wrote.
    """
    ours, theirs = pty.openpty()
    written = []

    def read():
        while True:
            try:
                text = os.read(ours, 4096)
            except OSError:  # the other side has closed
                return
            written.append(text)

    command = Command(
        *arguments, "--source", OWN_PARTS, folder=folder, terminal=os.ttyname(theirs),
        environment={"TERM": "xterm", "COLUMNS": "160", "LINES": "40"},
    )  # fmt: skip
    reader = Thread(target=read)
    reader.start()
    code = command.wait().code
    os.close(theirs)
    reader.join()
    os.close(ours)
    return code, b"".join(written).decode()


@pytest.fixture
def file(digits, tmp_path):
    return write_yaml(tmp_path / "tiny.yaml", experiment(digits, epochs=2, scheduler=None))


def test_bars_lines_and_cursor(file, tmp_path) -> None:
    code, text = on_terminal(tmp_path, "train", file)
    assert code == 0, text
    assert "━" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "10/10" in plain
    assert re.search(r"epoch 1/2 .*val/loss [\d.]+ .*s\s", plain)
    assert re.search(r"epoch 2/2 .*val/loss [\d.]+ .*s\s", plain)
    assert "test/accuracy" in plain
    assert "Traceback" not in plain


def test_quiet_shows_nothing(file, tmp_path) -> None:
    assert on_terminal(tmp_path, "train", file, "--quiet", "trainer.epochs=1") == (0, "")


def test_signal_leaves_the_cursor(file, tmp_path) -> None:
    events = '[{"name": "Events", "params": {"path": "events", "signal_at": 4}}]'
    code, text = on_terminal(tmp_path, "train", file, f"trainer.callbacks={events}")
    assert code == 130, text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0
    assert "SIGINT: stopping" in text
    assert "Traceback" not in text
