"""A document that is set aside without a transaction has one record, whenever a repair is killed or meets another."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from bson import Int64

from integrity import Model, Ref
from integrity.repair import CollectionJournal, held, release
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.repair.conftest import Shop


class Thing(Model, collection="things"):
    id: int
    size: int


class Box(Model, collection="boxes"):
    id: int
    thing: Annotated[int | None, Ref(Thing)] = None


THINGS: list[dict[str, Any]] = [{"_id": 1, "size": "x"}, {"_id": 2, "size": "y", "more": Int64(5)}]


@pytest.fixture(params=["delete_one", "delete_many"], ids=["nothing refers to it", "guarded"])
def made(request: pytest.FixtureRequest, alone: Any) -> Shop:
    """Things of which no model knows, or one that may refer to them."""
    found = Shop(alone, [Thing] if request.param == "delete_one" else [Thing, Box])
    found.raw.things.insert_many(THINGS)
    found.raw.create_collection("boxes")
    return found


def _killed(made: Shop) -> str:
    """Kill a repair when the first record is written, before the document goes; return the run's name."""
    insert_one = BlockingStore.insert_one

    async def killed(store: BlockingStore, collection: str, *arguments: Any, **options: Any) -> Any:
        done = await insert_one(store, collection, *arguments, **options)
        if collection == "things.quarantine":
            raise KeyboardInterrupt
        return done

    journal = CollectionJournal(made.store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlockingStore, "insert_one", killed)
        with pytest.raises(KeyboardInterrupt):
            made.repair("quarantine", journal=journal)
    assert _where(made) == ([1, 2], [1])
    # Its last change could be under way still, for all that the journal knows.
    made.raw["integrity.journal"].update_many({}, {"$unset": {"until": ""}})
    return journal.run


def _where(made: Shop) -> tuple[list[Any], list[Any]]:
    """Which documents are in the collection, and which in quarantine."""
    there = [each["_id"] for each in made.raw.things.find(sort=[("_id", 1)])]
    aside = [each["document"]["_id"] for each in made.raw["things.quarantine"].find(sort=[("document._id", 1)])]
    return there, aside


def _released(made: Shop) -> list[str]:
    async def everything() -> list[str]:
        entry = made.registry.entry("Thing")
        return [(await release(made.store, made.registry, each)).reason async for each in held(made.store, entry)]

    return run(everything())


def test_the_next_run_takes_the_record_over(made: Shop) -> None:
    """Goes red when it writes a second one."""
    before = made.bytes()
    first = _killed(made)
    second = made.repair("quarantine").summary.run
    assert _where(made) == ([], [1, 2])
    assert made.wrong() == []
    assert not made.undo(second).skipped
    assert made.bytes() == before
    assert (made.undo(first).already, made.bytes()) == (2, before)


def test_undoing_the_run_that_was_killed_leaves_the_document_where_it_was(made: Shop) -> None:
    before = made.bytes()
    assert not made.undo(_killed(made)).skipped
    assert made.bytes() == before


def test_undoing_the_run_that_was_killed_leaves_what_the_next_one_has_set_aside(made: Shop) -> None:
    before, first = made.bytes(), _killed(made)
    second = made.repair("quarantine").summary.run
    assert sum(made.undo(first).skipped.values()) == 2
    assert _where(made) == ([], [1, 2])
    assert not made.undo(second).skipped
    assert made.bytes() == before


def test_a_run_that_is_killed_when_it_has_taken_a_record_over_is_followed_by_another(made: Shop) -> None:
    before, replace_one = made.bytes(), BlockingStore.replace_one
    _killed(made)

    async def killed(store: BlockingStore, *arguments: Any, **options: Any) -> Any:
        await replace_one(store, *arguments, **options)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlockingStore, "replace_one", killed)
        with pytest.raises(KeyboardInterrupt):
            made.repair("quarantine")
    assert _where(made) == ([1, 2], [1])
    third = made.repair("quarantine").summary.run
    assert _where(made) == ([], [1, 2])
    assert not made.undo(third).skipped
    assert made.bytes() == before


def test_a_record_of_other_bytes_is_another_version_and_stays(made: Shop) -> None:
    """Neither what was mended in quarantine is lost, nor what the document has become since."""
    _killed(made)
    made.raw.things.update_one({"_id": 1}, {"$set": {"size": "z"}})
    made.repair("quarantine")
    assert _where(made) == ([], [1, 1, 2])
    assert {each["document"]["size"] for each in made.raw["things.quarantine"].find()} == {"x", "y", "z"}


@pytest.mark.parametrize("first", ["takes it away", "comes too late"])
def test_two_repairs_set_a_document_aside_once(alone: Any, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """The second one takes over the record of the first, which is at work still; red when one of them removes it."""
    made = Shop(alone, [Thing])
    made.raw.things.insert_one(THINGS[0])
    calls, call = 0, BlockingStore.call

    async def meeting(store: BlockingStore, collection: str, method: str, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        if collection == "things" and method == "delete_one":
            calls += 1
            if calls == 1 and first == "comes too late":
                made.repair("quarantine")
            elif calls == 1:
                waiting.append(lambda: call(store, collection, method, *arguments, **options))
                made.repair("quarantine")
                return done[0]
            elif waiting:
                done.append(await waiting.pop()())
        return await call(store, collection, method, *arguments, **options)

    waiting: list[Callable[[], Any]] = []
    done: list[Any] = []
    monkeypatch.setattr(BlockingStore, "call", meeting)
    made.repair("quarantine")
    assert calls >= 2
    assert _where(made) == ([], [1])


def test_release_ends_what_is_in_both_places(made: Shop) -> None:
    """The document stays as it is, and its record goes."""
    _killed(made)
    before = made.bytes()["things"]
    assert _released(made) == [""]
    assert made.bytes() == {**made.bytes(), "things": before, "things.quarantine": []}
