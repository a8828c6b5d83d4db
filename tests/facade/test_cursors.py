"""Several who take of one cursor, and who is interrupted: nothing is lost without a word, nor taken twice."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, InvalidOperation

import integrity
from integrity import Model, PoolTimeout
from integrity.store.blocking import BlockingBatches

MANY = 2000
ASKED: dict[str, Callable[[Any], Any]] = {
    "find": lambda items: items.find({}, batch_size=50),
    "aggregate": lambda items: items.aggregate([{"$match": {}}], batchSize=50),
}


class Item(Model, collection="items"):
    id: int


@pytest.fixture(autouse=True)
def _stored(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    client[database_name].items.insert_many({"_id": number} for number in range(MANY))


@pytest.mark.parametrize("how", ASKED)
def test_of_several_threads_each_document_is_ones(client: Any, database_name: str, how: str) -> None:
    cursor = ASKED[how](integrity.Database(client[database_name], models=[Item])[Item])
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda _: [each["_id"] for each in cursor], range(4)))
    assert sorted(each for part in parts for each in part) == list(range(MANY))


@pytest.mark.parametrize("how", ASKED)
@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_of_several_tasks_each_document_is_ones(uri: str, database_name: str, driver: Any, how: str) -> None:
    async with integrity.aio.connect(uri, models=[Item], database=database_name, driver=driver) as db:
        made = ASKED[how](db[Item])
        cursor = await made if isawaitable(made) else made

        async def taken() -> list[int]:
            found = []
            async for each in cursor:
                found.append(each["_id"])
                await asyncio.sleep(0)
            return found

        parts = await asyncio.gather(*(taken() for _ in range(4)))
        assert sorted(each for part in parts for each in part) == list(range(MANY))


@pytest.mark.parametrize("how", ASKED)
@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_cursor_whose_wait_was_cancelled_is_not_at_its_end(
    uri: str, database_name: str, driver: Any, how: str
) -> None:
    """The driver has closed it, and would say that there is no more."""
    async with integrity.aio.connect(uri, models=[Item], database=database_name, driver=driver) as db:
        made = ASKED[how](db[Item])
        cursor = await made if isawaitable(made) else made
        waiting = asyncio.create_task(cursor.to_list())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(InvalidOperation, match=r"was interrupted .*CancelledError.*; ask again"):
            async for _ in cursor:
                pass
        await cursor.close()
        assert await cursor.to_list() == []
        assert len(await db[Item].find().to_list()) == MANY


@pytest.mark.parametrize("error", [PoolTimeout("full"), AutoReconnect("gone")], ids=["nothing sent", "gone"])
def test_what_a_list_has_taken_is_there_for_who_asks_again(
    client: Any, database_name: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    cursor = ASKED["find"](integrity.Database(client[database_name], models=[Item])[Item])
    following, asked = BlockingBatches.next, iter([False, True])

    async def failing(batches: BlockingBatches, size: int = 1000) -> Any:
        if next(asked, False):
            raise error
        return await following(batches, size)

    monkeypatch.setattr(BlockingBatches, "next", failing)
    with pytest.raises(type(error)):
        cursor.to_list()
    if isinstance(error, PoolTimeout):
        assert [each["_id"] for each in cursor.to_list()] == list(range(MANY))
        return
    assert len(cursor.to_list(1000)) == 1000
    with pytest.raises(InvalidOperation, match="AutoReconnect"):
        cursor.next()
