"""Undoing a run that is still at work: it stops, and what it has changed has its bytes back, all of it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integrity import Model, RepairError
from integrity.repair import CollectionJournal, FileJournal, Undone, undo
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.cli.conftest import Command, command
from tests.repair.conftest import Shop

__all__ = ["command"]

#: More than two batches.
MANY = 210
STOPPED = "was undone, or its journal dropped, while it was at work: the repair has stopped"


class Thing(Model, collection="things"):
    id: int
    size: int


@pytest.fixture(params=["raw", "alone"])
def made(request: pytest.FixtureRequest) -> Shop:
    """On a server with transactions, and on one without."""
    found = Shop(request.getfixturevalue(request.param), [Thing])
    found.raw.things.insert_many({"_id": n, "size": float(n) if n % 15 else "x"} for n in range(MANY))
    return found


def _undone(made: Shop, **how: Any) -> Undone:
    """Undo the only run, as another process does."""
    journal = CollectionJournal(made.store)
    (only,) = run(journal.runs())
    return run(undo(made.store, made.registry, journal, only.name, **how))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("remedy", ["delete", "quarantine"])
def test_a_repair_that_is_undone_at_work_stops(made: Shop, when: str, remedy: str) -> None:
    """Whether the undoing comes before an entry or between it and the change: goes red when nobody asks."""
    before, journal = made.bytes(), CollectionJournal(made.store)
    written, calls = journal.record, 0

    async def meanwhile(entries: Any) -> None:
        nonlocal calls
        calls += 1
        if when == "after":
            await written(entries)
        if calls == 6:
            _undone(made)
        if when == "before":
            await written(entries)

    journal.record = meanwhile  # type: ignore[method-assign]  # an undoing at the worst moment
    with pytest.raises(RepairError, match=STOPPED):
        made.repair(remedy, journal=journal)
    assert calls == 6
    assert made.bytes() == before
    (only,) = run(journal.runs())
    assert (only.undone, only.ended) == (True, False)


def test_a_repair_that_is_undone_at_any_time_leaves_nothing(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The undoing runs beside it, and begins while a change is under way."""
    before, call = made.bytes(), BlockingStore.call
    undoing: list[threading.Thread] = []
    pause = threading.Event()

    async def meanwhile(store: BlockingStore, collection: str, method: str, *arguments: Any, **options: Any) -> Any:
        if not undoing and (collection, method) in {("things", "bulk_write"), ("things", "replace_one")}:
            undoing.append(threading.Thread(target=_undone, args=(made,)))
            undoing[0].start()
        elif undoing and (collection, method) == ("integrity.journal", "insert_many"):
            # The next change's entry: by then the undoing has begun.
            while not made.raw["integrity.journal"].find_one({"_id.n": 0, "stopped": True}):
                pause.wait(0.01)
        return await call(store, collection, method, *arguments, **options)

    monkeypatch.setattr(BlockingStore, "call", meanwhile)
    with pytest.raises(RepairError, match=STOPPED):
        made.repair("quarantine")
    undoing[0].join()
    assert made.bytes() == before
    assert [each.undone for each in run(CollectionJournal(made.store).runs())] == [True]


@pytest.mark.parametrize("remedy", ["convert", "delete", "quarantine"])
def test_a_change_that_comes_later_than_its_time_takes_itself_back(
    alone: Any, monkeypatch: pytest.MonkeyPatch, remedy: str
) -> None:
    """A process that slept between its question and its change, on a server without transactions."""
    made = Shop(alone, [Thing])
    made.raw.things.insert_many({"_id": n, "size": 5.0 if remedy == "convert" else "x"} for n in range(3))
    before, hold = made.bytes(), CollectionJournal.hold
    change, calls = "replace_one" if remedy == "convert" else "delete_one", 0
    changing = getattr(BlockingStore, change)

    async def short(journal: CollectionJournal, session: Any = None, seconds: float = 0) -> None:
        await hold(journal, session, min(seconds, 0.05))

    async def late(store: BlockingStore, collection: str, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        if collection == "things":
            calls += 1
            if calls == 2:
                _undone(made)
        return await changing(store, collection, *arguments, **options)

    monkeypatch.setattr(CollectionJournal, "hold", short)
    monkeypatch.setattr(BlockingStore, change, late)
    with pytest.raises(RepairError, match=STOPPED):
        made.repair(*([remedy] if remedy != "convert" else []))
    assert made.bytes() == before
    assert [each.undone for each in run(CollectionJournal(made.store).runs())] == [True]


def test_a_change_that_is_under_way_is_waited_for(alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no longer: who made it says so when it is done."""
    made = Shop(alone, [Thing])
    made.raw.things.insert_many({"_id": n, "size": float(n)} for n in range(3))
    before, replace_one, go_on = made.bytes(), BlockingStore.replace_one, threading.Event()
    undoing: list[threading.Thread] = []
    waited: list[float] = []

    def waits(seconds: float) -> None:
        waited.append(seconds)
        go_on.set()

    async def slow(store: BlockingStore, *arguments: Any, **options: Any) -> Any:
        if not undoing:
            undoing.append(threading.Thread(target=_undone, args=(made,), kwargs={"waits": waits}))
            undoing[0].start()
            assert go_on.wait(60)
        return await replace_one(store, *arguments, **options)

    monkeypatch.setattr(BlockingStore, "replace_one", slow)
    with pytest.raises(RepairError, match=STOPPED):
        made.repair()
    undoing[0].join()
    assert len(waited) == 1
    assert made.bytes() == before
    assert made.raw["integrity.journal"].count_documents({"until": {"$exists": True}}) == 0


def test_a_killed_repair_is_waited_for_until_its_change_must_have_come(
    alone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Shop(alone, [Thing])
    made.raw.things.insert_many({"_id": n, "size": float(n)} for n in range(3))
    before, replace_one, hold = made.bytes(), BlockingStore.replace_one, CollectionJournal.hold
    waited: list[float] = []

    async def short(journal: CollectionJournal, session: Any = None, seconds: float = 0) -> None:
        await hold(journal, session, min(seconds, 1))

    async def killed(store: BlockingStore, *arguments: Any, **options: Any) -> Any:
        await replace_one(store, *arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CollectionJournal, "hold", short)
        patch.setattr(BlockingStore, "replace_one", killed)
        with pytest.raises(KeyboardInterrupt):
            made.repair()
    assert _undone(made, waits=waited.append).back == 1
    assert len(waited) == 1
    assert made.bytes() == before


def test_a_run_whose_journal_is_dropped_stops(made: Shop) -> None:
    """It could not be undone any more."""
    journal = CollectionJournal(made.store)
    written = journal.record

    async def dropped(entries: Any) -> None:
        await written(entries)
        made.raw.drop_collection("integrity.journal")

    journal.record = dropped  # type: ignore[method-assign]  # at the worst moment
    before = made.bytes()
    with pytest.raises(RepairError, match=STOPPED):
        made.repair(journal=journal)
    assert made.bytes() == before


def test_a_file_that_is_written_to_is_not_undone(made: Shop, tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal")
    before, written = made.bytes(), journal.record

    async def meanwhile(entries: Any) -> None:
        await written(entries)
        with pytest.raises(RepairError, match=r"The run \S+ is still at work: wait for its end"):
            made.undo(journal.run, journal)
        with pytest.raises(RepairError, match="is in use by another repair"):
            FileJournal(tmp_path / "journal")

    journal.record = meanwhile  # type: ignore[method-assign]  # an undoing while it is at work
    done = made.repair(journal=journal)
    assert not made.undo(done.summary.run, journal).skipped
    assert made.bytes() == before
    journal.close()


def test_the_command_that_was_stopped_says_so_in_one_sentence(
    uri: str, raw: Any, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "things_models.py"
    file.write_text(
        'from integrity import Model\n\nclass Thing(Model, collection="things"):\n    id: int\n    size: int\n'
    )
    raw.things.insert_many({"_id": n, "size": float(n)} for n in range(3))
    written: Callable[..., Any] = CollectionJournal.record

    async def meanwhile(journal: CollectionJournal, entries: Any) -> None:
        await written(journal, entries)
        _undone(Shop(raw, [Thing]))

    monkeypatch.setattr(CollectionJournal, "record", meanwhile)
    found = command("repair", file, "--uri", uri, "--database", raw.name, "--apply")
    assert found.status == 2
    assert STOPPED in found.err
    assert "Cut off" not in found.err
    assert "Traceback" not in found.err
    assert [type(each["size"]) for each in raw.things.find()] == [float] * 3
