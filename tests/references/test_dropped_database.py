"""A database that is dropped while a handle of it lives, as suites of tests do between two tests."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient

import integrity
from integrity.store.blocking import BlockingStore
from integrity.writes import transaction
from integrity.writes.references import pins
from tests.references.cities import City, Shop

Write = Callable[[integrity.Database], Any]

WRITES: dict[str, Write] = {
    "insert": lambda db: db[Shop].insert_one({"_id": 2, "city": 1}),
    "insert many": lambda db: db[Shop].insert_many([{"_id": 2, "city": 1}]),
    "update": lambda db: db[Shop].update_one({"_id": 1}, {"$set": {"city": 2}}),
    "transaction": lambda db: db.with_transaction(lambda _: db[Shop].insert_one({"_id": 2, "city": 1})),
    "deferred": lambda db: db.with_transaction(lambda _: db[Shop].insert_one({"_id": 2, "city": 1}), deferred=True),
    "delete": lambda db: db[City].delete_one({"_id": 2}),
    "delete in a transaction": lambda db: db.with_transaction(lambda _: db[City].delete_one({"_id": 2})),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_references_are_pinned_again(
    write: Write, client: MongoClient[dict[str, Any]], database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "LIMIT", 5.0)
    db = integrity.Database(client[database_name], models=[City, Shop])
    for _ in range(2):
        db[City].insert_many([{"_id": 1}, {"_id": 2}])
        db.unsafe_raw["shops"].insert_one({"_id": 1, "city": 1})
        write(db)
        assert db.unsafe_raw[pins.COLLECTION].count_documents({}) == pins.SIZE
        client.drop_database(database_name)


def test_pins_are_counted_where_one_was_missed(
    client: MongoClient[dict[str, Any]], database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash the server's own count may be of documents that are not there."""

    async def as_before(*_: Any) -> int:
        return pins.SIZE

    monkeypatch.setattr(transaction, "LIMIT", 5.0)
    db = integrity.Database(client[database_name], models=[City, Shop])
    db.apply()
    db[City].insert_one({"_id": 1})
    db.unsafe_raw[pins.COLLECTION].delete_many({})
    monkeypatch.setattr(BlockingStore, "estimated_document_count", as_before)
    db[Shop].insert_one({"_id": 1, "city": 1})
    assert db.unsafe_raw[pins.COLLECTION].count_documents({}) == pins.SIZE
