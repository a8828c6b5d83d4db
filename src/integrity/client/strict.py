"""Overflow connections that are closed when they come back, instead of when they have been idle for a while.

PyMongo has no public word for it: this derives from its pool class, which is private and may change. So each class is
tried out before it is used, without a server; when it does not behave, `strict_pool` warns and the pool is tuned by
public means only (`Pool.max_idle`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from integrity.store.run import run

#: What PyMongo's event says of such a connection.
IDLE = "idle"


def strict_pool(size: int, *, blocking: bool) -> type | None:
    """Return a pool class for PyMongo that keeps at most `size` connections that nobody uses.

    Args:
        size: The persistent connections.
        blocking: For ``MongoClient``; otherwise for ``AsyncMongoClient``.
    """
    try:
        made = _blocking(size) if blocking else _asynchronous(size)
        if _behaves(made, size, blocking=blocking):
            return made
    except Exception:  # noqa: BLE001, S110 - whatever a future PyMongo raises here, the answer is the same
        pass
    warnings.warn(
        "Pool(strict_overflow=True) does not work with this version of PyMongo, whose pool class has changed; "
        "overflow connections are closed after max_idle instead.",
        RuntimeWarning,
        stacklevel=4,
    )
    return None


def _blocking(size: int) -> type:
    from pymongo.synchronous.pool import Connection, Pool  # noqa: PLC0415 - private: tried, not relied on

    class StrictPool(Pool):
        """Keeps at most `size` idle connections."""

        def checkin(self, conn: Connection) -> None:
            """Take a connection back, then close what is too many."""
            super().checkin(conn)
            surplus = []
            if not self.is_sdam:
                # All under the lock that a checkout takes: what is closed here can be handed to nobody.
                with self.lock:
                    while len(self.conns) > size:
                        surplus.append(self.conns.pop())
            for each in surplus:
                each.close_conn(IDLE)

    return StrictPool


def _asynchronous(size: int) -> type:
    from pymongo.asynchronous.pool import AsyncConnection, Pool  # noqa: PLC0415 - private: tried, not relied on

    class StrictPool(Pool):
        """Keeps at most `size` idle connections."""

        async def checkin(self, conn: AsyncConnection) -> None:
            """Take a connection back, then close what is too many."""
            await super().checkin(conn)
            surplus = []
            if not self.is_sdam:
                async with self.lock:
                    while len(self.conns) > size:
                        surplus.append(self.conns.pop())
            for each in surplus:
                await each.close_conn(IDLE)

    return StrictPool


class _Stub:
    """A connection without a socket, as far as a pool looks at one that comes back."""

    service_id = None
    pinned_txn = pinned_cursor = active = False

    def __init__(self, number: int, generation: int, *, blocking: bool) -> None:
        self.id = number
        self.generation = generation
        self.cancel_context = self
        self.closed = False
        self.blocking = blocking

    def update_last_checkin_time(self) -> None:
        """A pool notes when a connection came back."""

    def update_is_writable(self, _: object) -> None:
        """A pool passes on whether the server takes writes."""

    def close_conn(self, _: object) -> Any:
        """Note that the pool closed this one."""
        self.closed = True
        return None if self.blocking else _nothing()


async def _nothing() -> None:
    return None


def _behaves(made: Callable[..., Any], size: int, *, blocking: bool) -> bool:
    """Give back one connection more than the pool may keep: the one that rested longest is closed, no other."""
    from pymongo.pool_options import PoolOptions  # noqa: PLC0415 - private: tried, not relied on

    pool = made(("self-test", 0), PoolOptions(max_pool_size=size + 1, pause_enabled=False))
    stubs = [_Stub(number, pool.gen.get_overall(), blocking=blocking) for number in range(size + 1)]
    for stub in stubs:
        back = pool.checkin(stub)
        if not blocking:
            run(back)
    kept = len(pool.conns)
    pool.conns.clear()
    return kept == size and [each.closed for each in stubs] == [True] + [False] * size
