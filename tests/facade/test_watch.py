"""Change streams of a guarded collection: PyMongo's events, within the pool's budget."""

import asyncio
import contextlib
import gc
import os
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from pymongo.errors import OperationFailure

import integrity
from integrity import Pool, PoolTimeout
from tests.client.warehouse import Part

BUDGET = Pool(size=2, max_overflow=1, change_streams=1)
PART = {"_id": 1, "name": "bolt", "price": 1.0, "tags": ["a"]}


def test_a_stream_is_counted_as_long_as_it_is_open(uri: str, database_name: str) -> None:
    with integrity.connect(uri, models=[Part], database=database_name, pool=BUDGET) as db:
        assert db.pool is not None
        with db[Part].watch([{"$match": {"operationType": "insert"}}], max_await_time_ms=100) as stream:
            assert db.pool.stats().streams == 1
            with pytest.raises(PoolTimeout, match="1 change streams are open, as many as are budgeted"):
                db[Part].watch()
            db[Part].insert_one(dict(PART))
            event = next(stream)
            assert event["fullDocument"]["name"] == "bolt"
            assert stream.try_next() is None
            assert stream.alive
            token = stream.resume_token
        assert not stream.alive
        stream.close()  # again: its place is given back once
        assert db.pool.stats().streams == 0
        with pytest.raises(Exception, match="resume"):
            db[Part].watch(resume_after={"_data": "no token"})
        assert db.pool.stats().streams == 0, "one that could not be opened takes no place"
        with db[Part].watch(resume_after=token) as again:
            assert again.try_next() is None


def test_a_stream_that_is_forgotten_gives_its_place_back(uri: str, database_name: str) -> None:
    with integrity.connect(uri, models=[Part], database=database_name, pool=BUDGET) as db:
        assert db.pool is not None
        stream = db[Part].watch(max_await_time_ms=100)
        assert db.pool.stats().streams == 1
        del stream
        gc.collect()
        assert db.pool.stats().streams == 0


def test_a_stream_that_is_opened_in_a_transaction_leaves_it_alone(uri: str, database_name: str) -> None:
    with integrity.connect(uri, models=[Part], database=database_name, pool=BUDGET) as db:
        with db.transaction(), db[Part].watch(max_await_time_ms=100):
            db[Part].insert_one(dict(PART))
        assert db[Part].count_documents({}) == 1


def test_of_a_stream_that_several_threads_follow_each_event_is_ones(uri: str, database_name: str) -> None:
    """Two requests at a time for its cursor would end it for both."""
    with (
        integrity.connect(uri, models=[Part], database=database_name, pool=BUDGET) as db,
        db[Part].watch(max_await_time_ms=100) as stream,
        ThreadPoolExecutor() as pool,
    ):
        taken = [pool.submit(stream.next) for _ in range(3)]
        assert not wait(taken, timeout=0.3).done
        db[Part].insert_many([{**PART, "_id": number} for number in range(3)])
        assert sorted(each.result(timeout=30)["documentKey"]["_id"] for each in taken) == [0, 1, 2]


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_of_a_stream_that_several_tasks_follow_each_event_is_ones(
    driver: Any, uri: str, database_name: str
) -> None:
    async with (
        integrity.aio.connect(uri, models=[Part], database=database_name, pool=BUDGET, driver=driver) as db,
        await db[Part].watch(max_await_time_ms=100) as stream,
    ):
        assert await stream.try_next() is None  # it is open
        taken = [asyncio.create_task(stream.next()) for _ in range(3)]
        await asyncio.wait(taken, timeout=0.3)
        await db[Part].insert_many([{**PART, "_id": number} for number in range(3)])
        events = await asyncio.wait_for(asyncio.gather(*taken), 30)
        assert sorted(each["documentKey"]["_id"] for each in events) == [0, 1, 2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_forked_child_counts_none_of_its_parents(uri: str, database_name: str) -> None:
    """Nor out: it would have one more than is budgeted."""
    with integrity.connect(uri, models=[Part], database=database_name, pool=BUDGET) as db:
        assert db.pool is not None
        stream = db[Part].watch(max_await_time_ms=100)
        said, says = os.pipe()
        if (child := os.fork()) == 0:  # pragma: no cover - the child
            del stream
            gc.collect()
            os.write(says, str(db.pool.stats().streams).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(said, 9) == b"0"
        assert db.pool.stats().streams == 1
        stream.close()


def test_none_is_budgeted_unless_the_pool_says_so(uri: str, database_name: str) -> None:
    with (
        integrity.connect(uri, models=[Part], database=database_name) as db,
        pytest.raises(PoolTimeout, match="none is budgeted"),
    ):
        db[Part].watch()


def test_over_a_client_of_the_application_nobody_counts(client: Any, database_name: str) -> None:
    db = integrity.Database(client[database_name], models=[Part])
    with db[Part].watch(max_await_time_ms=50) as one, db[Part].watch(max_await_time_ms=50) as other:
        assert (one.try_next(), other.try_next()) == (None, None)


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_asynchronously(driver: Any, uri: str, database_name: str) -> None:
    async with integrity.aio.connect(uri, models=[Part], database=database_name, pool=BUDGET, driver=driver) as db:
        assert db.pool is not None
        async with await db[Part].watch(max_await_time_ms=100) as stream:
            assert db.pool.stats().streams == 1
            with pytest.raises(PoolTimeout, match="as many as are budgeted"):
                await db[Part].watch()
            assert await stream.try_next() is None
            await db[Part].insert_one(dict(PART))
            async with asyncio.timeout(30):
                async for event in stream:
                    assert event["documentKey"] == {"_id": 1}
                    break
            assert stream.resume_token is not None
        assert db.pool.stats().streams == 0


@pytest.mark.parametrize("end", ["dropped", "history lost"])
def test_a_stream_that_has_ended_gives_its_place_back(client: Any, uri: str, database_name: str, end: str) -> None:
    """Who opens another one need not forget the first: it holds no connection any more."""
    client[database_name].create_collection("parts")
    lost = {"failCommands": ["getMore"], "errorCode": 286, "appName": "integrity-lost"}
    pool = Pool(size=2, max_overflow=1, change_streams=1, application_name="integrity-lost")
    with integrity.connect(uri, models=[Part], database=database_name, pool=pool) as db:
        assert db.pool is not None
        stream = db[Part].watch(max_await_time_ms=100)
        if end == "dropped":
            client[database_name].drop_collection("parts")
            assert [event["operationType"] for event in stream] == ["drop", "invalidate"]
        else:
            client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": lost})
            with pytest.raises(OperationFailure):
                next(stream)
        assert not stream.alive
        assert db.pool.stats().streams == 0
        with db[Part].watch(max_await_time_ms=100):
            assert db.pool.stats().streams == 1
            stream.close()
            assert db.pool.stats().streams == 1


async def test_with_motor_a_cancelled_wait_loses_no_event_and_no_connection(uri: str, database_name: str) -> None:
    """What it waits for runs on in a thread."""
    async with integrity.aio.connect(uri, models=[Part], database=database_name, pool=BUDGET, driver="motor") as db:
        assert db.pool is not None
        async with await db[Part].watch(max_await_time_ms=200) as stream:
            assert await stream.try_next() is None
            for number in range(20):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stream.next(), 0.01)
                    raise AssertionError("there is no event")
                await db[Part].insert_one({**PART, "_id": number})
                event = await asyncio.wait_for(stream.next(), 30)
                assert event["documentKey"] == {"_id": number}
        for delay in (0, 0.001, 0.002, 0.005, 0.01, 0.1):

            async def watching() -> None:
                async with await db[Part].watch(max_await_time_ms=200) as stream:
                    await stream.next()

            task = asyncio.create_task(watching())
            await asyncio.sleep(delay)
            task.cancel()
            await asyncio.wait([task])
            for _ in range(100):  # where it was cancelled once more, closing goes on
                if db.pool.stats().streams == 0:
                    break
                await asyncio.sleep(0.05)
            assert sum(each.in_use for each in db.pool.stats().servers.values()) == 0
