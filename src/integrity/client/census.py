"""Counting connections by the driver's own pool events.

Listeners run inside of the checkout: each does a few dictionary operations under a lock and never waits for
anything else, https://pymongo.readthedocs.io/en/stable/api/pymongo/monitoring.html.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import Any

from pymongo import monitoring

from integrity.client.statistics import Histogram, ServerStats

#: What a connection is doing; one in use is known by the moment of its checkout, which is above 0.
OPENING, IDLE = -1.0, 0.0


class Server:
    """The counts of one server. Not locked: the census holds its lock.

    What a connection does is all that is written at a checkout; how many do so is counted when somebody asks.
    """

    __slots__ = ("closed", "connections", "created", "failures", "ready", "use", "wait")

    def __init__(self) -> None:
        self.connections: dict[int, float] = {}
        self.created = 0
        self.ready = False
        self.closed: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.wait = Histogram()
        self.use = Histogram()

    @property
    def opening(self) -> int:
        """Connections that are being opened."""
        return sum(state == OPENING for state in self.connections.values())

    @property
    def idle(self) -> int:
        """Connections open and free."""
        return sum(state == IDLE for state in self.connections.values())

    @property
    def in_use(self) -> int:
        """Connections that work for an operation."""
        return sum(state > IDLE for state in self.connections.values())


class Census(monitoring.ConnectionPoolListener):
    """Listens to one client's pools."""

    def __init__(self) -> None:
        #: What an exporter has asked to be kept for it: which time, of which server, in seconds.
        self.samples: deque[tuple[str, str, float]] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything: in a forked child, where another thread may have held the lock."""
        self._lock = threading.Lock()
        self._servers: dict[Any, Server] = {}

    def _server(self, address: Any) -> Server:
        server = self._servers.get(address)
        if server is None:
            server = self._servers.setdefault(address, Server())
        return server

    def connections(self) -> tuple[int, int, int]:
        """Return how many connections work for an operation, are idle, and are being opened, of all servers."""
        with self._lock:
            servers = self._servers.values()
            return (
                sum(each.in_use for each in servers),
                sum(each.idle for each in servers),
                sum(each.opening for each in servers),
            )

    def cold(self, size: int) -> list[str]:
        """Return the addresses of the servers in service with fewer than `size` open connections."""
        with self._lock:
            return [
                _name(address)
                for address, each in self._servers.items()
                if each.ready and each.idle + each.in_use < size
            ]

    @property
    def found(self) -> bool:
        """Whether any server is in service."""
        with self._lock:
            return any(each.ready for each in self._servers.values())

    def servers(self, size: int) -> dict[str, ServerStats]:
        """Return each server's figures, for a pool of `size`."""
        with self._lock:
            return {
                _name(address): ServerStats(
                    address=_name(address),
                    idle=each.idle,
                    in_use=each.in_use,
                    opening=each.opening,
                    overflow=max(0, each.idle + each.in_use - size),
                    checkouts=each.wait.count,
                    failures=dict(each.failures),
                    created=each.created,
                    closed=dict(each.closed),
                    wait=each.wait.spread(),
                    use=each.use.spread(),
                )
                for address, each in self._servers.items()
            }

    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None:
        """A server is known."""
        with self._lock:
            self._server(event.address)

    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None:
        """A server is in service."""
        with self._lock:
            self._server(event.address).ready = True

    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None:
        """A server failed: its connections are void."""
        with self._lock:
            self._server(event.address).ready = False

    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None:
        """A server is gone, or the client is closed."""
        with self._lock:
            self._server(event.address).ready = False

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        """A connection begins to open."""
        with self._lock:
            server = self._server(event.address)
            server.created += 1
            server.connections[event.connection_id] = OPENING

    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None:
        """A connection is open."""
        with self._lock:
            self._server(event.address).connections[event.connection_id] = IDLE
        self._keep("create_time", event.address, event.duration)

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        """A connection is closed."""
        with self._lock:
            server = self._server(event.address)
            # One that breaks in use is announced twice, by whom it broke under and when it comes back.
            if server.connections.pop(event.connection_id, None) is not None:
                server.closed[event.reason] += 1

    def connection_check_out_started(self, event: monitoring.ConnectionCheckOutStartedEvent) -> None:
        """Nothing: what counts is how it ends."""

    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None:
        """An operation got no connection."""
        with self._lock:
            self._server(event.address).failures[event.reason] += 1

    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        """An operation got a connection."""
        duration = event.duration or 0.0
        with self._lock:
            server = self._server(event.address)
            server.connections[event.connection_id] = time.monotonic()
            server.wait.add(duration)
        if self.samples is not None:
            self._keep("wait_time", event.address, duration)

    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        """An operation gave its connection back."""
        connection = event.connection_id
        with self._lock:
            server = self._server(event.address)
            taken = server.connections.get(connection)
            if taken is None:  # closed under whoever used it
                return
            server.connections[connection] = IDLE
            used = time.monotonic() - taken
            server.use.add(used)
        if self.samples is not None:
            self._keep("use_time", event.address, used)

    def _keep(self, kind: str, address: Any, seconds: float | None) -> None:
        if self.samples is not None and seconds is not None:
            self.samples.append((kind, _name(address), seconds))


def _name(address: Any) -> str:
    host, port = address[0], address[1]
    return host if port is None else f"{host}:{port}"
