"""A delete in the caller's session: the driver accepts the session before anything is condemned, and it learns."""

from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.errors import InvalidOperation, OperationFailure

import integrity
from integrity import Model, Ref
from integrity.writes.references import condemned

Client = MongoClient[dict[str, Any]]


class City(Model, collection="cities"):
    id: int


class Shop(Model, collection="shops"):
    id: int
    city: Annotated[int, Ref(City, on_delete="cascade")]


@pytest.fixture(params=["client", "alone"])
def member(request: pytest.FixtureRequest) -> Client:
    """A client of a server with transactions, and of one without."""
    found: Client = request.getfixturevalue(request.param)
    return found


def test_a_session_that_cannot_delete_deletes_nothing(member: Client, uri: str, database_name: str) -> None:
    raw = member[database_name]
    cities = integrity.Database(raw, models=[City, Shop])[City]
    cities.insert_one({"_id": 1})
    with Client(uri) as other, other.start_session() as foreign, member.start_session() as ended:
        ended.end_session()
        for session in (foreign, ended):
            with pytest.raises(InvalidOperation):
                cities.delete_one({"_id": 1}, session=session)
            with pytest.raises(InvalidOperation):
                cities.delete_many({}, session=session)
            with pytest.raises(InvalidOperation):
                cities.find_one_and_delete({"_id": 1}, session=session)
    with member.start_session(snapshot=True) as frozen, pytest.raises(OperationFailure, match="snapshot"):
        cities.delete_one({"_id": 1}, session=frozen)
    assert list(raw["cities"].find()) == [{"_id": 1}]
    assert raw[condemned.COLLECTION].count_documents({}) == 0
    raw.client.drop_database(database_name)


@pytest.mark.parametrize("limit", [1000, 1])
def test_a_session_learns_when_it_has_deleted(client: Client, database_name: str, limit: int) -> None:
    db = integrity.Database(client[database_name], models=[City, Shop])
    db._guards.references.limit = limit  # 1: in batches
    db[City].insert_one({"_id": 1})
    db[Shop].insert_many([{"_id": each, "city": 1} for each in range(3)])
    with client.start_session() as session, client.start_session() as watcher:
        assert db[City].delete_one({"_id": 1}, session=session).deleted_count == 1
        client[database_name]["cities"].find_one({"_id": 1}, session=watcher)
        last = client["local"]["oplog.rs"].find_one(
            {"op": "d", "ns": f"{database_name}.cities"}, sort=[("$natural", -1)]
        ) or client["local"]["oplog.rs"].find_one({"o.applyOps.ns": f"{database_name}.cities", "o.applyOps.op": "d"})
        assert last is not None
        assert session.operation_time is not None
        assert session.operation_time >= last["ts"]
    assert client[database_name]["shops"].count_documents({}) == 0
