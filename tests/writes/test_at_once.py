"""The short way of most inserts and updates of the blocking colour is taken only where nothing is lost by it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from bson import ObjectId
from pydantic import Field
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener

import integrity
from integrity import (
    DuplicateValue,
    Forbid,
    Immutable,
    InvalidDocument,
    Model,
    Pool,
    PoolTimeout,
    Ref,
    Revision,
    UnguardedWrite,
    Unique,
)
from integrity.writes import insert_one

Document = dict[str, Any]
Call = Callable[["integrity.Collection[Plain]"], object]


class Plain(Model, collection="plain"):
    id: Annotated[Any, Field(default_factory=ObjectId)]
    name: str
    age: Annotated[int, Field(ge=0)] = 0
    marks: list[int] | None = None
    code: Annotated[int | None, Unique()] = None


class Keyed(Model, collection="keyed"):
    id: Annotated[Any, Forbid(7)]
    name: str


class Child(Model, collection="children"):
    plain: Annotated[int, Ref(Plain)]
    since: Annotated[int, Immutable()] = 0


class Counted(Model, collection="counted"):
    name: str
    rev: Annotated[int, Revision()] = 0


MODELS: list[type[Model]] = [Plain, Keyed, Child, Counted]


class Listener(CommandListener):
    def __init__(self) -> None:
        self.sent: list[Document] = []

    def started(self, event: Any) -> None:
        if event.command_name in {"insert", "update"}:
            self.sent.append(dict(event.command))

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def db(uri: str, database_name: str, listener: Listener) -> Iterator[integrity.Database]:
    with MongoClient[Document](uri, event_listeners=[listener]) as client:
        db = integrity.Database(client[database_name], models=MODELS)
        db[Plain].insert_one({"_id": 1, "name": "one", "marks": [1, 2], "code": 1})
        db[Child].insert_one({"_id": 1, "plain": 1})  # the first insert of a collection looks for its indexes
        db[Keyed].insert_one({"_id": 1, "name": "one"})
        db[Counted].insert_one({"_id": 1, "name": "one"})
        db[Plain].unsafe_raw.create_index("age")
        listener.sent.clear()
        yield db


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models whose inserts did not go the short way."""
    taken: list[str] = []
    core = insert_one.insert_one

    async def noted(guard: Any, *args: Any, **options: Any) -> Any:
        taken.append(guard.entry.name)
        return await core(guard, *args, **options)

    monkeypatch.setattr("integrity.facade.collection.insert_one", noted)
    return taken


def test_most_inserts_go_it_and_are_given_their_id(db: integrity.Database, long_way: list[str]) -> None:
    given: Document = {"name": "two"}
    key = db[Plain].insert_one(given).inserted_id
    made = Plain(id=3, name="three")
    assert (given["_id"], db[Plain].insert_one(made).inserted_id) == (key, made.id)
    named: Document = {"id": 4, "name": "four"}
    assert (db[Plain].insert_one(named).inserted_id, "_id" in named) == (4, False)
    assert db[Plain].count_documents({"_id": {"$in": [key, 3, 4]}}) == 3
    assert long_way == []


@pytest.mark.parametrize(
    ("model", "document"),
    [(Plain, {"_id": "key", "name": "x"}), (Plain, {"_id": {"a": 1}, "name": "x"}), (Keyed, {"_id": 8, "name": "x"})],
)
def test_what_the_fast_validator_does_not_see_through_is_judged_once(
    db: integrity.Database, long_way: list[str], model: type[Model], document: Document
) -> None:
    db[model].insert_one(document)
    assert long_way == []
    assert db[model].count_documents(document) == 1


@pytest.mark.parametrize(
    ("model", "document"),
    [
        (Plain, {"name": ""}),
        (Plain, {"name": "x", "age": -1}),
        (Plain, {"name": "x", "_id": [1]}),
        (Plain, {"name": "x", "_id": {"$a": 1}}),
        (Keyed, {"name": "x", "_id": 7}),
        (Child, {"plain": 5}),
    ],
)
def test_what_is_wrong_is_left_to_the_long_one(
    db: integrity.Database, long_way: list[str], listener: Listener, model: type[Model], document: Document
) -> None:
    before = dict(document)
    with pytest.raises(InvalidDocument):
        db[model].insert_one(document)
    assert long_way == [model.__name__]
    assert not any(each.get("insert") == model.__integrity__.collection for each in listener.sent)
    assert {name: document[name] for name in before} == before


def test_another_models_instance_and_a_mapping_are_not_taken_for_its_own(
    db: integrity.Database, long_way: list[str]
) -> None:
    with pytest.raises(InvalidDocument):
        db[Plain].insert_one(Child(plain=1))  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match="a mapping or an instance"):
        db[Plain].insert_one(5)  # type: ignore[arg-type]  # what is tested
    given = OrderedDict[str, Any](name="two")
    key = db[Plain].insert_one(given).inserted_id
    assert (given["_id"], long_way) == (key, ["Plain", "Plain", "Plain"])


def test_an_error_of_the_driver_is_ours(db: integrity.Database, long_way: list[str]) -> None:
    with pytest.raises(DuplicateValue):
        db[Plain].insert_one({"name": "other", "code": 1})
    with pytest.raises(DuplicateValue, match="_id"):
        db[Plain].insert_one({"_id": 1, "name": "other"})
    with pytest.raises(InvalidDocument, match="name"):
        db[Plain].insert_one({"name": "a\udc80"})
    assert long_way == ["Plain"]  # which pydantic sees before the driver does


def test_indexes_are_looked_for_again(db: integrity.Database, long_way: list[str]) -> None:
    guard = db[Plain]._guard
    for forget in (guard.indexes.ready.clear, lambda: setattr(guard.indexes, "until", 0.0)):
        forget()
        db[Plain].unsafe_raw.drop_indexes()
        db[Plain].insert_one({"name": "again"})
        assert len(db[Plain].unsafe_raw.index_information()) == 2
    assert long_way == ["Plain", "Plain"]


@pytest.mark.parametrize("field", ["comment", "session"])
def test_an_inserts_option_reaches_the_server(db: integrity.Database, listener: Listener, field: str) -> None:
    with db[Plain].unsafe_raw.database.client.start_session() as session:
        assert session.session_id  # its own: else the driver may have given it away meanwhile
        options: Document = {field: session if field == "session" else "why"}
        db[Plain].insert_one({"name": "two"}, **options)
        (sent,) = listener.sent
        assert sent.get("comment") == "why" if field == "comment" else sent["lsid"] == session.session_id


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("upsert", True),
        ("collation", {"locale": "en"}),
        ("array_filters", [{"x": 1}]),
        ("array_filters", []),
        ("hint", "age_1"),
        ("let", {"a": 1}),
        ("sort", {"age": 1}),
        ("comment", "why"),
        ("session", None),
    ],
)
def test_an_updates_option_reaches_the_server(
    db: integrity.Database, listener: Listener, option: str, value: object
) -> None:
    with db[Plain].unsafe_raw.database.client.start_session() as session:
        assert session.session_id
        options: Document = {option: session if option == "session" else value}
        change = {"$set": {"marks.$[x]": 3}} if value == [{"x": 1}] else {"$set": {"name": "two"}}
        try:
            db[Plain].update_one({"_id": 1}, change, **options)
        except OperationFailure as error:
            assert option == "sort", error  # noqa: PT017 - MongoDB 8 knows it, and is told of it as well as another
        sent = listener.sent[-1]
        names = {"array_filters": "arrayFilters", "session": "lsid"}
        where = sent["updates"][0] if option not in {"let", "comment", "session"} else sent
        assert where[names.get(option, option)] == (session.session_id if option == "session" else value)


def test_to_bypass_the_validation_is_refused(db: integrity.Database, listener: Listener) -> None:
    with pytest.raises(UnguardedWrite):
        db[Plain].insert_one({"name": "two"}, bypass_document_validation=True)
    with pytest.raises(UnguardedWrite):
        db[Plain].update_one({"_id": 1}, {"$set": {"name": "two"}}, bypass_document_validation=True)
    assert listener.sent == []


WRITES: dict[str, Call] = {
    "insert": lambda plain: plain.insert_one({"name": "two"}),
    "update": lambda plain: plain.update_one({"_id": 1}, {"$set": {"name": "two"}}),
}


@pytest.mark.parametrize("write", WRITES)
def test_it_joins_the_transaction_that_is_open(db: integrity.Database, write: str) -> None:
    class Undone(Exception):
        pass

    def undone() -> None:
        with db.transaction():
            WRITES[write](db[Plain])
            raise Undone

    with pytest.raises(Undone):
        undone()
    assert db[Plain].count_documents({"name": "two"}) == 0


@pytest.mark.parametrize("write", WRITES)
def test_it_joins_a_bound_session(db: integrity.Database, write: str) -> None:
    session = db[Plain].unsafe_raw.database.client.start_session()
    if not hasattr(session, "bind"):
        pytest.skip("PyMongo before 4.17 binds no sessions")
    with session.bind():
        session.start_transaction()
        WRITES[write](db[Plain])
        session.abort_transaction()
    assert db[Plain].count_documents({"name": "two"}) == 0


@pytest.mark.parametrize("write", WRITES)
def test_it_waits_at_the_gate(uri: str, database_name: str, write: str) -> None:
    pool = Pool(size=1, max_overflow=0, timeout=0.05)
    with integrity.connect(uri, models=MODELS, database=database_name, pool=pool) as db:
        db[Plain].insert_one({"_id": 1, "name": "one"})
        with db[Plain]._guard.store._gate.permit(), pytest.raises(PoolTimeout):  # type: ignore[attr-defined]  # the only connection
            WRITES[write](db[Plain])
        assert db[Plain].count_documents({"name": "two"}) == 0


def test_an_update_of_what_is_more_than_its_value_is_left_to_the_long_one(db: integrity.Database) -> None:
    with pytest.raises(InvalidDocument):
        db[Child].update_one({"_id": 1}, {"$set": {"plain": 5}})
    with pytest.raises(InvalidDocument):
        db[Child].update_one({"_id": 1}, {"$set": {"since": 5}})
    db[Counted].update_one({"_id": 1}, {"$set": {"name": "two"}})
    assert db[Counted].find_one({"_id": 1}) == {"_id": 1, "name": "two", "rev": 1}
    with pytest.raises(DuplicateValue):
        db[Plain].update_one({"_id": db[Plain].insert_one({"name": "x"}).inserted_id}, {"$set": {"code": 1}})


def test_a_refusal_by_the_servers_validator_of_an_update_is_ours(db: integrity.Database) -> None:
    db[Plain].unsafe_raw.database.command(
        "collMod", "plain", validator={"$jsonSchema": {"properties": {"name": {"enum": ["one"]}}}}
    )
    with pytest.raises(InvalidDocument):
        db[Plain].update_one({"_id": 1}, {"$set": {"name": "two"}})
    with pytest.raises(InvalidDocument):
        db[Plain].insert_one({"name": "two"})
