"""What an application's client is told about codecs and kinds of collections changes nothing that a guard relies on."""

import asyncio
import datetime as dt
import uuid
import zoneinfo
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson import Decimal128
from bson.codec_options import TypeCodec, TypeRegistry
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import Field
from pymongo import MongoClient
from pymongo.server_api import ServerApi

import integrity
import integrity.aio
from integrity import IntegrityError, Model, Ref, UnguardedWrite

Client = MongoClient[dict[str, Any]]


class Good(Model, collection="goods"):
    id: int
    price: Decimal = Decimal(5)
    left: Annotated[int, Field(ge=0)] = 9
    at: dt.datetime | None = None


class Part(Model, collection="parts"):
    id: int
    good: Annotated[int, Ref(Good)]


class Measured(Model, collection="measured"):
    id: Any
    at: dt.datetime
    good: Annotated[int, Ref(Good)]


class Named(Model, collection="named"):
    id: int
    keys: list[uuid.UUID] | None = None


class Decimals(TypeCodec):
    """The usual one."""

    python_type = Decimal
    bson_type = Decimal128

    def transform_python(self, value: Any) -> Any:
        return Decimal128(value)

    def transform_bson(self, value: Any) -> Any:
        return value.to_decimal()


def test_an_application_may_read_dates_in_its_own_zone(uri: str, database_name: str) -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    with Client(uri, tz_aware=True, tzinfo=berlin) as client:
        goods = integrity.Database(client[database_name], models=[Good])[Good]
        goods.insert_one({"_id": 1, "at": dt.datetime(2026, 1, 1, 12, tzinfo=berlin)})
        assert goods.update_one({"_id": 1}, {"$inc": {"left": -1}}).modified_count == 1
        found = goods.find_one({"_id": 1}) or {}
        assert found["at"] == dt.datetime(2026, 1, 1, 11, tzinfo=dt.UTC)
        assert found["at"].utcoffset() == dt.timedelta(hours=1)


def test_a_filter_means_the_same_in_a_transaction(uri: str, database_name: str) -> None:
    with Client(uri, type_registry=TypeRegistry([Decimals()])) as client:
        db = integrity.Database(client[database_name], models=[Good])
        db[Good].insert_one({"_id": 1})

        def spend(_: Any = None) -> int:
            return db[Good].update_one({"price": Decimal(5)}, {"$inc": {"left": -1}}).modified_count

        assert spend() == 1
        assert db.with_transaction(spend) == 1


def test_raw_bson_shows_nothing_of_the_librarys(uri: str, database_name: str) -> None:
    with MongoClient[Any](uri, document_class=RawBSONDocument) as client:
        db = integrity.Database(client[database_name], models=[Good, Part])
        db[Good].insert_one({"_id": 1})
        found = db[Good].find_one_and_delete({"_id": 1})
        assert isinstance(found, RawBSONDocument)
        assert list(found) == ["_id", "price", "left", "at"]


def test_a_client_that_would_not_find_what_is_inserted_is_refused(uri: str, database_name: str) -> None:
    with Client(uri, uuidRepresentation="pythonLegacy") as client:
        with pytest.raises(IntegrityError, match="set uuidRepresentation=standard"):
            integrity.Database(client[database_name], models=[Good, Named])
        integrity.Database(client[database_name], models=[Good])


@pytest.mark.parametrize("many", [False, True])
def test_a_time_series_holds_no_reference_that_is_to_be_kept(client: Client, database_name: str, many: bool) -> None:
    """An insert that comes too late could not be taken back."""
    database = client[database_name]
    database.create_collection("measured", timeseries={"timeField": "at"})
    db = integrity.Database(database, models=[Good, Measured], references="optimistic")
    db[Good].insert_one({"_id": 1})
    document = {"_id": 1, "at": dt.datetime.now(dt.UTC), "good": 1}
    with pytest.raises(UnguardedWrite, match="measured is a time series"):
        db[Measured].insert_many([document]) if many else db[Measured].insert_one(document)
    assert database.measured.count_documents({}) == 0


def test_what_is_declared_is_applied_over_motor(uri: str, database_name: str) -> None:
    async def apply() -> Any:
        client: Any = AsyncIOMotorClient(uri)
        try:
            return await integrity.aio.Database(client[database_name], models=[Good, Part]).apply()
        finally:
            client.close()

    assert asyncio.run(apply())


@pytest.mark.parametrize("references", ["pinned", "optimistic"])
def test_a_client_of_the_stable_api_alone_lacks_nothing(uri: str, database_name: str, references: Any) -> None:
    api = ServerApi("1", strict=True, deprecation_errors=True)
    with Client(uri, server_api=api) as client:
        db = integrity.Database(client[database_name], models=[Good, Part], references=references)
        db.apply()
        db[Good].insert_many([{"_id": each} for each in (1, 2)])
        db[Part].insert_many([{"_id": each, "good": 1 + each % 2} for each in range(4)])
        db[Good].update_one({"_id": 1}, {"$inc": {"left": -1}})
        db[Part].find_one_and_update({"_id": 0}, {"$set": {"good": 2}})
        with pytest.raises(IntegrityError):
            db[Good].delete_one({"_id": 1})
        with db.transaction(deferred=True):
            db[Part].insert_one({"_id": 9, "good": 3})
            db[Good].insert_one({"_id": 3})
        assert db[Part].delete_many({"good": 1}).deleted_count == 1
        assert db[Good].delete_one({"_id": 1}).deleted_count == 1
        assert db.recover().kept == []
        db.sync()
