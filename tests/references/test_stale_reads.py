"""An application that reads from secondaries: what a guard decides by is read on the primary all the same."""

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from pymongo.write_concern import WriteConcern

import integrity
import integrity.aio
from integrity import DanglingReference, DuplicateValue, RestrictedDelete
from integrity.embedded import Mongod
from tests.lagging import deaf
from tests.references.cities import City, Shop

Client = MongoClient[dict[str, Any]]

READS = frozenset({"aggregate", "count", "distinct", "find", "listIndexes"})


@pytest.mark.parametrize("mode", ["pinned", "optimistic"])
def test_a_secondary_that_lags_behind_makes_no_orphan(replica: Mongod, database_name: str, mode: Any) -> None:
    with Client(replica.uri) as client:
        try:
            db = integrity.Database(client[database_name], models=[City, Shop], references=mode)
            db.apply()
            db[City].insert_many([{"id": 1}, {"id": 2}])
            with deaf(client) as address:

                def only(servers: Any) -> Any:
                    """Choose the primary and the secondary that hears nothing."""
                    return [each for each in servers if each.address in {client.primary, address}]

                with Client(replica.uri, readPreference="secondaryPreferred", server_selector=only) as reader:
                    late = integrity.Database(reader[database_name], models=[City, Shop], references=mode)
                    db[City].delete_one({"_id": 1})
                    assert late[City].find_one({"_id": 1}) is not None, "its own reads are where it wants them"
                    with pytest.raises(DanglingReference):
                        late[Shop].insert_one({"id": 1, "city": 1})
                    db[Shop].insert_one({"id": 2, "city": 2})
                    with pytest.raises(RestrictedDelete):
                        late[City].delete_one({"_id": 2})
            assert [each["_id"] for each in db[Shop].find()] == [2]
        finally:
            client.drop_database(database_name)


class _Asked(CommandListener):
    """Notes how reads are to be answered."""

    def __init__(self) -> None:
        self.found: set[tuple[str | None, str | None]] = set()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in READS and "autocommit" not in event.command:
            mode, concern = event.command.get("$readPreference"), event.command.get("readConcern")
            self.found.add((mode and mode["mode"], concern and concern.get("level")))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing."""


#: On the primary, and as it is there now.
CURRENT = {(None, "local"), (None, None)}
AS_ASKED = {("secondaryPreferred", "available")}
OPTIONS: dict[str, Any] = {"readPreference": "secondaryPreferred", "readConcernLevel": "available"}


@pytest.mark.parametrize("mode", ["pinned", "optimistic"])
def test_all_that_guards_read_is_read_on_the_primary(uri: str, database_name: str, mode: Any) -> None:
    asked = _Asked()
    with Client(uri, event_listeners=[asked], **OPTIONS) as client:
        db = integrity.Database(client[database_name], models=[City, Shop], references=mode)
        for each in (db, integrity.Database(client[database_name], models=[City, Shop], references=mode)):
            each.apply()
            each[City].insert_many([{"id": 1, "code": "a"}, {"id": 2, "code": "b"}, {"id": 3, "code": "c"}])
            each[Shop].insert_many([{"id": number, "city": 1 + number % 2} for number in range(5)], ordered=False)
            each[Shop].insert_one({"id": 9, "city": 1})
            each[Shop].update_one({"_id": 1}, {"$set": {"city": 3}})
            each[Shop].update_many({}, [{"$set": {"city": 1}}])
            each[Shop].replace_one({"_id": 1}, {"city": 1})
            with pytest.raises(DuplicateValue):
                each[City].update_one({"_id": 2}, {"$set": {"code": "a"}})
            with pytest.raises(RestrictedDelete):
                each[City].delete_one({"_id": 1})
            each[City].with_options(write_concern=WriteConcern(1)).delete_one({"_id": 2})
            each[City].plan_delete({"_id": 1})
            each.check()
            each.recover()
            each[Shop].unsafe_raw.delete_many({})
            each[City].unsafe_raw.delete_many({})
        assert asked.found
        assert asked.found <= CURRENT
        asked.found.clear()
        list(db[Shop].find())
        assert db[Shop].with_options(write_concern=WriteConcern(1)).count_documents({}) == 0
        assert asked.found == AS_ASKED


def test_so_it_is_for_the_asynchronous_ones(uri: str, database_name: str) -> None:
    asked = _Asked()

    async def session() -> None:
        async with AsyncMongoClient[dict[str, Any]](uri, event_listeners=[asked], **OPTIONS) as client:
            db = integrity.aio.Database(client[database_name], models=[City, Shop], references="optimistic")
            await db[City].insert_one({"id": 1})
            await db[Shop].insert_one({"id": 1, "city": 1})
            with pytest.raises(RestrictedDelete):
                await db[City].delete_one({"_id": 1})
            assert asked.found
            assert asked.found <= CURRENT
            asked.found.clear()
            assert await db[Shop].find_one({}) is not None
            assert asked.found == AS_ASKED

    asyncio.run(session())
