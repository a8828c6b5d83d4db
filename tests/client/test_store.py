"""Each round trip of a store takes the gate once, and nothing is held between two of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import pymongo
import pytest
from bson import Binary
from bson.errors import InvalidBSON
from pymongo import MongoClient

from integrity.client import (
    AsyncClientPool,
    AsyncGate,
    ClientPool,
    Gate,
    Pool,
    open_async_client,
    open_client,
    open_motor_client,
)
from integrity.errors import PoolTimeout
from integrity.store.asynchronous import AsyncStore
from integrity.store.blocking import BlockingStore
from integrity.store.motor import MotorStore
from integrity.store.port import Store
from integrity.store.run import run
from tests.client.colours import COLOURS
from tests.client.slow import Slow

Scenario = Callable[[Store, ClientPool | AsyncClientPool], Awaitable[None]]


def under(colour: str, uri: str, database: str, scenario: Scenario, pool: Pool | None = None) -> None:
    """Run a scenario over one colour's store."""
    pool = pool or Pool(size=2, max_overflow=0, timeout=0.05, application_name=f"store_{database}")
    if colour == "blocking":
        with open_client(uri, pool) as opened:
            run(scenario(BlockingStore(opened.client[database], gate=opened.gate), opened))  # type: ignore[arg-type]  # a coroutine
        return

    async def asynchronous() -> None:
        opener = open_motor_client if colour == "motor" else open_async_client
        async with opener(uri, pool) as opened:
            store = (MotorStore if colour == "motor" else AsyncStore)(opened.client[database], gate=opened.gate)
            await scenario(store, opened)

    asyncio.run(asynchronous())


@pytest.mark.parametrize("colour", COLOURS)
def test_every_round_trip_takes_the_gate_once_and_gives_it_back(colour: str, uri: str, database_name: str) -> None:
    async def scenario(store: Store, opened: ClientPool | AsyncClientPool) -> None:
        async def costs(number: int, operation: Awaitable[Any]) -> Any:
            before = opened.stats().requests
            result = await operation
            assert opened.stats().requests - before == number
            assert opened.stats().in_use == 0
            return result

        await costs(1, store.insert_many("c", [{"_id": each} for each in range(7)]))
        await costs(1, store.call("c", "count_documents", {}))
        await costs(1, store.command("ping"))
        await costs(1, store.admin("hello"))
        await costs(1, store.collections())
        batches = store.find("c", {}, batch_size=3)
        assert len(await costs(1, batches.next(3))) == 3
        assert len(await costs(1, batches.next(3))) == 3
        await costs(1, batches.close())
        # Motor's aggregate sends nothing until the first batch is asked for.
        batches = await costs(0 if colour == "motor" else 1, store.aggregate("c", [{"$match": {}}], batchSize=3))
        assert len(await costs(1, batches.next(100))) == 7
        await costs(0, batches.close())
        for derived in (
            store.with_options(),
            store.for_reader(),
            store.for_models(),
            store.for_results(),
            store.for_bytes(),
        ):
            await costs(1, derived.find_one("c", {}))

    under(colour, uri, database_name, scenario)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_transaction_holds_no_permit_between_its_operations(
    colour: str, uri: str, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead: list[bool] = []
    acquired, urged = AsyncGate.acquire, Gate.urgent

    async def acquire(gate: AsyncGate, *, first: bool = False) -> None:
        ahead.append(first)
        await acquired(gate, first=first)

    def urgent(gate: Gate) -> object:
        ahead.append(True)
        return urged(gate)

    monkeypatch.setattr(AsyncGate, "acquire", acquire)
    monkeypatch.setattr(Gate, "urgent", urgent)

    async def scenario(store: Store, opened: ClientPool | AsyncClientPool) -> None:
        session = await store.start_session()
        await store.begin(session)
        before = opened.stats().requests
        await store.insert_one("c", {"_id": 1}, session=session)
        assert opened.stats().in_use == 0
        await store.insert_one("c", {"_id": 2}, session=session)
        assert opened.stats().in_use == 0
        assert sum(ahead) == 0
        await store.commit(session)
        assert opened.stats().requests - before == 3
        assert sum(ahead) == 1, "what ends a transaction goes before what waits for its locks"
        await store.begin(session)
        await store.insert_one("c", {"_id": 3}, session=session)
        await store.end_session(session)
        assert opened.stats().requests - before == 5
        assert sum(ahead) == 2
        assert await store.count_documents("c", {}) == 2

    under(colour, uri, database_name, scenario)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("end", ["abort", "end_session"])
def test_a_transaction_is_aborted_even_when_no_permit_comes_free_and_no_time_is_left(
    colour: str, end: str, uri: str, database_name: str, client: MongoClient[dict[str, Any]]
) -> None:
    """It would stay open on the server and lock what it wrote for a minute."""

    async def scenario(store: Store, opened: ClientPool | AsyncClientPool) -> None:
        await store.insert_one("c", {"_id": 1, "n": 0})
        session = await store.start_session()
        await store.begin(session)
        await store.update_one("c", {"_id": 1}, {"$set": {"n": 1}}, session=session)
        await exhaust(opened)
        with pytest.raises(PoolTimeout):
            await store.commit(session)
        with pymongo.timeout(0.001):
            time.sleep(0.002)  # noqa: ASYNC251 - nobody else is there
            await getattr(store, end)(session)
            assert store.left < 0.001, "the deadline is the caller's again"
        with pymongo.timeout(10):  # not locked any more: this does not wait
            client[database_name].c.update_one({"_id": 1}, {"$inc": {"n": 5}})
        assert client[database_name].c.find_one({"_id": 1}) == {"_id": 1, "n": 5}
        if end == "abort":
            await store.end_session(session)
        free(opened)

    under(colour, uri, database_name, scenario)


@pytest.mark.parametrize("colour", COLOURS)
def test_what_writes_is_not_sent_again_for_a_reply_that_cannot_be_decoded(
    colour: str, uri: str, database_name: str
) -> None:
    async def scenario(store: Store, opened: ClientPool | AsyncClientPool) -> None:
        for _ in range(2):  # a collection that the store does not know yet, and one that it does
            await store.replace_one("c", {"_id": 1}, {"n": 0, "key": Binary(b"x", 4)}, upsert=True)
            with pytest.raises(InvalidBSON):
                await store.find_one_and_update("c", {"_id": 1}, {"$inc": {"n": 1}})
            assert await store.find_one("c", {}) == {"_id": 1, "n": 1, "key": Binary(b"x", 4)}

    under(colour, uri, database_name, scenario)


@pytest.mark.parametrize("colour", COLOURS)
def test_closing_a_cursor_never_fails_for_want_of_a_permit(colour: str, uri: str, database_name: str) -> None:
    async def scenario(store: Store, opened: ClientPool | AsyncClientPool) -> None:
        await store.insert_many("c", [{"_id": each} for each in range(10)])
        batches = store.find("c", {}, batch_size=2)
        await batches.next(2)
        await exhaust(opened)
        await batches.close()
        free(opened)

    under(colour, uri, database_name, scenario)


HELD = ExitStack()


async def exhaust(opened: ClientPool | AsyncClientPool) -> None:
    """Take both permits."""
    for _ in range(2):
        if isinstance(opened, AsyncClientPool):
            await opened.gate.acquire()
        else:
            HELD.enter_context(opened.gate.permit())


def free(opened: ClientPool | AsyncClientPool) -> None:
    """Give both permits back."""
    if isinstance(opened, AsyncClientPool):
        for _ in range(2):
            opened.gate.release()
    HELD.close()


@pytest.mark.parametrize("colour", ["asynchronous", "motor"])
def test_a_thousand_cancelled_operations_leave_the_pool_as_it_was(
    colour: str, uri: str, slow: Slow, database_name: str
) -> None:
    async def scenario(store: Store, opened: ClientPool | AsyncClientPool) -> None:
        await opened.warm()  # type: ignore[misc]  # asynchronous colours only
        slow.start(2.0)
        tasks = [asyncio.create_task(store.find_one("c", {})) for _ in range(1000)]
        # Not while a connection opens: the driver leaves the socket of one that is cancelled then to the collector.
        while sum(each.in_use for each in opened.stats().servers.values()) < 10:  # noqa: ASYNC110 - the driver's doing
            await asyncio.sleep(0.01)
        assert (opened.stats().in_use, opened.stats().waiting) == (10, 990)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in results} == {asyncio.CancelledError}
        # Motor's threads go on until the server answers, and keep their permits as long as their connections.
        if colour == "motor":
            assert opened.stats().in_use == 10
        slow.stop()
        while opened.stats().in_use:  # noqa: ASYNC110 - what ends is in threads, and sets no event
            await asyncio.sleep(0.01)
        assert opened.stats().waiting == 0
        await asyncio.gather(*[store.find_one("c", {}) for _ in range(50)])
        (server,) = opened.stats().servers.values()
        assert server.open <= 10
        assert server.in_use == 0

    under(
        colour,
        uri,
        database_name,
        scenario,
        Pool(size=5, max_overflow=5, timeout=30.0, application_name=slow.application),
    )
