"""A TCP proxy on loopback, in front of a real server, that can be told to be a bad network."""

import contextlib
import socket
import struct
import threading
import time
from typing import Any, Self

from pymongo.uri_parser import parse_uri


class Proxy:
    """Forwards bytes, until it is told to misbehave; everything it started ends with it.

    Args:
        uri: The server behind it.
    """

    def __init__(self, uri: str) -> None:
        self.target = parse_uri(uri)["nodelist"][0]
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        #: directConnection: else the driver would go to the address that the server itself names.
        self.uri = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        self.delay = 0.0
        self.flowing = threading.Event()
        self.flowing.set()
        self.accepting = True
        self.closing = False
        self.pairs: set[tuple[socket.socket, socket.socket]] = set()
        self.lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self._start(self._accept)

    def hang(self) -> None:
        """Forward nothing any more; connections stay open, new ones too."""
        self.flowing.clear()

    def flow(self) -> None:
        """Forward again, what has been kept as well."""
        self.flowing.set()

    def reset(self) -> None:
        """Break every connection, as a server that dies."""
        with self.lock:
            pairs, self.pairs = self.pairs, set()
        for pair in pairs:
            for each in pair:
                with contextlib.suppress(OSError):  # its pump has closed it just now
                    # RST instead of FIN: linger on, for no time
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    each.shutdown(socket.SHUT_RD)  # wakes its pump, which keeps the socket open else
                each.close()

    def close_idle(self) -> None:
        """Close every connection politely, as a firewall or a load balancer does that thinks it idle."""
        with self.lock:
            pairs, self.pairs = self.pairs, set()
        for pair in pairs:
            for each in pair:
                _shut(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing = True
        self.flowing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.close_idle()
        for thread in self.threads:
            thread.join()

    def _start(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name="proxy")
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.closing:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            if not self.accepting or self.closing:
                _shut(client)
                continue
            server = socket.create_connection(self.target)
            with self.lock:
                self.pairs.add((client, server))
            self._start(self._pump, client, server, (client, server))
            self._start(self._pump, server, client, (client, server))

    def _pump(self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        try:
            while chunk := source.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                self.flowing.wait()
                sink.sendall(chunk)
        except OSError:
            pass
        with self.lock:
            self.pairs.discard(pair)
        for each in pair:
            _shut(each)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
