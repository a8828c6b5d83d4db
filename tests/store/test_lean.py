"""What guards ask most goes as plain commands, and means what the driver's methods mean."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Any

import mongomock
import pytest
from bson import Binary
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, DuplicateKeyError, OperationFailure, ServerSelectionTimeoutError
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

import integrity
from integrity import DanglingReference, Model, Ref
from integrity.store.blocking import BlockingStore
from integrity.store.lookup import look_up
from integrity.store.run import run
from integrity.writes.references.pins import COLLECTION as PINS

Client = MongoClient[dict[str, Any]]
Failing = Callable[..., AbstractContextManager[None]]


class Shelf(Model, collection="shelves"):
    id: int


class Book(Model, collection="books"):
    id: int
    shelf: Annotated[int, Ref(Shelf)]


@pytest.fixture
def mine(uri: str) -> Iterator[Client]:
    """A client whose commands alone can be made to fail."""
    with Client(uri, appName="lean") as client:
        yield client


@pytest.fixture
def failing(client: Client) -> Failing:
    """Make a command fail once, with what happens to it."""

    @contextmanager
    def failing(command: str, **data: Any) -> Iterator[None]:
        data = {"failCommands": [command], "appName": "lean", **data}
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
        try:
            yield
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    return failing


def test_what_a_session_has_seen_is_not_looked_up_earlier(uri: str, client: Client, database_name: str) -> None:
    """A plain command does not say what is to be waited for: on another member, it could find less."""
    told: list[Any] = []

    class _Told(CommandListener):
        def started(self, event: CommandStartedEvent) -> None:
            told.append(event.command.get("readConcern", {}))

        def succeeded(self, event: CommandSucceededEvent) -> None:
            """Nothing."""

        def failed(self, event: CommandFailedEvent) -> None:
            """Nothing."""

    with Client(uri, event_listeners=[_Told()]) as mine, mine.start_session() as session:
        store = BlockingStore(mine[database_name]).with_options(read_concern=ReadConcern("majority"))
        run(store.find_one("shelves", {}, session=session))
        seen = session.operation_time
        run(look_up(store, "shelves", "_id", [1], session=session))
        assert told[-1] == {"level": "majority", "afterClusterTime": seen}


LOST = {"closeConnection": True}
STEPPED_DOWN = {"errorCode": 11602}  # InterruptedDueToReplStateChange
CONFLICT = {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}


@pytest.mark.parametrize("how", [LOST, STEPPED_DOWN], ids=["lost", "stepped down"])
@pytest.mark.parametrize("mode", ["pinned", "optimistic"])
def test_a_look_that_is_not_answered_is_repeated(
    mine: Client, failing: Failing, database_name: str, mode: Any, how: dict[str, Any]
) -> None:
    db = integrity.Database(mine[database_name], models=[Shelf, Book], references=mode)
    db[Shelf].insert_one({"id": 1})
    db[Book].insert_one({"id": 1, "shelf": 1})
    with failing("find", **how):
        db[Book].insert_one({"id": 2, "shelf": 1})
    with failing("find", **how), pytest.raises(DanglingReference):
        db[Book].insert_one({"id": 3, "shelf": 2})
    assert [each["_id"] for each in db[Book].find().sort("_id")] == [1, 2]


@pytest.mark.parametrize("how", [LOST, STEPPED_DOWN, CONFLICT], ids=["lost", "stepped down", "in conflict"])
def test_a_pin_that_is_not_answered_begins_the_transaction_again(
    mine: Client, failing: Failing, database_name: str, how: dict[str, Any]
) -> None:
    db = integrity.Database(mine[database_name], models=[Shelf, Book], references="pinned")
    db[Shelf].insert_one({"id": 1})
    db[Book].insert_one({"id": 1, "shelf": 1})
    pins = sum(each["n"] for each in mine[database_name][PINS].find())
    labels = {"errorLabels": ["TransientTransactionError"]}
    with failing("update", **how, **({} if "errorLabels" in how or how is LOST else labels)):
        db[Book].insert_one({"id": 2, "shelf": 1})
    assert sum(each["n"] for each in mine[database_name][PINS].find()) == pins + 1
    assert mine[database_name].books.count_documents({}) == 2


def test_in_a_transaction_what_is_lost_is_raised(mine: Client, failing: Failing, database_name: str) -> None:
    """A second look in it would not be answered either: it has ended with its connection."""
    store = BlockingStore(mine[database_name])
    mine[database_name].shelves.insert_one({"_id": 1})
    with mine.start_session() as session, session.start_transaction():
        assert run(store.one("shelves", {"_id": 1}, {"_id": 1}, session)) == {"_id": 1}
        with failing("find", **LOST), pytest.raises(AutoReconnect) as lost:
            run(store.one("shelves", {"_id": 1}, {"_id": 1}, session))
        assert lost.value.has_error_label("TransientTransactionError")
        session.abort_transaction()


def test_a_look_sees_what_the_driver_does_not_decode(mine: Client, database_name: str) -> None:
    """Subtype 4 and one byte: the transaction that it is met in goes on."""
    store = BlockingStore(mine[database_name])
    found = {"_id": 1, "key": Binary(b"x", 4)}
    mine[database_name].shelves.insert_one(dict(found))
    assert run(store.one("shelves", {"_id": 1}, {"key": 1}, None)) == found
    with mine.start_session() as session, session.start_transaction():
        assert run(store.one("shelves", {"_id": 1}, {"key": 1}, session)) == found
        assert run(store.matched("shelves", {"_id": 1}, {"$inc": {"n": 1}}, session, many=False)) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"read_preference": ReadPreference.SECONDARY}, ServerSelectionTimeoutError),
        ({"read_concern": ReadConcern("of nobody")}, OperationFailure),
    ],
    ids=["preference", "concern"],
)
def test_a_look_is_made_as_its_store_reads(uri: str, database_name: str, options: Any, error: type[Exception]) -> None:
    with Client(uri, serverSelectionTimeoutMS=200) as client:
        store = BlockingStore(client[database_name])
        assert run(store.one("shelves", {"_id": 1}, {"_id": 1}, None)) is None
        with pytest.raises(error):
            run(store.with_options(**options).one("shelves", {"_id": 1}, {"_id": 1}, None))


def test_what_the_server_says_of_an_update_is_raised(mine: Client, database_name: str) -> None:
    store = BlockingStore(mine[database_name])
    mine[database_name].shelves.insert_one({"_id": 1})
    with mine.start_session() as session, session.start_transaction():
        assert run(store.matched("shelves", {}, {"$inc": {"n": 1}}, session, many=True)) == 1
        with pytest.raises(OperationFailure, match="'_id'"):
            run(store.matched("shelves", {}, {"$set": {"_id": 2}}, session, many=False))
        session.abort_transaction()


def test_a_stand_in_without_commands_is_asked_by_its_methods() -> None:
    database: Any = mongomock.MongoClient().shop
    database.shelves.insert_one({"_id": 1})
    assert run(BlockingStore(database).one("shelves", {"_id": 1}, {"_id": 1}, None)) == {"_id": 1}
    assert run(BlockingStore(database).one("shelves", {"_id": 2}, {"_id": 1}, None)) is None


@pytest.mark.parametrize("mode", ["pinned", "optimistic"])
def test_what_the_server_does_not_take_is_told_in_the_drivers_own_words(
    mine: Client, database_name: str, mode: Any
) -> None:
    db = integrity.Database(mine[database_name], models=[Shelf, Book], references=mode)
    db[Shelf].insert_one({"id": 1})
    db[Book].insert_one({"id": 1, "shelf": 1})
    with pytest.raises(DuplicateKeyError) as ours:
        db[Book].insert_one({"id": 1, "shelf": 1})
    with pytest.raises(DuplicateKeyError) as theirs:
        mine[database_name].books.insert_one({"_id": 1})
    assert ours.value.details == theirs.value.details
    assert mine[database_name].books.count_documents({}) == 1
