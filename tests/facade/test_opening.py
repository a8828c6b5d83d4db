"""Opening a database: by a URI, or over a client that the application has."""

import asyncio
import gc
import warnings
from collections.abc import Callable
from typing import Any

import mongomock
import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

import integrity
from integrity import DeclarationError, IntegrityError, Model, Pool
from integrity.client import open_async_client, open_client, open_motor_client
from integrity.client.processes import CLIENTS
from integrity.errors import PoolSettingError
from tests.writes import shop
from tests.writes.shop import CUSTOMER, MODELS, Customer, Order, Product


def test_connect_opens_the_database_of_the_uri_or_the_one_named(uri: str, database_name: str) -> None:
    with integrity.connect(uri, database=database_name, models=MODELS, actor="catalogue") as db:
        assert (db.name, db.actor) == (database_name, "catalogue")
        assert db[Customer].insert_one(dict(CUSTOMER)).inserted_id == 1
        assert db[Customer] is db[Customer]
        assert len(db.registry) == len(MODELS)
        assert db.unsafe_raw.name == database_name
        assert isinstance(db.client, MongoClient)
    head, _, options = uri.partition("/?")
    with integrity.connect(f"{head}/{database_name}?{options}", models=shop) as named:
        assert named.name == database_name
        assert named[Customer].count_documents({}) == 1


async def test_the_asynchronous_connect_is_awaited_or_entered(uri: str, database_name: str) -> None:
    db = await integrity.aio.connect(uri, database=database_name, models=MODELS)
    await db[Customer].insert_one(dict(CUSTOMER))
    await db.close()
    async with integrity.aio.connect(uri, database=database_name, models=MODELS) as entered:
        assert await entered[Customer].count_documents({}) == 1


@pytest.mark.parametrize("open_it", [integrity.connect, integrity.aio.connect])
def test_a_uri_that_cannot_be_is_one_sentence_without_its_password(open_it: Callable[..., Any]) -> None:
    secret = "hunter" + "2"
    for uri in (f"mongodb://ada:{secret}:x@host/db", f"http://ada:{secret}@host", f"mongodb://ada:{secret}@[::x/db"):
        with pytest.raises(IntegrityError) as refused:
            open_it(uri, models=MODELS)
        assert secret not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__
    with pytest.raises(IntegrityError, match="No database is named"):
        open_it("mongodb://localhost:1/", models=MODELS)


@pytest.mark.parametrize("open_it", [integrity.connect, integrity.aio.connect])
def test_an_option_that_cannot_be_is_named_and_not_the_uri(open_it: Callable[..., Any]) -> None:
    with pytest.raises(IntegrityError, match=r"^connect has no option 'actr', and neither has PyMongo; .*'actor'\?$"):
        open_it("mongodb://localhost:1/db", models=MODELS, actr="shop")
    with pytest.raises(IntegrityError, match="does not take the value that is given as tls; correct it") as refused:
        open_it("mongodb://localhost:1/db", models=MODELS, tls="hunter2")
    assert "hunter2" not in str(refused.value)


def test_a_client_of_the_application_stays_the_applications(uri: str, database_name: str) -> None:
    with MongoClient[dict[str, Any]](uri) as client:
        with integrity.Database(client[database_name], models=MODELS) as db:
            db[Customer].insert_one(dict(CUSTOMER))
        assert client[database_name]["customers"].count_documents({}) == 1


def test_a_collection_by_its_name_is_told_the_model() -> None:
    for db in (
        integrity.Database(MongoClient[dict[str, Any]](connect=False)["x"], models=MODELS),
        integrity.aio.Database(AsyncMongoClient[dict[str, Any]](connect=False)["x"], models=MODELS),
    ):
        with pytest.raises(
            AttributeError, match=r"by its model, db\[Customer\], and unsafe_raw\.customers is the driver"
        ):
            db.customers  # type: ignore[union-attr]  # noqa: B018 - what is refused
        assert not hasattr(db, "_customers")


async def test_a_client_of_the_other_colour_is_named(uri: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](uri) as aclient:
        with pytest.raises(TypeError, match=r"integrity\.aio\.Database"):
            integrity.Database(aclient["x"], models=MODELS)  # type: ignore[arg-type]  # what is refused
    motor: Any = AsyncIOMotorClient(uri)
    with pytest.raises(TypeError, match=r"integrity\.aio\.Database"):
        integrity.Database(motor["x"], models=MODELS)
    motor.close()
    with MongoClient[dict[str, Any]](uri) as client, pytest.raises(TypeError, match=r"integrity\.Database"):
        integrity.aio.Database(client["x"], models=MODELS)


def test_a_handle_acts_for_another_over_the_same_client(uri: str, database_name: str) -> None:
    with integrity.connect(uri, database=database_name, models=MODELS) as db:
        other = db.acting_as("catalogue")
        assert other.client is db.client
        assert (db.actor, other.actor) == (None, "catalogue")
        other[Product].insert_one({"_id": 1, "sku": "A", "title": "Lamp"})
        assert "catalogue" in repr(other)


def test_what_is_not_among_the_models_is_refused(uri: str) -> None:
    class Stranger(Model, collection="strangers"):
        id: int

    with integrity.connect(uri, database="x", models=MODELS) as db:
        with pytest.raises(DeclarationError, match="Stranger is not among the models"):
            db[Stranger]
        with pytest.raises(DeclarationError, match="model class"):
            db["customers"]  # type: ignore[index]  # what is refused
    with pytest.raises(ValueError, match="references"):
        integrity.connect(uri, database="x", models=MODELS, references="none")
    with pytest.raises(ValueError, match="unique"):
        integrity.connect(uri, database="x", models=MODELS, unique="maybe")  # type: ignore[arg-type]  # what is refused


def test_with_options_is_pymongos(uri: str, database_name: str) -> None:
    with integrity.connect(uri, database=database_name, models=MODELS) as db:
        customers = db[Customer]
        assert customers.with_options(write_concern=WriteConcern(w=1)).unsafe_raw.write_concern.document == {"w": 1}
        with pytest.raises(PyMongoError):
            customers.with_options(write_concern=WriteConcern(w=7)).insert_one(dict(CUSTOMER))
        with pytest.raises(OperationFailure):
            customers.with_options(read_concern=ReadConcern("of nobody")).find_one()
        customers.with_options(read_preference=ReadPreference.SECONDARY).delete_one({"_id": 1})


@pytest.mark.parametrize("driver", [MongoClient, AsyncMongoClient, AsyncIOMotorClient])
def test_what_nobody_confirms_is_refused(driver: Any, uri: str, database_name: str) -> None:
    wrap = integrity.Database if driver is MongoClient else integrity.aio.Database
    careless, careful = (driver(uri, w=each, connect=False)[database_name] for each in (0, 1))
    with pytest.raises(PoolSettingError, match="nobody confirms cannot be guarded"):
        wrap(careless, models=MODELS)
    with pytest.raises(PoolSettingError, match="nobody confirms cannot be guarded"):
        wrap(careful, models=MODELS)[Customer].with_options(write_concern=WriteConcern(w=0))


def test_mongomock_serves_quick_unit_tests() -> None:
    db = integrity.Database(mongomock.MongoClient()["quick"], models=MODELS, actor="*")
    db[Customer].insert_one(dict(CUSTOMER))
    db[Product].insert_many([{"_id": 1, "sku": "A-1", "title": "Lamp"}])
    with pytest.raises(IntegrityError, match="REF001"):
        db[Order].insert_one({"_id": 1, "customer_id": 9, "lines": [{"product_id": 1, "qty": 1}]})
    db[Customer].update_one({"_id": 1}, {"$set": {"name": "Ada L."}})
    assert [each.name for each in db[Customer].find(as_model=True)] == ["Ada L."]
    db[Customer].delete_one({"_id": 1})
    assert db[Customer].count_documents({}) == 0


async def test_motor_stands_behind_the_same_pool(uri: str, database_name: str) -> None:
    pool = integrity.Pool(size=3, max_overflow=2)
    async with integrity.aio.connect(uri, database=database_name, models=MODELS, pool=pool, driver="motor") as db:
        assert type(db.client).__name__ == "AsyncIOMotorClient"
        assert db.pool is not None
        await db[Customer].insert_one(dict(CUSTOMER))
        found = await db[Customer].find_one({"_id": 1}, as_model=True)
        assert isinstance(found, Customer)
        stats = db.pool.stats()
        assert (stats.size, stats.max_overflow, stats.in_use) == (3, 2, 0)
        assert stats.requests > 0


NOBODY = "mongodb://127.0.0.1:1/"
COLD = Pool(warm_up=True, server_selection_timeout=0.05)


async def entered(opened: Any) -> None:
    """Enter what was opened, of either colour."""
    if hasattr(opened, "__aenter__"):
        async with opened:
            pass
    else:
        with opened:
            pass


@pytest.mark.parametrize(
    "open_it",
    [
        lambda: integrity.connect(NOBODY, models=MODELS),
        lambda: integrity.aio.connect(NOBODY, models=MODELS),
        lambda: integrity.aio.connect(NOBODY, models=MODELS, driver="motor"),
        lambda: integrity.connect(NOBODY, models=MODELS, database="x", pool=COLD),
        lambda: entered(open_client(NOBODY, COLD)),
        lambda: entered(integrity.aio.connect(NOBODY, models=MODELS, database="x", pool=COLD)),
        lambda: integrity.aio.connect(NOBODY, models=MODELS, database="x", pool=COLD),
        lambda: entered(open_async_client(NOBODY, COLD)),
        lambda: entered(open_motor_client(NOBODY, COLD)),
    ],
    ids=["unnamed", "unnamed async", "unnamed Motor", "cold", "cold pool", "cold async", "cold awaited",
         "cold async pool", "cold Motor pool"],
)  # fmt: skip
# PyMongo's asynchronous client leaves the socket of a monitor that is closed while it connects, also without us.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_what_cannot_be_opened_keeps_no_client(open_it: Callable[[], Any]) -> None:
    """Whoever opens the same later would share it, and never be the last who closes it."""
    before = len(CLIENTS)
    with pytest.raises((IntegrityError, ServerSelectionTimeoutError)):
        await open_it()
    assert len(CLIENTS) == before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # that socket, before it is another test's


def test_there_is_no_third_driver(uri: str) -> None:
    unknown: Any = "asyncpg"
    with pytest.raises(ValueError, match='choose "pymongo" or "motor"'):
        integrity.aio.connect(uri, database="x", models=MODELS, driver=unknown)


def test_motor_in_another_loop_is_told_so_and_nothing_is_sent(uri: str, database_name: str) -> None:
    async def opened() -> Any:
        motor: Any = AsyncIOMotorClient(uri)
        db = integrity.aio.Database(motor[database_name], models=MODELS, actor="*")
        async with db.transaction():  # what is asked of the server once, is known by then
            await db[Product].count_documents({})
        return motor, db

    motor, db = asyncio.run(opened())
    for work in (db[Product].insert_one({"_id": 1, "sku": "A", "title": "Lamp"}), db.transaction().__aenter__()):
        with pytest.raises(RuntimeError, match="Motor client belongs to another event loop"):
            asyncio.run(work)
    motor.close()
