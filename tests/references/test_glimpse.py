"""An optimistic insert looks while it waits for its majority, where that tells as much as a look afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import Field
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, WTimeoutError
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

import integrity
import integrity.aio
from integrity import DanglingReference, DuplicateValue, Model, Pool, Ref, Unique
from integrity.store.asynchronous import AsyncStore
from integrity.store.blocking import BlockingStore
from integrity.writes.references import durable, existence, group_commit
from integrity.writes.references.group_commit import _glimpsable
from integrity.writes.references.keys import named
from integrity.writes.references.lanes import Lanes, Seat
from integrity.writes.references.protocol import Protocol

Client = MongoClient[dict[str, Any]]


class Mother(Model, collection="mothers"):
    id: int
    name: Annotated[str, Unique()] = "Eve"
    number: Annotated[int, Unique()] = 0


class Town(Model, collection="towns"):
    id: str


class Kid(Model, collection="kids"):
    mother: Annotated[int | None, Ref(Mother)]
    code: Annotated[int | None, Unique()] = None


class Numbered(Model, collection="numbered"):
    id: int
    mother: Annotated[int, Ref(Mother)]


class Cousin(Model, collection="cousins"):
    mother: Annotated[int, Ref(Mother)]
    aunt: Annotated[int, Ref(Mother)]


class Resident(Model, collection="residents"):
    town: Annotated[str, Ref(Town)]


class Careless(Model, collection="careless"):
    mother: Annotated[int, Ref(Mother, on_delete="no_action")]


class Listed(Model, collection="listed"):
    mothers: list[Annotated[int, Ref(Mother)]]


class Counted(Model, collection="counted"):
    mother: Annotated[int, Ref(Mother, field="number")]


class Constant(Model, collection="constant"):
    id: ObjectId = Field(default_factory=lambda: ObjectId("5f" * 12))
    mother: Annotated[int, Ref(Mother)]


class Named(Model, collection="named"):
    mother: Annotated[str, Ref(Mother, field="name")]


MODELS: list[type[Model]] = [Mother, Town, Kid, Numbered, Cousin, Resident, Careless, Listed, Named, Counted, Constant]


class Commands(CommandListener):
    """The commands that were sent, but those that every process sends once."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in {"insert", "aggregate", "find", "update", "delete"}:
            self.sent.append(f"{event.command_name} {event.command[event.command_name]}")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Counted when it started."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Counted when it started."""


@pytest.fixture
def sent() -> Commands:
    return Commands()


@pytest.fixture
def raw(client: Client, database_name: str) -> Any:
    raw = client[database_name]
    raw.mothers.insert_many([{"_id": each, "name": f"n{each}", "number": each} for each in range(3)])
    raw.towns.insert_one({"_id": "Bonn"})
    return raw


Insert = Callable[..., Any]


async def test_motor_looks_afterwards(uri: str, raw: Any, sent: Commands) -> None:
    client: Any = AsyncIOMotorClient(uri, event_listeners=[sent])
    try:
        db = integrity.aio.Database(client[raw.name], models=MODELS, references="optimistic")
        for _ in range(3):
            await db[Kid].insert_one(dict(KID))
    finally:
        client.close()
    assert raw.kids.count_documents({}) == 3
    assert "aggregate kids" not in sent.sent


@pytest.fixture(params=["blocking", "asynchronous"])
def insert(request: Any, uri: str, raw: Any, sent: Commands) -> Iterator[Insert]:
    """Insert a document after another one like it, which has done what is done once."""
    if request.param == "blocking":
        with Client(uri, event_listeners=[sent]) as client:
            db = integrity.Database(client[raw.name], models=MODELS, references="optimistic")

            def insert(model: type[Model], document: Any, before: Any = None) -> Any:
                if before is not None:
                    db[model].insert_one(before)
                sent.sent.clear()
                return db[model].insert_one(document)

            yield insert
        return

    with asyncio.Runner() as runner:
        made: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, event_listeners=[sent])
        aio = integrity.aio.Database(made[raw.name], models=MODELS, references="optimistic")

        async def both(model: type[Model], document: Any, before: Any) -> Any:
            if before is not None:
                await aio[model].insert_one(before)
            sent.sent.clear()
            return await aio[model].insert_one(document)

        def other(model: type[Model], document: Any, before: Any = None) -> Any:
            return runner.run(both(model, document, before))

        yield other
        runner.run(made.close())


KID: dict[str, Any] = {"mother": 1}


def test_it_looks_while_it_waits(insert: Insert, raw: Any, sent: Commands) -> None:
    document = dict(KID)
    result = insert(Kid, document, dict(KID))
    assert raw.kids.find_one({"_id": result.inserted_id}) == {"_id": document["_id"], "mother": 1, "code": None}
    # The look came too early where there is another one.
    assert sorted(sent.sent[:2]) == ["aggregate kids", "insert kids"]
    assert sent.sent[2:] in ([], ["find mothers"])


def test_and_the_look_afterwards_is_spared(insert: Insert, raw: Any, sent: Commands) -> None:
    """Not always, where the look comes first; but of thirty, nearly all."""
    looks = 0
    insert(Kid, dict(KID))
    for _ in range(30):
        insert(Kid, dict(KID))
        looks += "find mothers" in sent.sent
    assert raw.kids.count_documents({}) == 31
    assert looks < 30


@pytest.mark.parametrize(
    ("model", "documents"),
    [
        (Numbered, [{"id": 1, "mother": 1}, {"id": 2, "mother": 1}]),
        (Kid, [{"_id": ObjectId(), "mother": 1}, {"_id": ObjectId(), "mother": 1}]),
        (Kid, [{"id": ObjectId(), "mother": 1}, {"id": ObjectId(), "mother": 1}]),
        (Kid, [Kid(mother=1), Kid(mother=1)]),
        (Kid, [{"mother": None}, {"mother": None}]),
        (Cousin, [{"mother": 1, "aunt": 1}, {"mother": 1, "aunt": 1}]),
        (Resident, [{"town": "Bonn"}, {"town": "Bonn"}]),
        (Careless, [{"mother": 1}, {"mother": 1}]),
        (Listed, [{"mothers": [1]}, {"mothers": [1]}]),
        (Named, [{"mother": "n1"}, {"mother": "n1"}]),
        (Counted, [{"mother": 1}, {"mother": 1}]),
        (Constant, [{"_id": ObjectId(), "mother": 1}, {"mother": 1}]),
    ],
    ids=["a given number", "a given id", "a given id by its name", "an instance", "nothing", "two", "a string",
         "careless", "a list", "another field", "another number", "a default that is always the same"],
)  # fmt: skip
def test_where_it_would_tell_less_it_looks_afterwards(
    insert: Insert, raw: Any, sent: Commands, model: type[Model], documents: list[Any]
) -> None:
    insert(model, documents[1], documents[0])
    collection = model.__integrity__.collection
    assert f"insert {collection}" in sent.sent
    assert f"aggregate {collection}" not in sent.sent


def test_who_is_not_alone_has_no_second_connection(
    insert: Insert, raw: Any, sent: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(Kid, dict(KID))
    monkeypatch.setattr(Lanes, "quiet", False)
    insert(Kid, dict(KID))
    assert sent.sent == ["insert kids", "find mothers"]


def test_what_is_not_there_is_refused(insert: Insert, raw: Any) -> None:
    insert(Kid, dict(KID))
    with pytest.raises(DanglingReference):
        insert(Kid, {"mother": 9})
    raw.mothers.delete_one({"_id": 1})  # by somebody who does not ask; it was seen lately, so that the look tells
    with pytest.raises(DanglingReference):
        insert(Kid, dict(KID))
    assert raw.kids.count_documents({}) == 1


def test_what_is_condemned_meanwhile_is_refused(insert: Insert, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with the glimpse alone: it sees what the look sees."""
    insert(Kid, dict(KID))
    seen = []
    real = existence.glimpse

    async def glimpse(*args: Any) -> bool:
        seen.append(await real(*args))
        return seen[-1]

    monkeypatch.setattr(group_commit, "glimpse", glimpse)
    raw.mothers.update_one({"_id": 1}, {"$set": {"_condemned": {"by": ObjectId(), "until": None}}})
    monkeypatch.setattr(group_commit, "take_back", _nothing)  # what stands here stays, to be counted
    monkeypatch.setattr(Protocol, "wait", _stop)
    with pytest.raises(ZeroDivisionError):
        insert(Kid, dict(KID))
    assert seen == [False]


async def _nothing(*_: Any) -> None: ...


async def _stop(*_: Any) -> None:
    raise ZeroDivisionError


def _lost(monkeypatch: pytest.MonkeyPatch, when: str, error: Exception, meanwhile: Callable[[], object]) -> list[str]:
    """Lose the answer of the first command that inserts a kid: before it is done, or after."""
    done: list[str] = []
    for store in (BlockingStore, AsyncStore):
        real = store.command

        async def command(self: Any, command: Any, *args: Any, real: Any = real, **options: Any) -> Any:
            if not isinstance(command, dict) or command.get("insert") != "kids" or done:
                return await real(self, command, *args, **options)
            done.append(when)
            if when == "after":
                await real(self, command, *args, **options)
            meanwhile()
            raise error

        monkeypatch.setattr(store, "command", command)
    return done


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_is_asked_for_again(
    insert: Insert, raw: Any, sent: Commands, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    insert(Kid, dict(KID))
    done = _lost(monkeypatch, when, AutoReconnect("connection closed"), lambda: None)
    result = insert(Kid, dict(KID))
    assert done == [when]
    assert result.acknowledged
    assert raw.kids.count_documents({}) == 2
    assert raw.kids.count_documents({"_id": result.inserted_id}) == 1
    assert "find mothers" in sent.sent, "what was seen before the second command tells nothing"
    # What was stored by the first one is confirmed by a write that changes nothing.
    assert ("update kids" in sent.sent) is (when == "after")


def test_what_was_seen_before_the_second_command_tells_nothing(
    insert: Insert, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An election has taken the document back, and the parent is gone when the driver inserts it anew."""
    insert(Kid, dict(KID))

    async def well(*_: Any) -> bool:
        return True

    monkeypatch.setattr(group_commit, "glimpse", well)
    _lost(monkeypatch, "before", AutoReconnect("not primary"), lambda: raw.mothers.delete_one({"_id": 1}))
    with pytest.raises(DanglingReference):
        insert(Kid, dict(KID))
    assert raw.kids.count_documents({}) == 1


@pytest.mark.parametrize("when", ["while a majority is waited for", "not at all"])
def test_what_an_election_has_taken_back_is_inserted_again(
    insert: Insert, raw: Any, sent: Commands, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The answer was lost, and what it was about is lost with the primary that had it, and waited for at another."""
    insert(Kid, dict(KID))
    there = raw.kids.find_one()["_id"]
    _lost(monkeypatch, "after", AutoReconnect("connection closed"), lambda: None)
    real = durable.settled

    async def other(*args: Any) -> None:
        if when != "not at all":
            raw.kids.delete_many({"_id": {"$ne": there}})
        await real(*args)

    monkeypatch.setattr(group_commit, "settled", other)
    result = insert(Kid, dict(KID))
    assert raw.kids.count_documents({"_id": result.inserted_id}) == 1
    assert sent.sent.count("insert kids") == (2 if when == "not at all" else 3)


def test_who_does_not_want_a_second_try_has_the_error(uri: str, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(uri, retryWrites=False) as client:
        db = integrity.Database(client[raw.name], models=MODELS, references="optimistic")
        db[Kid].insert_one(dict(KID))
        _lost(monkeypatch, "before", AutoReconnect("connection closed"), lambda: None)
        with pytest.raises(AutoReconnect, match="connection closed"):
            db[Kid].insert_one(dict(KID))
    assert raw.kids.count_documents({}) == 1


def test_what_the_server_refuses_is_told_as_without(insert: Insert, raw: Any) -> None:
    raw.kids.create_index("code", unique=True)
    insert(Kid, {"mother": 1, "code": 7})
    with pytest.raises(DuplicateValue, match="code"):
        insert(Kid, {"mother": 1, "code": 7})
    assert raw.kids.count_documents({}) == 1


def test_an_id_that_somebody_has_all_the_same_is_a_duplicate(
    insert: Insert, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by the first command: it is not the one whose answer was lost."""
    insert(Kid, dict(KID))
    there = raw.kids.find_one()["_id"]
    real = group_commit._glimpsable

    def as_new(protocol: Any, guard: Any, seats: Any) -> Any:
        seats[0].document["_id"] = there
        return real(protocol, guard, seats)

    monkeypatch.setattr(group_commit, "_glimpsable", as_new)
    with pytest.raises(DuplicateValue, match="_id"):
        insert(Kid, dict(KID))
    assert raw.kids.count_documents({}) == 1


@pytest.mark.parametrize("confirmed", [False, True])
def test_what_no_majority_confirms_in_time_is_waited_for_once_more(
    insert: Insert, raw: Any, monkeypatch: pytest.MonkeyPatch, confirmed: bool
) -> None:
    insert(Kid, dict(KID))
    asked = []
    for store in (BlockingStore, AsyncStore):
        real = store.command

        async def command(self: Any, command: Any, *args: Any, real: Any = real, **options: Any) -> Any:
            reply = await real(self, command, *args, **options)
            if isinstance(command, dict) and command.get("insert") == "kids":
                asked.append(command["writeConcern"]["w"])
                return {**reply, "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
            return reply

        monkeypatch.setattr(store, "command", command)

    async def late(*_: Any) -> None:
        raise WTimeoutError("waiting for replication timed out", 64)

    if not confirmed:
        monkeypatch.setattr(group_commit, "settled", late)
        with pytest.raises(WTimeoutError):
            insert(Kid, dict(KID))
    else:
        assert insert(Kid, dict(KID)).acknowledged
    assert asked == ["majority"]
    assert raw.kids.count_documents({}) == 2


def test_what_condemns_beside_the_document_is_looked_for_beside_it(
    insert: Insert, raw: Any, sent: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notice came while the document was inserted: the glimpse has not seen what stands beside."""
    insert(Kid, dict(KID))
    looked = []
    real = existence.glimpse

    async def glimpse(guard: Any, *args: Any) -> bool:
        found = await real(guard, *args)
        guard.references.notices._beside = frozenset({"mothers"})
        looked.append(found)
        return True

    monkeypatch.setattr(group_commit, "glimpse", glimpse)
    assert insert(Kid, dict(KID)).acknowledged
    assert len(looked) == 1
    assert any(each.startswith("find integrity.condemned") for each in sent.sent)


@pytest.mark.parametrize(
    ("error", "times"),
    [(OperationFailure("not authorized", 13), 1), (OperationFailure("interrupted", 11601), 3), (AutoReconnect(), 3)],
    ids=["who may not read the children asks once", "a failure", "a lost connection"],
)
def test_where_the_glimpse_fails_it_looks_afterwards(
    insert: Insert, raw: Any, sent: Commands, monkeypatch: pytest.MonkeyPatch, error: Exception, times: int
) -> None:
    insert(Kid, dict(KID))
    asked = []

    async def broken(*_: Any) -> bool:
        asked.append(1)
        raise error

    monkeypatch.setattr(group_commit, "glimpse", broken)
    for _ in range(3):
        assert insert(Kid, dict(KID)).acknowledged
        assert "find mothers" in sent.sent
    assert len(asked) == times


def test_a_pool_of_one_connection_is_not_waited_for(uri: str, raw: Any, sent: Commands) -> None:
    pool = Pool(size=1, max_overflow=0, timeout=1)
    options: dict[str, Any] = {"event_listeners": [sent]}
    with integrity.connect(uri, models=MODELS, database=raw.name, pool=pool, references="optimistic", **options) as db:
        for _ in range(5):
            db[Kid].insert_one(dict(KID))
    assert raw.kids.count_documents({}) == 5
    assert "aggregate kids" not in sent.sent


def test_where_collections_are_sharded_no_command_looks_into_two(raw: Any) -> None:
    db = integrity.Database(raw, models=MODELS, references="optimistic")
    db[Kid].insert_one(dict(KID))
    protocol = db._guards.references
    guard = db[Kid]._guard
    document = {"_id": ObjectId(), "mother": 1}
    seat = Seat(document, named(guard.entry, [document]), new=True)
    assert _glimpsable(protocol, guard, [seat]) is not None
    assert _glimpsable(protocol, guard, [seat, seat]) is None
    protocol.whole = False
    assert _glimpsable(protocol, guard, [seat]) is None


def test_who_is_not_alone_shares_a_command(raw: Any) -> None:
    lanes = Lanes()
    seats = [Seat({}, {}) for _ in range(2)]
    store = BlockingStore(raw)
    assert lanes.enter(seats[0], store)
    assert lanes.quiet
    assert lanes.enter(seats[1], store)
    assert not lanes.quiet
    lanes.leave(seats[0])
    assert lanes.quiet
