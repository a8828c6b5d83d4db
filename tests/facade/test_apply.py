"""`db.apply()`, in every colour: the server enforces what is declared, or an error names what is in the way."""

from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import DuplicateKeyError

import integrity
from integrity.errors import EnforcementError
from tests.server.shop import REGISTRY, Customer


def test_blocking(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    db = integrity.Database(client[database_name], models=REGISTRY, actor="*")
    dry = db.apply(dry_run=True)
    assert dry.done == ()
    assert str(dry) == str(dry.plan)
    made = db.apply()
    assert made.done
    assert str(made).splitlines()[0] == f"done: {made.done[0]}"
    again = db.apply()
    assert again.done == ()
    assert str(again) == "Nothing was to be done."
    db[Customer].insert_one({"id": 1, "email": "a@b"})
    with pytest.raises(DuplicateKeyError):
        db.unsafe_raw.customers.insert_one({"_id": 2, "email": "a@b"})


async def test_asynchronous(uri: str, client: MongoClient[dict[str, Any]], database_name: str) -> None:
    client[database_name].customers.insert_many([{"_id": 1, "email": "a@b"}, {"_id": 2, "email": "a@b"}])
    async with AsyncMongoClient[dict[str, Any]](uri) as connected:
        db = integrity.aio.Database(connected[database_name], models=REGISTRY)
        with pytest.raises(EnforcementError, match="there are documents with equal email"):
            await db.apply()
        client[database_name].customers.delete_one({"_id": 2})
        assert (await db.apply()).done
        assert (await db.apply()).done == ()
