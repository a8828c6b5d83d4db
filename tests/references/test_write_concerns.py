"""The application's write concern: what is the library's own is confirmed by a majority, whatever it says."""

from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import WriteConcernError, WTimeoutError
from pymongo.monitoring import CommandListener, CommandStartedEvent
from pymongo.write_concern import WriteConcern

import integrity
from integrity import DuplicateValue, IndexRequired
from integrity.embedded import Mongod
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.transaction import majority
from tests.lagging import alone
from tests.references.cities import City, Shop

Client = MongoClient[dict[str, Any]]


def test_what_the_library_keeps_needs_no_more_than_a_majority(uri: str, client: Client, database_name: str) -> None:
    with Client(uri, w=2, wtimeoutMS=500) as two:  # there is one member
        raw = two[database_name]
        db = integrity.Database(raw, models=[City, Shop])
        with pytest.raises(WriteConcernError, match="Not enough"):  # PyMongo's own words of the insert itself
            db[City].insert_one({"id": 1, "code": "a"})
        assert "integrity_unique_code" in raw["cities"].index_information()
        with pytest.raises(DuplicateValue):
            db[City].insert_one({"id": 2, "code": "a"})
        assert db[Shop].insert_one({"id": 1, "city": 1}).acknowledged
        client[database_name]["shops"].delete_many({})
        assert db[City].delete_one({"_id": 1}).deleted_count == 1


@pytest.mark.parametrize("mode", ["pinned", "optimistic"])
def test_a_write_waits_as_long_as_the_application_says(replica: Mongod, database_name: str, mode: str) -> None:
    with Client(replica.uri, w="majority", wtimeoutMS=2000) as limited, Client(replica.uri, w=3) as client:
        try:
            patient, db = (
                integrity.Database(each[database_name], models=[City, Shop], references=mode)
                for each in (client, limited)
            )
            patient.apply()
            patient[City].insert_one({"id": 1})
            patient[Shop].insert_one({"id": 0, "city": 1})
            db[Shop].insert_one({"id": 1, "city": 1})
            client[database_name]["beginning"].insert_one({})  # every member has heard of all that
            with alone(client):
                with pytest.raises(WTimeoutError):
                    db[Shop].insert_one({"id": 2, "city": 1})
                with pytest.raises(WTimeoutError), db.transaction():
                    db[Shop].insert_one({"id": 3, "city": 1})
            assert db[Shop].count_documents({}) == 4  # stored, as PyMongo's is
        finally:
            client.drop_database(database_name)


def test_what_others_have_made_counts_when_a_majority_has_it(replica: Mongod, database_name: str) -> None:
    """A unique index, and a notice, of a process that still waits for a majority: an election would take them back."""
    with Client(replica.uri, w=1, wtimeoutMS=300) as hasty, Client(replica.uri, w=3) as client:
        try:
            raw = client[database_name]
            raw.create_collection("cities")  # without a document, an index is built by the primary alone
            client.shop.beginning.insert_one({})  # every member has heard of it
            first, second = (integrity.Database(hasty[database_name], models=[City, Shop]) for _ in range(2))
            with alone(client):
                with pytest.raises(IndexRequired):
                    first[City].insert_one({"id": 2, "code": "a"})
                assert "integrity_unique_code" in raw["cities"].index_information()
                with pytest.raises(WTimeoutError):
                    second[City].insert_one({"id": 2, "code": "a"})
                for each in (first, second):
                    guards = each._guards  # how often somebody looks at a notice is no public matter
                    with pytest.raises(WTimeoutError):
                        run(guards.references.notices.post(guards.store, "cities"))
            second[City].insert_one({"id": 2, "code": "a"})
        finally:
            client.drop_database(database_name)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({}, {}),
        ({"w": 1, "j": True}, {"j": True}),
        ({"w": 1, "j": False}, {}),
        ({"w": "majority", "wtimeout": 5}, {"wtimeout": 5}),
        ({"w": 3, "wtimeout": 5, "j": True}, {"wtimeout": 5, "j": True}),
    ],
)
def test_a_majority_is_waited_for_as_the_application_says(
    client: Client, said: dict[str, Any], kept: dict[str, Any]
) -> None:
    store = BlockingStore(client.get_database("any", write_concern=WriteConcern(**said)))
    assert majority(store).document == {"w": "majority", **kept}


def test_what_a_transaction_is_told_as_none_is_as_ever(uri: str, database_name: str) -> None:
    """PyMongo's None says: what the client says; and that may be w=1."""
    seen: list[Any] = []

    class Commits(CommandListener):
        def started(self, event: CommandStartedEvent) -> None:
            if event.command_name == "commitTransaction":
                seen.append(event.command.get("writeConcern"))

        def succeeded(self, event: object) -> None: ...

        def failed(self, event: object) -> None: ...

    with Client(uri, w=1, event_listeners=[Commits()]) as client:
        db = integrity.Database(client[database_name], models=[City, Shop])
        with db.transaction(write_concern=None):
            db[City].insert_one({"id": 1, "code": "a"})
    assert seen == [{"w": "majority"}]
