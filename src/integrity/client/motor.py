"""Motor's client behind the same gate, for those who still have it.

Motor runs each operation in a thread of one pool that all its clients share, by default five a processor: fewer than
the connections that this pool promises, so that operations would queue for threads, unseen and without a timeout.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from integrity.client.census import Census
from integrity.client.gate_async import AsyncGate
from integrity.client.opening import AsyncClientPool, Shared, driver_options, loop_key
from integrity.client.pool import Pool
from integrity.client.processes import CLIENTS
from integrity.client.settings import settle
from integrity.client.streams import Streams


def open_motor_client(uri: str, pool: Pool | None = None, **options: Any) -> AsyncClientPool:
    """Open a ``motor.motor_asyncio.AsyncIOMotorClient`` for the running loop; `open_client` says the rest."""
    try:
        from motor.motor_asyncio import AsyncIOMotorClient  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'Motor is not installed: pip install "mongo-integrity[motor]", or leave driver="motor" out.', name="motor"
        ) from error

    settings = settle(uri, pool or Pool(), options)

    def make() -> Shared[AsyncGate]:
        _threads(settings.pool.limit + settings.pool.change_streams)
        census = Census()
        gate = AsyncGate(settings.pool.size, settings.pool.max_overflow, settings.pool.timeout, census.connections)
        # Motor's client is a blocking one in threads, so the strict pool is the blocking one.
        client: Any = AsyncIOMotorClient(uri, **driver_options(settings, census, blocking=True))
        return Shared(client, gate, census, Streams(settings.pool.change_streams))

    return AsyncClientPool(CLIENTS.take(loop_key("motor", uri, settings), make), settings.pool)


def _threads(wanted: int) -> None:
    """Give Motor as many threads as there are connections.

    MOTOR_MAX_WORKERS is read when Motor is imported, which the application has done long ago. Motor is not changed
    any more, so that its module's two names stay what they are.
    """
    from motor.frameworks import asyncio as framework  # noqa: PLC0415 - an extra

    if not hasattr(framework, "_EXECUTOR") or not hasattr(framework, "max_workers"):
        warnings.warn(
            f"Motor's threads cannot be counted; set MOTOR_MAX_WORKERS={wanted} in the environment.",
            RuntimeWarning,
            stacklevel=3,
        )
        return
    if framework.max_workers < wanted:
        former, framework._EXECUTOR = framework._EXECUTOR, ThreadPoolExecutor(wanted)  # noqa: SLF001 - no public way
        framework.max_workers = wanted
        former.shutdown(wait=False)  # what runs there runs on
