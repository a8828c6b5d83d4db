"""Unique constraints: their indexes are there before the first write, or the write is refused."""

import datetime as dt
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pymongo import InsertOne, MongoClient, UpdateOne
from pymongo.database import Database

import integrity
from integrity import DuplicateValue, IndexRequired, InvalidBulkWrite, Model, TransactionRequired, Unique
from integrity.embedded import Mongod
from integrity.store.port import Store
from integrity.writes import unique
from integrity.writes.references import durable
from tests.writes.shop import CUSTOMER, MODELS, Customer, Span

Raw = Database[dict[str, Any]]


class Parcel(Model, collection="parcels"):
    id: int
    number: Annotated[int, Unique()]
    codes: list[Annotated[str, Unique()]]


@pytest.mark.parametrize(
    "write",
    [
        lambda customers: customers.insert_one(dict(CUSTOMER)),
        lambda customers: customers.insert_many([dict(CUSTOMER)]),
        lambda customers: customers.bulk_write([InsertOne(dict(CUSTOMER))]),
        lambda customers: customers.replace_one({"_id": 1}, dict(CUSTOMER), upsert=True),
        lambda customers: customers.update_one({"_id": 1}, {"$set": {**CUSTOMER}}, upsert=True),
        lambda customers: customers.update_one({"_id": 1}, {"$set": {"email": "ada@example.org"}}),
        lambda customers: customers.update_one(
            {"_id": 1, "email": "ada@example.org"}, {"$set": {"name": "Ada"}}, upsert=True
        ),
    ],
)
def test_a_missing_index_is_created_at_the_first_write(raw: Raw, write: Callable[[Any], Any]) -> None:
    write(integrity.Database(raw, models=MODELS)[Customer])
    found = {each["key"][0][0]: each for each in raw["customers"].index_information().values()}
    assert found["email"]["unique"]
    assert found["email"]["collation"]["strength"] == 2
    assert found["nickname"]["partialFilterExpression"]


def test_a_missing_index_refuses_the_write_where_it_is_required(raw: Raw) -> None:
    db = integrity.Database(raw, models=MODELS, unique="require")
    with pytest.raises(IndexRequired, match=r"email.*db\.apply"):
        db[Customer].insert_one(dict(CUSTOMER))
    assert raw["customers"].count_documents({}) == 0
    raw["customers"].create_index("email", unique=True, collation={"locale": "en", "strength": 2})
    raw["customers"].create_index("nickname", unique=True)  # stricter than needed, and enough
    db[Customer].insert_one(dict(CUSTOMER))


def test_an_index_that_compares_otherwise_does_not_count(raw: Raw) -> None:
    raw["customers"].create_index("email", unique=True)
    raw["customers"].create_index("nickname", unique=True)
    db = integrity.Database(raw, models=MODELS, unique="require")
    with pytest.raises(IndexRequired, match="email"):
        db[Customer].insert_one(dict(CUSTOMER))


def test_duplicates_that_are_there_already_refuse_the_index_and_the_write(raw: Raw) -> None:
    raw["customers"].insert_many([{"email": "a@b.c"}, {"email": "A@b.c"}])
    with pytest.raises(IndexRequired, match="audit"):
        integrity.Database(raw, models=MODELS)[Customer].insert_one(dict(CUSTOMER))
    assert raw["customers"].count_documents({}) == 2


def test_in_one_array_as_in_all_of_them_case_may_be_no_difference(raw: Raw) -> None:
    class Album(Model, collection="albums"):
        id: int
        tags: list[Annotated[str, Unique(case_insensitive=True)]]

    albums = integrity.Database(raw, models=[Album])[Album]
    albums.insert_one({"_id": 1, "tags": ["a", "b"]})
    with pytest.raises(DuplicateValue):
        albums.insert_one({"_id": 2, "tags": ["x", "X"]})
    with pytest.raises(DuplicateValue):
        albums.update_one({"_id": 1}, {"$push": {"tags": "B"}})


def test_a_compound_constraint_names_its_fields(raw: Raw) -> None:
    spans = integrity.Database(raw, models=MODELS)[Span]
    spans.insert_many([{"_id": 1, "low": 1, "high": 2}, {"_id": 2, "low": 1, "high": 3}])
    with pytest.raises(DuplicateValue) as refused:
        spans.insert_one({"_id": 3, "low": 1, "high": 3})
    assert refused.value.violations[0].path == "low, high"
    with pytest.raises(DuplicateValue):
        spans.update_one({"_id": 1}, {"$set": {"high": 3}})


def test_no_index_is_created_inside_a_transaction(client: MongoClient[dict[str, Any]], raw: Raw) -> None:
    customers = integrity.Database(raw, models=MODELS)[Customer]
    with client.start_session() as session, session.start_transaction(), pytest.raises(IndexRequired, match="before"):
        customers.insert_one(dict(CUSTOMER), session=session)


def test_a_duplicate_among_many_is_named_as_alone(raw: Raw) -> None:
    customers = integrity.Database(raw, models=MODELS)[Customer]
    customers.insert_many([dict(CUSTOMER), {**CUSTOMER, "_id": 2, "email": "bob@example.org"}])
    taken = {**CUSTOMER, "_id": 3, "email": "ADA@example.org"}
    for write, named in (
        (lambda: customers.insert_many([Customer(**taken)]), 3),
        (lambda: customers.bulk_write([InsertOne(Customer(**taken))]), 3),
        (lambda: customers.bulk_write([UpdateOne({"_id": 2}, {"$set": {"email": "ADA@example.org"}})]), None),
    ):
        with pytest.raises(InvalidBulkWrite, match=r"email: is 'ADA@example\.org', which is taken") as refused:
            write()
        assert [each.id for each in refused.value.violations] == [named]


def test_without_transactions_what_is_beside_an_array_of_unique_values_is_updated(standalone: Mongod) -> None:
    with MongoClient[dict[str, Any]](standalone.uri) as client:
        client.drop_database("beside")
        orders = integrity.Database(client["beside"], models=[Parcel])[Parcel]
        orders.insert_one({"_id": 1, "number": 1, "codes": ["a"]})
        orders.update_one({"_id": 1}, {"$set": {"number": 2}})
        assert orders.find_one({"_id": 1}) == {"_id": 1, "number": 2, "codes": ["a"]}
        with pytest.raises(TransactionRequired, match="it touches an array of unique values"):
            orders.update_one({"_id": 1}, {"$push": {"codes": "a"}})
        client.drop_database("beside")


class Ticket(Model, collection="tickets"):
    id: int
    used: Annotated[dt.datetime | None, Unique()] = None


def test_the_index_of_a_date_that_may_be_missing_can_be_read_again(raw: Raw) -> None:
    """Its partial filter begins with the least date, which is beyond Python's."""
    for number in (1, 2):  # two processes
        db = integrity.Database(raw, models=[Ticket])
        db[Ticket].insert_one({"_id": number, "used": dt.datetime(2026, 1, number, tzinfo=dt.UTC)})
        assert not db.apply().blocked
        assert {each.drift for each in db.status()} == {""}


def test_a_collection_that_was_dropped_and_filled_again_gets_its_index_back(
    client: MongoClient[dict[str, Any]], raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``mongoimport --drop`` does under a process that runs on."""
    monkeypatch.setattr("integrity.writes.unique.BELIEVED", 0.0)
    db = integrity.Database(raw, models=[Parcel])
    parcels = db[Parcel]
    parcels.insert_one({"_id": 9, "number": 9, "codes": ["i"]})  # the index was there once
    for write in (
        lambda: parcels.insert_one({"_id": 3, "number": 1, "codes": ["c"]}),
        lambda: parcels.insert_many([{"_id": 3, "number": 1, "codes": ["c"]}]),
        lambda: parcels.replace_one({"_id": 2}, {"number": 1, "codes": ["c"]}),
        lambda: parcels.update_one({"_id": 2}, {"$set": {"number": 1}}),
    ):
        raw.drop_collection("parcels")
        raw["parcels"].insert_many([{"_id": each, "number": each, "codes": [str(each)]} for each in (1, 2)])
        with pytest.raises((DuplicateValue, InvalidBulkWrite)):
            write()
    raw.drop_collection("parcels")
    with db.transaction():  # which looks at its beginning, and creates what is not there
        parcels.insert_one({"_id": 3, "number": 1, "codes": ["c"]})
    raw["parcels"].drop_indexes()
    with client.start_session() as session, session.start_transaction():
        parcels.insert_one(
            {"_id": 4, "number": 4, "codes": ["d"]}, session=session
        )  # looks at nothing, and could create nothing
        session.abort_transaction()


def test_an_index_that_is_being_built_is_none_yet(client: MongoClient[dict[str, Any]], raw: Raw) -> None:
    """It refuses nothing, and where it finds duplicates it is gone; `ready` would be said of it for ever."""
    raw["parcels"].insert_many([{"_id": 1, "number": 7, "codes": ["a"]}, {"_id": 2, "number": 7, "codes": ["b"]}])
    hang = {"configureFailPoint": "hangAfterStartingIndexBuild"}
    client.admin.command({**hang, "mode": "alwaysOn"})
    outcomes: list[str] = []

    def told(doing: Callable[[], Any]) -> None:
        try:
            doing()
        except integrity.IntegrityError as error:
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("done")

    db = integrity.Database(raw, models=[Parcel])
    parcel = {"_id": 3, "number": 7, "codes": ["c"]}
    doing = [lambda: integrity.Database(raw, models=[Parcel])[Parcel].insert_one(dict(parcel)), db.apply]
    threads = [threading.Thread(target=told, args=(each,)) for each in doing]
    try:
        building = threading.Thread(target=told, args=(lambda: integrity.Database(raw, models=[Parcel]).apply(),))
        building.start()
        while not any(name.startswith("integrity_") for name in raw["parcels"].index_information()):
            time.sleep(0.01)
        for each in threads:
            each.start()
        for each in threads:
            each.join(0.5)  # so that both look while it is being built
    finally:
        client.admin.command({**hang, "mode": "off"})
    for each in (building, *threads):
        each.join()
    assert sorted(outcomes) == ["EnforcementError", "EnforcementError", "IndexRequired"]
    assert raw["parcels"].count_documents({}) == 2


def test_an_index_that_an_election_takes_back_before_a_majority_is_waited_for_is_made_again(
    raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has made it a moment ago: the new primary, which waits, does not have it."""
    integrity.Database(raw, models=MODELS).apply()
    indexes = raw.customers.index_information()
    waits: list[str] = []

    async def settled(store: Store, collection: str) -> None:
        if not waits:
            raw.customers.drop_indexes()
        waits.append(collection)
        await durable.settled(store, collection)

    monkeypatch.setattr(unique, "settled", settled)
    integrity.Database(raw, models=MODELS)[Customer].insert_one(dict(CUSTOMER))
    assert raw.customers.index_information() == indexes
    assert waits == ["customers", "customers"]
