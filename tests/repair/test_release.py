"""Of several that release a document from quarantine one does; nothing is lost, doubled or brought back to life."""

import datetime as dt
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from bson import Int64

from integrity import Model
from integrity.repair import Held, Released, held, release
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.cli.conftest import Command, command
from tests.repair.conftest import Shop

__all__ = ["command"]

ALREADY = "it was released already, or its repair was undone"
STANDS = "things has a document with its _id: it was never taken away, or came since; delete one of the two"

MODELS = """
from integrity import Model

class Thing(Model, collection="things"):
    id: int
    size: int
    colour: str | None = None
"""


class Thing(Model, collection="things"):
    id: int
    size: int
    colour: str | None = None


@pytest.fixture(params=["raw", "alone"])
def made(request: pytest.FixtureRequest) -> Shop:
    """One document in quarantine, mended; on a server with transactions, and on one without."""
    return _aside(Shop(request.getfixturevalue(request.param), [Thing]))


@pytest.fixture
def single(alone: Any) -> Shop:
    """One document in quarantine, mended; on a server without transactions."""
    return _aside(Shop(alone, [Thing]))


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims are over at once."""
    monkeypatch.setattr(sys.modules["integrity.repair.release"], "LEASE", 0)


def _aside(made: Shop) -> Shop:
    made.raw.things.insert_one({"_id": 1, "size": "x"})
    made.repair("quarantine")
    made.raw["things.quarantine"].update_one({}, {"$set": {"document.size": Int64(7)}})
    return made


def _held(made: Shop) -> Held:
    async def first() -> Held:
        return await anext(held(made.store, made.registry.entry("Thing")))

    return run(first())


def _released(made: Shop, one: Held | None = None) -> Released:
    return run(release(made.store, made.registry, one or _held(made)))


def _stands(made: Shop) -> None:
    """The document is where it was, once, and has no record."""
    assert list(made.raw.things.find()) == [{"_id": 1, "size": 7, "colour": None}]
    assert made.raw["things.quarantine"].count_documents({}) == 0


def test_of_two_that_release_a_document_one_does(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second has read the record when the first inserts the document."""
    one, call = _held(made), BlockingStore.call
    outcomes: list[str] = []
    second = threading.Thread(target=lambda: outcomes.append(_released(made, one).reason))
    seen = threading.Event()

    async def meeting(store: BlockingStore, collection: str, method: str, *arguments: Any, **options: Any) -> Any:
        if (collection, method) == ("things", "insert_one") and not second.ident:
            second.start()
            assert seen.wait(60)
        found = await call(store, collection, method, *arguments, **options)
        if threading.current_thread() is second and collection == "things.quarantine":
            seen.set()
        return found

    monkeypatch.setattr(BlockingStore, "call", meeting)
    outcomes.append(_released(made, one).reason)
    second.join()
    assert sorted(outcomes) == ["", ALREADY]
    _stands(made)


def test_what_was_released_and_deleted_does_not_come_back(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    one, find_one, left = _held(made), BlockingStore.find_one, [1]

    async def meanwhile(store: BlockingStore, collection: str, *arguments: Any, **options: Any) -> Any:
        found = await find_one(store, collection, *arguments, **options)
        if collection == "things.quarantine" and left:
            left.pop()
            assert _released(made, one).reason == ""
            made.raw.things.delete_one({"_id": 1})
        return found

    monkeypatch.setattr(BlockingStore, "find_one", meanwhile)
    outcome = _released(made, one)
    assert (outcome.reason, outcome.stays) == (ALREADY, False)
    assert made.raw.things.count_documents({}) == 0


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("collection", "method"), [("things", "insert_one"), ("things.quarantine", "delete_one")])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_release_that_is_killed_is_ended_by_the_next(
    single: Shop, monkeypatch: pytest.MonkeyPatch, collection: str, method: str, when: str
) -> None:
    """Also where the model has added to the document, which is then not the one in its record."""
    call = BlockingStore.call

    async def killed(store: BlockingStore, name: str, what: str, *arguments: Any, **options: Any) -> Any:
        if (name, what) == (collection, method):
            if when == "after":
                await call(store, name, what, *arguments, **options)
            raise KeyboardInterrupt
        return await call(store, name, what, *arguments, **options)

    one = _held(single)
    with monkeypatch.context() as patch:
        patch.setattr(BlockingStore, "call", killed)
        with pytest.raises(KeyboardInterrupt):
            _released(single)
    last = (collection, when) == ("things.quarantine", "after")
    assert _released(single, one).reason == (ALREADY if last else "")
    _stands(single)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("collection", "method"), [("things", "insert_one"), ("things.quarantine", "delete_one")])
def test_one_that_is_held_up_for_longer_than_its_claim_has_not_released_it(
    single: Shop, monkeypatch: pytest.MonkeyPatch, collection: str, method: str
) -> None:
    """Another has finished it meanwhile: goes red when the slow one says that it was it, or takes anything back."""
    one, call, left = _held(single), BlockingStore.call, [1]

    async def slow(store: BlockingStore, name: str, what: str, *arguments: Any, **options: Any) -> Any:
        if (name, what) == (collection, method) and left:
            left.pop()
            assert _released(single, one).reason == ""
        return await call(store, name, what, *arguments, **options)

    monkeypatch.setattr(BlockingStore, "call", slow)
    assert _released(single, one).reason == ALREADY
    _stands(single)


def test_a_document_of_more_than_a_page_is_released(made: Shop) -> None:
    """The driver gives the bytes of one of 4,096 bytes or more as a view of its reply."""
    long = "x" * 5000
    made.raw["things.quarantine"].update_one({}, {"$set": {"document.colour": long}})
    assert _released(made).reason == ""
    assert made.raw.things.find_one() == {"_id": 1, "size": 7, "colour": long}
    assert made.raw["things.quarantine"].count_documents({}) == 0


def test_a_claim_is_waited_for(single: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """And who gives it up lets the next one try."""
    one, sleep = _held(single), BlockingStore.sleep
    aside = single.raw["things.quarantine"]
    aside.update_one({}, {"$set": {"releasing.by": 1}, "$currentDate": {"releasing.at": True}})
    slept: list[float] = []

    async def given_up(store: BlockingStore, seconds: float) -> None:
        slept.append(seconds)
        aside.update_one({}, {"$unset": {"releasing": ""}})
        await sleep(store, 0)

    monkeypatch.setattr(BlockingStore, "sleep", given_up)
    assert _released(single, one).reason == ""
    assert len(slept) == 1
    _stands(single)


def test_a_release_that_is_refused_leaves_the_record_as_it_was(made: Shop) -> None:
    """So that undoing the repair knows it."""
    aside = made.raw["things.quarantine"]
    aside.update_one({}, {"$set": {"document.size": "x"}})
    before = made.bytes()
    outcome = _released(made)
    assert (outcome.reason, outcome.stays) == ("it breaks SCH001 size", True)
    assert made.bytes() == before


def test_what_is_mended_while_it_is_released_is_not_lost(single: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    aside, call = single.raw["things.quarantine"], BlockingStore.call

    async def meanwhile(store: BlockingStore, name: str, what: str, *arguments: Any, **options: Any) -> Any:
        if (name, what) == ("things.quarantine", "delete_one"):
            aside.update_one({}, {"$set": {"document.size": 8}})
        return await call(store, name, what, *arguments, **options)

    monkeypatch.setattr(BlockingStore, "call", meanwhile)
    reason = "it was mended in quarantine while it was released as it had been: delete one of the two"
    assert _released(single).reason == reason
    assert [each["document"]["size"] for each in aside.find({"releasing": {"$exists": False}})] == [8]
    assert [each["size"] for each in single.raw.things.find()] == [7]


@pytest.mark.parametrize("mended", [7, Int64(5), "X"])
def test_what_was_mended_beside_the_document_is_not_lost(made: Shop, mended: Any) -> None:
    """The repair that set it aside was killed before it took it away."""
    made.raw.things.insert_one({"_id": 1, "size": 5.0})
    now = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - as BSON stores it
    made.raw["things.quarantine"].replace_one({}, {"at": now, "violations": [], "document": {"_id": 1, "size": mended}})
    before = made.bytes()
    assert _released(made).reason == STANDS
    assert made.bytes() == before


def test_what_is_in_both_places_is_ended(made: Shop) -> None:
    made.raw.things.insert_one({"_id": 1, "size": Int64(7)})
    before = made.bytes()["things"]
    assert _released(made).reason == ""
    assert (made.bytes()["things"], made.bytes()["things.quarantine"]) == (before, [])


def test_the_command_says_what_another_has_released(
    uri: str, raw: Any, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, find_one, left = _aside(Shop(raw, [Thing])), BlockingStore.find_one, [1]
    file = tmp_path / "things_models.py"
    file.write_text(MODELS)

    async def meanwhile(store: BlockingStore, collection: str, *arguments: Any, **options: Any) -> Any:
        if collection == "things.quarantine" and left:
            left.pop()
            _released(made)
        return await find_one(store, collection, *arguments, **options)

    monkeypatch.setattr(BlockingStore, "find_one", meanwhile)
    found = command("quarantine", "release", file, "things", "--uri", uri, "--database", raw.name)
    assert (found.status, found.out) == (0, "0 released, 0 stay in quarantine.\n")
    assert found.err == f"things _id 1: {ALREADY}\n"
