"""PyMongo's bound sessions: guarded operations join them, and what guards send beside stands outside of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import Context
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import InvalidOperation, OperationFailure

import integrity
from integrity import DanglingReference, IntegrityError
from tests.references.cities import City, Shop
from tests.writes.handles import Handle, opened

pytestmark = pytest.mark.skipif(not hasattr(ClientSession, "bind"), reason="PyMongo binds sessions from 4.17 on")

Raw = MongoClient[dict[str, Any]]

MODELS: list[type[integrity.Model]] = [City, Shop]


@asynccontextmanager
async def bound(db: Handle) -> AsyncIterator[Any]:
    """A transaction of the application's, in a session that PyMongo binds."""
    session = db.db.client.start_session()
    block = session.bind()
    if hasattr(block, "__aenter__"):
        async with block, await session.start_transaction():
            yield session
    else:
        with block, session.start_transaction():
            yield session


def others(call: Callable[..., Any], *args: Any) -> Any:
    """What somebody else does meanwhile, for whom nothing is bound."""
    return Context().run(call, *args)


async def abort(session: Any) -> None:
    outcome = session.abort_transaction()
    if isinstance(outcome, Awaitable):
        await outcome


@pytest.mark.parametrize("references", ["pinned", "optimistic"])
@pytest.mark.parametrize("colour", ["blocking", "async"])
async def test_the_first_operations_of_a_database_join_it(
    uri: str, client: Raw, database_name: str, colour: str, references: str
) -> None:
    raw = client[database_name]
    async with opened(colour, uri, database_name, models=MODELS, references=references) as db:
        # As another process has left it: this one has still to ask the server for everything.
        integrity.Database(raw, models=MODELS, references=references).apply()
        raw["cities"].insert_many([{"_id": 1}, {"_id": 2, "code": "b"}])
        async with bound(db) as session:
            await db[Shop].insert_one({"_id": 1, "city": 1})
            await db[Shop].insert_many([{"_id": 2, "city": 1}, {"_id": 3, "city": 2}])
            await db[Shop].delete_one({"_id": 3})
            await db[City].delete_one({"_id": 2})
            assert [each["_id"] for each in await db[City].all()] == [1]
            assert others(raw["cities"].count_documents, {}) == 2
            with pytest.raises(DanglingReference):
                await db[Shop].insert_one({"_id": 4, "city": 2})
            await abort(session)
        assert raw["cities"].count_documents({}) == 2
        assert raw["shops"].count_documents({}) == 0
        async with bound(db):
            await db[Shop].insert_one({"_id": 1, "city": 1})
        await db[Shop].insert_one({"_id": 5, "city": 2})  # the block is over: nothing is joined
        assert raw["shops"].count_documents({}) == 2


@pytest.mark.parametrize("references", ["pinned", "optimistic"])
@pytest.mark.parametrize("colour", ["blocking", "async"])
async def test_a_parent_that_was_deleted_after_the_snapshot_is_gone(
    uri: str, client: Raw, database_name: str, colour: str, references: str
) -> None:
    raw = client[database_name]
    other = integrity.Database(raw, models=MODELS, references=references)
    other[City].insert_many([{"_id": 1}, {"_id": 2}])
    async with opened(colour, uri, database_name, models=MODELS, references=references) as db:
        await db[Shop].insert_one({"_id": 1, "city": 1})

        async def insert_below() -> None:
            async with bound(db):
                assert len(await db[City].all()) == 2
                others(other[City].delete_one, {"_id": 2})
                await db[Shop].insert_one({"_id": 2, "city": 2})

        with pytest.raises((DanglingReference, OperationFailure)):
            await insert_below()
        assert [each["city"] for each in raw["shops"].find()] == [1]


@contextmanager
def of_another_client(uri: str) -> Iterator[None]:
    with MongoClient[dict[str, Any]](uri) as other, other.start_session() as session, session.bind(end_session=False):
        yield


def test_another_clients_session_is_refused_as_pymongo_refuses_it(uri: str, client: Raw, database_name: str) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    db.apply()
    with of_another_client(uri):
        with pytest.raises(InvalidOperation, match="another client"):
            db[City].insert_one({"_id": 1})
        assert db.status()  # no operation of a session
        with db.transaction():
            db[City].insert_one({"_id": 2})
    assert [each["_id"] for each in client[database_name]["cities"].find()] == [2]


def test_a_block_inside_of_a_bound_transaction_is_refused(client: Raw, database_name: str) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    db.apply()
    with client.start_session() as session, session.bind(end_session=False), session.start_transaction():
        with pytest.raises(InvalidOperation, match="open here already"), db.transaction():
            pass
        db[City].insert_one({"_id": 1})
    assert client[database_name]["cities"].count_documents({}) == 1


async def test_motor_says_that_it_joins_none(uri: str, client: Raw, database_name: str) -> None:
    integrity.Database(client[database_name], models=MODELS).apply()
    async with opened("motor", uri, database_name, models=MODELS) as db:
        session = await db.db.client.start_session()
        with session.delegate.bind(end_session=False):
            with pytest.raises(InvalidOperation, match="pass session="):
                await db[City].insert_one({"_id": 1})
            async with session.start_transaction():  # which the guard's own commands, in Motor's threads, do not join
                await db[City].insert_one({"_id": 1}, session=session)
                await db[Shop].insert_one({"_id": 1, "city": 1}, session=session)
        await session.end_session()


class Later(MongoClient[dict[str, Any]]):
    """A client of a PyMongo that keeps what it binds where nobody has looked yet."""

    def start_session(self, *args: Any, **options: Any) -> ClientSession:
        session = super().start_session(*args, **options)
        session.bind = lambda **_: nullcontext()  # type: ignore[method-assign, assignment]  # see above
        return session


def test_where_pymongo_binds_sessions_is_known_or_everything_is_refused_in_a_sentence(uri: str) -> None:
    """Else a guard's own commands would join them."""
    with Later(uri) as client, pytest.raises(IntegrityError, match=r"^PyMongo \d.* keeps .*; install .*\.$"):
        integrity.Database(client["none"], models=MODELS)
