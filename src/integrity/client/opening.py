"""Opening a client whose pool keeps its word."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Generic, Self, TypeVar

from pymongo import AsyncMongoClient, MongoClient

from integrity.client.census import Census
from integrity.client.gate import Gate
from integrity.client.gate_async import AsyncGate, running
from integrity.client.pool import Pool
from integrity.client.processes import CLIENTS, Lease
from integrity.client.refusal import Figures, cold
from integrity.client.settings import Settings, settle
from integrity.client.statistics import PoolStats
from integrity.client.streams import Streams
from integrity.client.strict import strict_pool

G = TypeVar("G", Gate, AsyncGate)

#: How often `warm` looks whether it is done. The driver fills its pools once a second.
LOOK = 0.02
#: How long `warm` waits: for the driver's next round, and for a server that is slow to let connections in.
WARM_TIMEOUT = 30.0


@dataclass
class Shared(Generic[G]):
    """What everybody shares who opened the same in one process."""

    client: Any
    gate: G
    census: Census
    streams: Streams

    def forked(self) -> None:
        """Start from nothing in a child: the operations that are under way are the parent's."""
        self.census.reset()
        self.streams.reset()
        if isinstance(self.gate, Gate):
            self.gate.reset()


CLIENTS.on_fork = Shared.forked


class _Handle(Generic[G]):
    """One holder's view of a client."""

    def __init__(self, lease: Lease[Shared[G]], settings: Pool) -> None:
        self._lease: Lease[Shared[G]] = lease
        self._closed = False
        self.gate: G = lease.shared.gate
        self.settings = settings
        self.streams = lease.shared.streams

    @property
    def closed(self) -> bool:
        """Whether this handle is closed."""
        return self._closed

    def keep_samples(self, samples: deque[tuple[str, str, float]]) -> deque[tuple[str, str, float]]:
        """Keep every time that is measured, for an exporter, in what is returned: another exporter's, or `samples`."""
        census = self._lease.shared.census
        if census.samples is None:
            census.samples = self.gate.samples = samples
        return census.samples

    def stats(self) -> PoolStats:
        """Return the pool's figures at this moment."""
        requests, waits, timeouts = self.gate.counts()
        return PoolStats(
            size=self.settings.size,
            max_overflow=self.settings.max_overflow,
            in_use=self.gate.in_use,
            waiting=self.gate.waiting,
            requests=requests,
            waits=waits,
            timeouts=timeouts,
            streams=self.streams.open,
            servers=self._lease.shared.census.servers(self.settings.size),
        )

    def __repr__(self) -> str:
        stats = self.stats()
        where = ", ".join(stats.servers) or "no server yet"
        return (
            f"<{type(self).__name__} {'closed' if self._closed else 'open'}, {where}: {stats.in_use} in use, "
            f"{stats.idle} idle, {stats.opening} opening, {stats.waiting} waiting; {stats.size} + "
            f"{stats.max_overflow} overflow, timeout {self.settings.timeout:g} s>"
        )

    def _last(self) -> bool:
        """Close this handle; return whether nobody else holds the client."""
        if self._closed:
            return False
        self._closed = True
        return CLIENTS.give_back(self._lease)

    def _cold(self) -> list[str]:
        census = self._lease.shared.census
        return census.cold(self.settings.size) if census.found else ["no server yet"]

    def _too_cold(self, waited: float) -> Exception:
        stats = self.stats()
        return cold(
            self._cold(),
            Figures(stats.size, stats.max_overflow, stats.in_use, 0, stats.idle, stats.opening, stats.waiting, waited),
        )


class ClientPool(_Handle[Gate]):
    """An open blocking client: ``client``, the ``gate`` in front of it, ``settings``, ``streams``, figures."""

    @property
    def client(self) -> MongoClient[Any]:
        """PyMongo's client."""
        return self._lease.shared.client  # type: ignore[no-any-return]  # made by open_client

    def warm(self, timeout: float = WARM_TIMEOUT) -> None:
        """Open the persistent connections to every server in service, and wait until they are.

        Args:
            timeout: Seconds.

        Raises:
            PoolTimeout: They are not in that time.
        """
        self.client.admin.command("ping")
        started = time.monotonic()
        while self._cold():
            if (waited := time.monotonic() - started) > timeout:
                raise self._too_cold(waited)
            time.sleep(LOOK)

    def close(self) -> None:
        """Let go of the client; the last who does closes it."""
        if self._last():
            self.client.close()

    def __enter__(self) -> Self:
        if self.settings.warm_up:
            try:
                self.warm()
            except BaseException:  # nobody leaves what was not entered
                self.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClientPool(_Handle[AsyncGate]):
    """An open asynchronous client, PyMongo's or Motor's; `ClientPool` says the rest."""

    @property
    def client(self) -> AsyncMongoClient[Any]:
        """PyMongo's client, or Motor's."""
        return self._lease.shared.client  # type: ignore[no-any-return]  # made by open_async_client

    async def warm(self, timeout: float = WARM_TIMEOUT) -> None:  # noqa: ASYNC109 - the blocking one's argument
        """Open the persistent connections to every server in service, and wait until they are.

        Args:
            timeout: Seconds.

        Raises:
            PoolTimeout: They are not in that time.
        """
        await self.client.admin.command("ping")
        started = time.monotonic()
        while self._cold():
            if (waited := time.monotonic() - started) > timeout:
                raise self._too_cold(waited)
            await asyncio.sleep(LOOK)

    async def close(self) -> None:
        """Let go of the client; the last who does closes it."""
        if self._awaited:
            running()
        if self._last():
            closing = self.client.close()
            if closing is not None:
                await closing

    def abandon(self) -> None:
        """Let go of a client by which nothing was sent: it has no connection and no task, and is not to be awaited."""
        if self._last() and not self._awaited:
            self.client.close()  # type: ignore[unused-coroutine]  # Motor's is none

    @property
    def _awaited(self) -> bool:
        return iscoroutinefunction(self.client.close)  # Motor's closes at once

    async def __aenter__(self) -> Self:
        if self.settings.warm_up:
            try:
                await self.warm()
            except BaseException:  # nobody leaves what was not entered
                await self.close()
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def open_client(uri: str, pool: Pool | None = None, **options: Any) -> ClientPool:
    """Open a blocking client, or share the one that this process has open with the same arguments.

    Nothing is waited for here: with ``warm_up``, ``with opened`` or ``opened.warm()`` does it.

    Args:
        uri: The connection string.
        pool: The pool; ``Pool()`` when None.
        options: PyMongo's options of ``MongoClient``.

    Raises:
        PoolSettingError: The settings are impossible or contradict each other.
    """
    settings = settle(uri, pool or Pool(), options)

    def make() -> Shared[Gate]:
        census = Census()
        gate = Gate(settings.pool.size, settings.pool.max_overflow, settings.pool.timeout, census.connections)
        client: MongoClient[Any] = MongoClient(uri, **driver_options(settings, census, blocking=True))
        return Shared(client, gate, census, Streams(settings.pool.change_streams))

    return ClientPool(CLIENTS.take(_key("blocking", uri, settings), make), settings.pool)


def open_async_client(uri: str, pool: Pool | None = None, **options: Any) -> AsyncClientPool:
    """Open an asynchronous client for the running loop; `open_client` says the rest.

    Outside of a loop the client is not shared: it will belong to the loop of its first use.
    """
    settings = settle(uri, pool or Pool(), options)

    def make() -> Shared[AsyncGate]:
        census = Census()
        gate = AsyncGate(settings.pool.size, settings.pool.max_overflow, settings.pool.timeout, census.connections)
        client: AsyncMongoClient[Any] = AsyncMongoClient(uri, **driver_options(settings, census, blocking=False))
        return Shared(client, gate, census, Streams(settings.pool.change_streams))

    return AsyncClientPool(CLIENTS.take(loop_key("asynchronous", uri, settings), make), settings.pool)


def driver_options(settings: Settings, census: Census, *, blocking: bool) -> dict[str, Any]:
    """Return PyMongo's options for a pool.

    Args:
        settings: What was decided.
        census: Listens to the client's pools.
        blocking: For ``MongoClient``, otherwise for ``AsyncMongoClient``.
    """
    pool, given = settings.pool, dict(settings.options)
    strict = strict_pool(pool.size, blocking=blocking) if pool.strict_overflow else None
    options: dict[str, Any] = {
        "minPoolSize": pool.size,
        "maxPoolSize": pool.limit + pool.change_streams,
        # By default two connections open at once: a burst would queue for that, and not for a connection.
        "maxConnecting": max(pool.max_overflow or pool.size, 2),
        "maxIdleTimeMS": _milliseconds(_driver_idle(pool.max_idle)),
        # The gate is where one waits; a wait in the driver would count again, and twice for a retried read.
        "waitQueueTimeoutMS": None,
        "serverSelectionTimeoutMS": _milliseconds(pool.server_selection_timeout),
        "connectTimeoutMS": _milliseconds(pool.connect_timeout),
        "heartbeatFrequencyMS": _milliseconds(pool.heartbeat),
        "retryReads": pool.retry_reads,
        "retryWrites": pool.retry_writes,
        "readConcernLevel": pool.read_concern,
        "w": pool.write_concern,
        "appname": pool.application_name,
        "event_listeners": [*(given.pop("event_listeners", None) or ()), census],
    }
    if pool.operation_timeout is not None:
        options["timeoutMS"] = _milliseconds(pool.operation_timeout)
    if pool.compressors:
        options["compressors"] = list(pool.compressors)
    if strict is not None:
        options["_pool_class"] = strict
    return {name: value for name, value in options.items() if name not in given or name == "event_listeners"} | given


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, round(seconds * 1000))


def _driver_idle(max_idle: float | None) -> float | None:
    """Return when the driver may take a connection for idle, so that it is closed by `max_idle`.

    It looks once a second, and a round may take a while.
    """
    return None if max_idle is None else max(max_idle / 2, max_idle - 2.0)


def _key(kind: str, uri: str, settings: Settings) -> Hashable | None:
    """Return what two openings must agree in to share a client; None when that cannot be told."""
    options = _frozen(settings.options)
    return None if options is None else (kind, uri, settings.pool, options)


def loop_key(kind: str, uri: str, settings: Settings) -> Hashable | None:
    """Return `_key` for the running loop; None outside of one."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    CLIENTS.forget(_of_a_closed_loop)
    key = _key(kind, uri, settings)
    return None if key is None else (key, loop)


def _of_a_closed_loop(key: Hashable) -> bool:
    return isinstance(key, tuple) and isinstance(key[-1], asyncio.AbstractEventLoop) and key[-1].is_closed()


def _frozen(options: Mapping[str, Any]) -> Hashable | None:
    frozen = tuple(sorted(options.items(), key=lambda each: each[0]))
    try:
        hash(frozen)
    except TypeError:
        return None
    return frozen
