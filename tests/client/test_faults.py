"""A bad network: everybody gets a result or a clear error, no permit leaks, and the pool is whole again after."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from pymongo.errors import ConnectionFailure, PyMongoError

from integrity.client import ClientPool, Pool, open_async_client, open_client
from integrity.embedded import Mongod
from integrity.errors import PoolTimeout
from integrity.store.asynchronous import AsyncStore
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.client.proxy import Proxy

#: What bounds every wait of a caller: for the gate, for a server, and for a server that does not answer.
POOL = Pool(
    size=4,
    max_overflow=6,
    timeout=0.3,
    server_selection_timeout=0.6,
    connect_timeout=0.6,
    operation_timeout=1.0,
    heartbeat=0.5,
)
LIMIT = POOL.limit


class Load:
    """Threads that read and write through a store, and note what each operation came to.

    Args:
        opened: The pool.
        database: The database's name.
        threads: More than the pool has connections, so that some wait at the gate.
    """

    def __init__(self, opened: ClientPool, database: str, threads: int = LIMIT + 5) -> None:
        self.store = BlockingStore(opened.client[database], gate=opened.gate)
        self.served = 0
        self.errors: list[PyMongoError] = []
        self.most = 0
        self.most_connections = 0
        self.stop = threading.Event()
        self.opened = opened
        self.threads = [
            threading.Thread(target=self._work, args=(number,), name="pool-test") for number in range(threads)
        ]

    def _work(self, number: int) -> None:
        while not self.stop.is_set():
            try:
                if number % 2:
                    run(self.store.find_one("c", {}))
                else:
                    run(self.store.insert_one("c", {"thread": number}))
            except PyMongoError as error:
                self.errors.append(error)
            else:
                self.served += 1
            stats = self.opened.stats()
            self.most = max(self.most, stats.in_use)
            connections = [each.open + each.opening for each in stats.servers.values()]
            self.most_connections = max(self.most_connections, *connections)

    def more(self, number: int = 50) -> None:
        """Return when so many operations more have been served."""
        wanted = self.served + number
        while self.served < wanted:
            time.sleep(0.01)


@contextmanager
def load(opened: ClientPool, database: str) -> Iterator[Load]:
    """Put a pool under load for the time of a ``with`` block; at its end every thread has come back."""
    under = Load(opened, database)
    for thread in under.threads:
        thread.start()
    try:
        yield under
    finally:
        under.stop.set()
        for thread in under.threads:
            thread.join()


def whole(opened: ClientPool) -> None:
    """Check that a pool has lost nothing: all permits are free, and every one can be used."""
    assert (opened.gate.in_use, opened.gate.waiting) == (0, 0)
    with ExitStack() as stack:
        for _ in range(LIMIT):
            stack.enter_context(opened.gate.permit())
        assert opened.gate.in_use == LIMIT
    assert opened.client.admin.command("ping")["ok"] == 1
    assert all(each.in_use == 0 and each.opening == 0 for each in opened.stats().servers.values())


FAULTS: dict[str, Callable[[Proxy], None]] = {
    "hang": lambda proxy: proxy.hang(),
    "reset": lambda proxy: proxy.reset(),
    "slow": lambda proxy: setattr(proxy, "delay", 0.05),
    "idle connections closed": lambda proxy: proxy.close_idle(),
    "nobody listens": lambda proxy: (setattr(proxy, "accepting", False), proxy.reset())[0],  # type: ignore[func-returns-value]  # both
}


def repair(proxy: Proxy) -> None:
    proxy.delay = 0.0
    proxy.accepting = True
    proxy.flow()


@pytest.mark.parametrize("fault", FAULTS)
def test_under_load_everybody_gets_a_result_or_a_clear_error_and_no_permit_leaks(
    fault: str, uri: str, database_name: str
) -> None:
    with Proxy(uri) as proxy, open_client(proxy.uri, POOL) as opened:
        opened.warm()
        with load(opened, database_name) as under:
            under.more()
            FAULTS[fault](proxy)
            time.sleep(1.4)  # longer than every timeout of the pool
            repair(proxy)
            under.more()
        assert under.most <= LIMIT
        assert under.most_connections <= LIMIT
        for error in under.errors:
            assert isinstance(error, PoolTimeout | ConnectionFailure) or error.timeout, repr(error)
        whole(opened)


@pytest.mark.parametrize("fault", ["hang", "reset"])
def test_asynchronously_everybody_gets_a_result_or_a_clear_error_and_no_permit_leaks(
    fault: str, uri: str, database_name: str
) -> None:
    async def scenario(proxy: Proxy) -> None:
        async with open_async_client(proxy.uri, POOL) as opened:
            await opened.warm()
            store = AsyncStore(opened.client[database_name], gate=opened.gate)
            before = [store.find_one("c", {}) for _ in range(30)]
            assert await asyncio.gather(*before) == [None] * 30
            FAULTS[fault](proxy)
            results = await asyncio.gather(*[store.find_one("c", {}) for _ in range(LIMIT * 3)], return_exceptions=True)
            assert {type(each) for each in results if isinstance(each, BaseException)} <= {
                type(each) for each in results if isinstance(each, PyMongoError)
            }
            assert (opened.gate.in_use, opened.gate.waiting) == (0, 0)
            repair(proxy)
            deadline = time.monotonic() + 20
            while True:
                try:
                    assert await asyncio.gather(*[store.find_one("c", {}) for _ in range(LIMIT)]) == [None] * LIMIT
                except PyMongoError:
                    assert time.monotonic() < deadline, "the pool does not recover"
                    await asyncio.sleep(0.1)
                else:
                    break
            assert opened.gate.in_use == 0

    with Proxy(uri) as proxy:
        asyncio.run(scenario(proxy))


def test_while_no_connection_opens_a_refusal_says_so(uri: str, database_name: str) -> None:
    """The server is there and does not answer: the pool is not too small."""
    pool = Pool(size=2, max_overflow=1, timeout=0.3, server_selection_timeout=5.0, connect_timeout=5.0)
    with Proxy(uri) as proxy, open_client(proxy.uri, pool) as opened:
        proxy.hang()
        errors: list[Exception] = []
        store = BlockingStore(opened.client[database_name], gate=opened.gate)

        def find() -> None:
            try:
                run(store.find_one("c", {}))
            except PyMongoError as error:
                errors.append(error)

        threads = [threading.Thread(target=find, name="pool-test") for _ in range(4)]
        for thread in threads:
            thread.start()
        while not errors:
            time.sleep(0.01)
        proxy.flow()
        for thread in threads:
            thread.join()
        (error,) = errors
        assert isinstance(error, PoolTimeout)
        assert (error.cause, error.in_use) == ("connecting", 3)
        assert "wait for a connection to open or for a server to be found" in str(error)


def test_a_server_that_hangs_is_noticed_even_without_a_timeout_of_operations(uri: str, database_name: str) -> None:
    """The driver's monitor gets no answer either, and breaks off what waits on that server."""
    pool = Pool(size=2, max_overflow=0, heartbeat=0.5, connect_timeout=0.5, server_selection_timeout=0.5)
    with Proxy(uri) as proxy, open_client(proxy.uri, pool) as opened:
        opened.warm()
        store = BlockingStore(opened.client[database_name], gate=opened.gate)
        assert run(store.find_one("c", {})) is None
        time.sleep(1.2)  # a second monitor connection measures the way from now on
        proxy.hang()
        with pytest.raises(ConnectionFailure):
            run(store.find_one("c", {}))
        assert opened.gate.in_use == 0
        proxy.flow()


@pytest.mark.slow
def test_a_primary_that_steps_down_under_load_leaves_the_pool_whole(replica: Mongod, database_name: str) -> None:
    pool = Pool(
        size=4,
        max_overflow=6,
        timeout=2.0,
        server_selection_timeout=15.0,
        heartbeat=0.5,
        application_name=database_name,
    )
    with open_client(replica.uri, pool) as opened:
        opened.warm()
        with load(opened, database_name) as under:
            under.more()
            step_down(opened)
            under.more(100)
        assert under.most <= LIMIT
        for error in under.errors:
            assert isinstance(error, PoolTimeout | ConnectionFailure), repr(error)
        assert under.most_connections <= LIMIT
        whole(opened)
        opened.client.drop_database(database_name)


def step_down(opened: ClientPool) -> None:
    """Make the primary a secondary for a while."""
    command: dict[str, Any] = {"replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 4}
    with contextlib.suppress(ConnectionFailure):  # it may close the connection that asked
        opened.client.admin.command(command)
