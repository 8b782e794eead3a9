"""A real MLflow server on loopback, with an SQLite store and an artifact folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

STARTS_WITHIN = 120  # seconds, on a busy machine


class Server:
    """A server that can be stopped and started again at the same address, with what it kept."""

    def __init__(self, folder):
        self.folder = Path(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process = None

    def start(self):
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder / 'store.db'}",
            "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            streams = {"stdout": log, "stderr": log, "env": _environment()}
            self._process = subprocess.Popen(command, start_new_session=True, **streams)
        until = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise AssertionError((self.folder / "server.log").read_text())
            self._pause()

    def stop(self):
        """End the server and its worker: the processes of the group that it was started in."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self):
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _pause(self):
        try:
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            return


@contextmanager
def mlflow_server(folder):
    """Start a server, and stop it in the end."""
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "PYTHONPATH"))}
