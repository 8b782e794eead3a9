"""A server on loopback in front of another one, which fails in the ways in which servers fail."""

import socket
import threading
from contextlib import contextmanager, suppress

_BLOCK = 65536
_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class FaultyProxy:
    """Passes on what comes, unless it is told to fail.

    Attributes:
        fault: ``None``, ``hang`` (it takes what comes, and never answers), ``500``, or ``drop`` (the connection breaks
            when half of a file was sent).
        met: Set when a file met a fault.
    """

    def __init__(self, port):
        self.target = port
        self.fault = None
        self.met = threading.Event()
        self._listener = None
        self._connections = []
        self.port = None
        self.listen()

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port or 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self):
        """Refuse all connections from now on, until ``listen``."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections.clear()

    def _accept(self, listener):
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as server:
            self._connections.append(server)
            threading.Thread(target=_pass_on, args=(server, connection), daemon=True).start()
            while block := connection.recv(_BLOCK):
                if block.startswith(b"PUT ") and self.fault in {"500", "hang", "drop"}:
                    self.met.set()
                    _FAULTS[self.fault](connection, server, block)
                    return
                server.sendall(block)


def _pass_on(source, target):
    with suppress(OSError):
        while block := source.recv(_BLOCK):
            target.sendall(block)


def _answer_500(connection, server, block):
    connection.sendall(_ERROR)
    connection.shutdown(socket.SHUT_WR)
    _hang(connection, server, block)


def _hang(connection, server, block):
    while connection.recv(_BLOCK):
        pass


def _drop(connection, server, block):
    left = _size(block) // 2
    while block and left > 0:
        server.sendall(block)
        left -= len(block)
        block = connection.recv(_BLOCK)
    for end in (connection, server):
        end.shutdown(socket.SHUT_RDWR)


def _size(head):
    (line,) = (line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return int(line.split(b":")[1])


_FAULTS = {"500": _answer_500, "hang": _hang, "drop": _drop}


@contextmanager
def faulty_proxy(port):
    """Start a proxy, and stop it in the end."""
    proxy = FaultyProxy(port)
    try:
        yield proxy
    finally:
        proxy.refuse()
