"""A process ends whatever its daemon threads wait for, and waits for what its own executors have to do."""

import importlib.util
import subprocess
import sys

LONGEST = 60  # seconds

PROCESS = """
import runpy, sys, threading
from concurrent.futures import ThreadPoolExecutor

daemon = runpy.run_path(sys.argv[1])["daemon"]

began, never = threading.Event(), threading.Event()

def send_in_parts():
    began.set()
    never.wait()

def send():
    with ThreadPoolExecutor() as executor:
        executor.submit(send_in_parts).result()

own = ThreadPoolExecutor()
own.submit(threading.Event().wait, 0.1).add_done_callback(lambda _: print("own work is done", flush=True))
daemon(send).start()
assert began.wait(60)
sys.exit(3)
"""


def test_process_ends_while_an_executor_of_a_daemon_is_busy() -> None:
    """In the file alone, because importing the package takes far longer."""
    file = importlib.util.find_spec("cuelight.tracking.outbox.daemon").origin
    command = [sys.executable, "-c", PROCESS, file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert (done.returncode, done.stdout) == (3, "own work is done\n"), done.stderr
