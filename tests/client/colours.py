"""One scenario for the blocking client, the asynchronous one and Motor: a burst of operations, all at once."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from integrity.client import AsyncClientPool, ClientPool, Pool, open_async_client, open_client, open_motor_client
from integrity.errors import PoolTimeout
from integrity.store.asynchronous import AsyncStore
from integrity.store.blocking import BlockingStore
from integrity.store.motor import MotorStore
from integrity.store.port import Store
from integrity.store.run import run

COLOURS = ("blocking", "asynchronous", "motor")

#: What a burst does, as one operation of the store.
OPERATIONS: dict[str, Callable[[Store], Any]] = {
    "read": lambda store: store.find_one("burst", {}),
    "write": lambda store: store.insert_one("burst", {"a": 1}),
}


class Bursts:
    """Runs a scenario under one colour.

    Args:
        colour: One of `COLOURS`.
        uri: The server.
        pool: The pool under test.
        database: The database's name.
    """

    def __init__(self, colour: str, uri: str, pool: Pool, database: str) -> None:
        self.colour, self.uri, self.pool, self.database = colour, uri, pool, database

    def run(self, scenario: Callable[["Burst"], Any]) -> None:
        """Call the scenario, in a thread of its own so that it may block, with a client that is warm and closed after.

        The scenario is plain blocking code for every colour.
        """
        if self.colour == "blocking":
            with open_client(self.uri, self.pool) as opened:
                opened.warm()
                scenario(BlockingBurst(opened, self.database))
        else:
            asyncio.run(self._asynchronous(scenario))

    async def _asynchronous(self, scenario: Callable[["Burst"], Any]) -> None:
        opener = open_motor_client if self.colour == "motor" else open_async_client
        async with opener(self.uri, self.pool) as opened:
            await opened.warm()
            burst = AsyncBurst(opened, self.database, asyncio.get_running_loop(), motor=self.colour == "motor")
            await asyncio.to_thread(scenario, burst)


class Burst:
    """Fires operations at once."""

    opened: ClientPool | AsyncClientPool

    def fire(self, number: int, kind: str) -> tuple[int, list[PoolTimeout]]:
        """Run so many operations at once; return how many were served, and the refusals."""
        raise NotImplementedError


class BlockingBurst(Burst):
    def __init__(self, opened: ClientPool, database: str) -> None:
        self.opened = opened
        self.store = BlockingStore(opened.client[database], gate=opened.gate)

    def fire(self, number: int, kind: str) -> tuple[int, list[PoolTimeout]]:
        results: list[Any] = []
        start = threading.Barrier(number)

        def one() -> None:
            start.wait()
            try:
                results.append(run(OPERATIONS[kind](self.store)))
            except Exception as error:  # noqa: BLE001 - sorted below
                results.append(error)

        threads = [threading.Thread(target=one, name=f"pool-test-{number}") for number in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted_out(results)


class AsyncBurst(Burst):
    def __init__(self, opened: AsyncClientPool, database: str, loop: asyncio.AbstractEventLoop, *, motor: bool) -> None:
        self.opened = opened
        self.loop = loop
        self.store: AsyncStore = (MotorStore if motor else AsyncStore)(opened.client[database], gate=opened.gate)

    def fire(self, number: int, kind: str) -> tuple[int, list[PoolTimeout]]:
        async def together() -> list[Any]:
            return await asyncio.gather(*[OPERATIONS[kind](self.store) for _ in range(number)], return_exceptions=True)

        return sorted_out(asyncio.run_coroutine_threadsafe(together(), self.loop).result())


def sorted_out(results: list[Any]) -> tuple[int, list[PoolTimeout]]:
    """Return how many were served, and the refusals; anything else is raised."""
    refused = [each for each in results if isinstance(each, PoolTimeout)]
    for each in results:
        if isinstance(each, BaseException) and not isinstance(each, PoolTimeout):
            raise each
    return len(results) - len(refused), refused
