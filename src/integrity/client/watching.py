"""A live view of a server's connections and, for a demonstration load, of the pool that makes it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pymongo.errors import OperationFailure

from integrity.client.opening import ClientPool, open_client
from integrity.client.pool import Pool
from integrity.client.statistics import PoolStats
from integrity.errors import PoolTimeout
from integrity.store.port import Store
from integrity.store.run import run

#: What the load's connections are called on the server.
LOAD = "integrity-pool-watch"


@dataclass(frozen=True)
class Frame:
    """One look.

    Args:
        current: Connections that the server has open; None: not to be seen.
        available: How many more it accepts; None: not to be seen.
        active: How many work at this moment; None: not to be seen.
        created: How many it ever accepted; None: not to be seen.
        applications: Connections by application name; None: not to be seen.
        hidden: Why something is not to be seen.
        pool: The figures of the load's pool, if there is one.
    """

    current: int | None = None
    available: int | None = None
    active: int | None = None
    created: int | None = None
    applications: Mapping[str, int] | None = None
    hidden: tuple[str, ...] = ()
    pool: PoolStats | None = None


def frames(store: Store, uri: str, interval: float, load: int | None = None) -> Generator[Frame, None, None]:
    """Look at a server, again and again.

    Args:
        store: The server's ``admin`` database.
        uri: The server, for the load.
        interval: Seconds between two looks.
        load: Threads that read through a pool; None: no load.
    """
    with _load(uri, load) as opened:
        while True:
            yield look(store, opened)
            time.sleep(interval)


def look(store: Store, opened: ClientPool | None = None) -> Frame:
    """Return what a server shows now."""
    figures: dict[str, Any] = {}
    hidden = []
    try:
        connections = run(store.admin("serverStatus"))["connections"]
        figures = {name: connections.get(name) for name in ("current", "available", "active")}
        figures["created"] = connections.get("totalCreated")
    except OperationFailure as error:
        hidden.append(f"the server's totals (serverStatus: {_reason(error)})")
    try:
        figures["applications"] = _applications(store)
    except OperationFailure as error:
        hidden.append(f"the connections by application ($currentOp: {_reason(error)})")
    return Frame(**figures, hidden=tuple(hidden), pool=None if opened is None else opened.stats())


def render(frame: Frame) -> str:
    """Return a look as text."""
    head = f"{time.strftime('%H:%M:%S')}  server: {_shown(frame.current)} open ({_shown(frame.active)} active), "
    lines = [head + f"{_shown(frame.available)} more accepted, {_shown(frame.created)} ever"]
    if frame.applications is not None:
        lines += [f"    {number:6d}  {name}" for name, number in sorted(frame.applications.items())]
    lines += [f"    not to be seen: {each}" for each in frame.hidden]
    if (pool := frame.pool) is not None:
        lines.append(
            f"    pool of {pool.size} + {pool.max_overflow}: {pool.in_use} in use, {pool.idle} idle, {pool.opening} "
            f"opening, {pool.waiting} waiting; {pool.requests} let in, {pool.waits.count} after a wait "
            f"(p99 {pool.waits.p99 * 1000:.1f} ms), {sum(pool.timeouts.values())} refused"
        )
    return "\n".join(lines)


def _applications(store: Store) -> dict[str, int]:
    """Count connections by application name, busy and idle ones."""
    pipeline = [
        {"$currentOp": {"allUsers": True, "idleConnections": True}},
        {"$match": {"connectionId": {"$exists": True}}},
        {"$group": {"_id": {"$ifNull": ["$appName", "(no name)"]}, "connections": {"$sum": 1}}},
    ]
    # $currentOp knows no read concern but "local", whatever the client's default is.
    reply = run(store.admin({"aggregate": 1, "pipeline": pipeline, "cursor": {}, "readConcern": {"level": "local"}}))
    return dict(Counter({str(each["_id"]): each["connections"] for each in reply["cursor"]["firstBatch"]}))


def _shown(number: int | None) -> str:
    return "?" if number is None else str(number)


def _reason(error: OperationFailure) -> str:
    return "the role clusterMonitor is missing" if error.code == 13 else f"code {error.code}"  # noqa: PLR2004 - Unauthorized


@contextmanager
def _load(uri: str, threads: int | None) -> Iterator[ClientPool | None]:
    """Read from a server with so many threads, for the time of a ``with`` block."""
    if threads is None:
        yield None
        return
    stop = threading.Event()

    with open_client(uri, Pool(timeout=1.0, max_idle=10.0, application_name=LOAD)) as opened:

        def read() -> None:
            while not stop.is_set():
                try:
                    with opened.gate.permit():
                        opened.client.admin.command("ping")
                except PoolTimeout:
                    stop.wait(0.1)

        workers = [threading.Thread(target=read, name=f"{LOAD}-{number}", daemon=True) for number in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield opened
        finally:
            stop.set()
            for worker in workers:
                worker.join()
