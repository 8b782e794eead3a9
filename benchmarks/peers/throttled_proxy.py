"""Passes on to a server on this machine what comes, at so many bytes per second.

throttled_proxy.py PORT BYTES_PER_SECOND prints its own port, and runs until it is ended.
"""

import socket
import sys
import threading
import time
from contextlib import suppress

BLOCK = 65536


def pass_on(source, target, speed=None):
    """Pass on from one connection to another, without a limit if there is no speed."""
    began, passed = time.monotonic(), 0
    with suppress(OSError):
        while block := source.recv(BLOCK):
            target.sendall(block)
            passed += len(block)
            if speed and (ahead := passed / speed - (time.monotonic() - began)) > 0:
                time.sleep(ahead)
        target.shutdown(socket.SHUT_WR)


def main():
    """Serve."""
    port, speed = map(int, sys.argv[1:])
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)  # or the kernel takes it faster than it is passed
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", port))
        for ends in ((client, server, speed), (server, client)):
            threading.Thread(target=pass_on, args=ends, daemon=True).start()


if __name__ == "__main__":
    main()
