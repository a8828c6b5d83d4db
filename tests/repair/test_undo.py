"""Undoing brings the bytes back, however far the repair came; quarantine gives back what is valid."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import bson
import pytest
from bson import Binary, DatetimeMS, Int64
from bson.raw_bson import RawBSONDocument
from pydantic import ConfigDict
from pymongo import MongoClient
from pymongo.errors import OperationFailure, WriteConcernError

from integrity import Model, Ref, RepairError, Unique
from integrity.embedded import Mongod
from integrity.repair import CollectionJournal, FileJournal, Held, held, release
from integrity.repair.swap import refused
from integrity.repair.undo import _Back
from integrity.repair.within import Within
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.audit.test_undecodable import DECODES
from tests.repair.conftest import Shop

Make = Callable[..., Shop]


class Customer(Model, collection="customers"):
    id: int
    name: str
    email: Annotated[str | None, Unique()] = None
    visits: int = 0


class Thing(Model, collection="things"):
    id: Any
    size: int


class Order(Model, collection="orders"):
    id: int
    customer_id: Annotated[int | None, Ref(Customer)] = None
    lines: list[str] | None = None


CUSTOMERS = [
    {"_id": 1, "name": "a", "email": "x"},
    {"visits": 2.0, "_id": 2, "email": "x", "name": "b"},
    {"_id": 3, "name": "c", "visits": "3"},
    {"_id": 4, "name": "N/A", "visits": Int64(5)},
    {"_id": 5, "name": "e", "visits": -0.0},
]
ORDERS: list[dict[str, Any]] = [
    {"_id": 1, "customer_id": 9},
    {"_id": 2, "customer_id": 1.0, "lines": ["", "b"]},
    {"_id": 3},
]
UNSAFE = ("REF001=null", "EMP001=null", "quarantine", "UNQ001=keep-oldest")


@pytest.mark.parametrize("where", ["collection", "file"])
def test_undo_brings_the_bytes_back(shop: Make, where: str, tmp_path: Path) -> None:
    made = shop([Customer, Order], customers=CUSTOMERS, orders=ORDERS)
    before, wrong = made.bytes(), made.wrong()
    file = tmp_path / "journal.bson"
    journal = FileJournal(file) if where == "file" else CollectionJournal(made.store)
    done = made.repair(*UNSAFE, journal=journal)
    assert made.wrong() == []
    assert made.raw["customers.quarantine"].count_documents({}) == 1
    again = journal
    if isinstance(journal, FileJournal):
        with pytest.raises(RepairError, match="is in use"):
            FileJournal(file)
        journal.close()
        again = FileJournal(file, create=False)
    assert [(each.name, each.ended) for each in run(again.runs())] == [(done.summary.run, True)]
    undone = made.undo(done.summary.run, again)
    assert (undone.skipped, undone.already) == ({}, 0)
    assert made.bytes() == before
    assert made.wrong() == wrong
    assert run(again.runs())[0].undone
    with pytest.raises(RepairError, match="was undone already"):
        made.undo(done.summary.run, again)
    if where == "file":
        assert "integrity.journal" not in made.raw.list_collection_names()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert isinstance(again, FileJournal)
        again.close()


def test_an_id_may_be_of_any_type(shop: Make) -> None:
    ids = [Binary(b"0123456789abcdef", 4), Binary(b"0123456789abcdef", 3), Int64(1), -0.0, {"a": Int64(1)}, True, b"1"]
    for remedy in ("SCH001=delete", "SCH001=quarantine", "EMP=null"):
        made = shop([Thing], things=[{"_id": each, "size": "large"} for each in ids] + [{"_id": 2, "size": 5.0}])
        before = made.bytes()
        done = made.repair(remedy)
        assert done.summary.documents == (1 if remedy == "EMP=null" else len(ids) + 1)
        assert not made.undo(done.summary.run).skipped
        assert made.bytes() == before
        made.raw.client.drop_database(made.raw.name)


class Odd(Model, collection="odd"):
    id: int
    size: int
    other: Any = None


@DECODES
@pytest.mark.parametrize("remedy", ["delete", "quarantine"])
def test_what_the_drivers_own_codec_refuses_is_repaired_and_comes_back(shop: Make, remedy: str) -> None:
    """A date beyond Python's years, a binary that is no UUID, a text that is no UTF-8."""
    far = DatetimeMS(2**50)
    made = shop([Odd], odd=[{"_id": 1, "size": 5.0}, {"_id": 2, "size": 5.0, "other": far}, {"_id": 3, "size": far}])
    made.raw.odd.insert_one({"_id": 4, "size": Binary(b"abc", 4)})
    no_text = bson.encode({"_id": 5, "size": "abc of"}).replace(b"abc", b"\xff\xfe\xfd")
    made.raw.command({"insert": "odd", "documents": [RawBSONDocument(no_text)]})
    before = made.bytes()
    done = made.repair(remedy)
    assert [each["_id"] for each in made.raw.odd.find({"size": 5}, {"_id": 1})] == [1, 2]
    assert done.summary.away == {remedy: 3}
    undone = made.undo(done.summary.run)
    assert (undone.back, undone.skipped) == (5 if remedy == "delete" else 8, {})
    assert made.bytes() == before


@pytest.mark.parametrize("remedy", ["delete", "quarantine"])
def test_a_document_of_more_than_a_page_is_repaired_and_comes_back(shop: Make, remedy: str) -> None:
    """The driver gives the bytes of one of 4,096 bytes or more as a view of its reply."""
    long = "x" * 5000
    made = shop([Odd], odd=[{"_id": 1, "size": 5.0, "other": long}, {"_id": 2, "size": "large", "other": long}])
    before = made.bytes()
    done = made.repair(remedy)
    assert (done.summary.documents, done.summary.away) == (2, {remedy: 1})
    undone = made.undo(done.summary.run)
    assert (undone.back, undone.skipped) == (2 if remedy == "delete" else 3, {})
    assert made.bytes() == before


def test_a_document_with_a_name_that_is_no_utf8_is_set_aside(shop: Make) -> None:
    made = shop([Odd])
    odd = bson.encode({"_id": 1, "size": 1, "##": 1}).replace(b"##", b"\xff#")
    made.raw.command({"insert": "odd", "documents": [RawBSONDocument(odd)]})
    before = made.bytes()
    done = made.repair("SCH004=quarantine")
    (record,) = made.raw["odd.quarantine"].find({}, {"violations": 1})
    assert record["violations"][0]["path"] == r"\udcff#"
    assert not made.undo(done.summary.run).skipped
    assert made.bytes() == before


def test_undo_skips_what_was_changed_since_and_says_so(shop: Make) -> None:
    made = shop([Customer], customers=CUSTOMERS[2:])
    done = made.repair()
    made.raw.customers.update_one({"_id": 3}, {"$set": {"visits": 7}})
    undone = made.undo(done.summary.run)
    assert undone.skipped == {"it was changed since": 1}
    assert [each["visits"] for each in made.raw.customers.find().sort("_id")] == [7, 5, -0.0]
    # What was left can be brought back once it is as the repair had made it.
    made.raw.customers.update_one({"_id": 3}, {"$set": {"visits": 3}})
    again = made.undo(done.summary.run)
    assert (again.back, again.already, again.skipped) == (1, 0, {})


def test_what_looks_like_the_repair_is_the_applications_after_undoing(shop: Make) -> None:
    """Goes red when a second undoing goes by the bytes alone: it would bring back what was deleted on purpose."""
    made = shop([Customer], customers=CUSTOMERS[3:4])
    done = made.repair("delete")
    made.undo(done.summary.run)
    made.raw.customers.delete_one({"_id": 4})
    with pytest.raises(RepairError, match="was undone already"):
        made.undo(done.summary.run)
    assert made.raw.customers.count_documents({}) == 0


@pytest.mark.parametrize("where", ["collection", "file"])
def test_what_an_undoing_has_brought_back_is_the_applications_from_then_on(
    shop: Make, where: str, tmp_path: Path
) -> None:
    """Also where something else was skipped, so that the run may be undone again."""
    made = shop([Customer], customers=[{"_id": n, "name": "a", "visits": "3"} for n in (1, 2)])
    journal = FileJournal(tmp_path / "journal") if where == "file" else CollectionJournal(made.store)
    done = made.repair(journal=journal)
    made.raw.customers.update_one({"_id": 2}, {"$set": {"visits": 7}})
    assert (made.undo(done.summary.run, journal).back, made.wrong()) == (1, [("SCH001", 1, "visits")])
    made.raw.customers.update_one({"_id": 1}, {"$set": {"visits": 3}})
    made.raw.customers.update_one({"_id": 2}, {"$set": {"visits": 3}})
    assert made.undo(done.summary.run, journal).back == 1
    assert [each["visits"] for each in made.raw.customers.find().sort("_id")] == [3, "3"]
    if isinstance(journal, FileJournal):
        journal.close()


@pytest.mark.parametrize("then", ["released and deleted", "mended", "replaced"])
@pytest.mark.parametrize("server", ["replica", "standalone"])
def test_what_was_set_aside_comes_back_from_there_or_stays(shop: Make, alone: Any, server: str, then: str) -> None:
    """It is in one place at any time: not brought back beside its record, nor its record gone without it."""
    made = shop([Customer]) if server == "replica" else Shop(alone, [Customer])
    made.raw.customers.insert_many(CUSTOMERS[3:4])
    done, aside = made.repair("quarantine"), made.raw["customers.quarantine"]
    if then == "replaced":
        made.raw.customers.insert_one({"_id": 4, "name": "another"})
    else:
        aside.update_one({}, {"$set": {"document.name": "Ada"}})
    if then == "released and deleted":
        assert _released(made) == [""]
        made.raw.customers.delete_one({"_id": 4})
    before = made.bytes()
    undone = made.undo(done.summary.run)
    reason = (
        "it was changed since" if then == "replaced" else "it was mended in quarantine since, or released from there"
    )
    assert undone.skipped == {reason: 2}
    assert made.bytes() == before
    if then == "replaced":
        made.raw.customers.delete_one({"_id": 4})
        assert made.undo(done.summary.run).back == 2
        assert (aside.count_documents({}), made.raw.customers.count_documents({"name": "N/A"})) == (0, 1)


def test_a_run_of_another_database_is_not_undone(shop: Make, client: MongoClient[Any], tmp_path: Path) -> None:
    made = shop([Customer], customers=CUSTOMERS[3:4])
    journal = FileJournal(tmp_path / "journal")
    done = made.repair("delete", journal=journal)
    other = Shop(client[f"{made.raw.name}_copy"], [Customer])
    with pytest.raises(RepairError, match=f"of the database '{made.raw.name}'"):
        other.undo(done.summary.run, journal)
    assert other.bytes()["customers"] == []
    journal.close()


@pytest.mark.parametrize(
    "content", [b"my notes, which are long enough", b"x", bson.encode({"_id": 1, "name": "a customer"})]
)
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "notes"
    file.write_bytes(content)
    for create in (True, False):
        with pytest.raises(RepairError, match="is no journal of this library; it is left as it is"):
            FileJournal(file, create=create)
    assert file.read_bytes() == content


def test_what_a_killed_process_has_left_of_an_entry_is_cut_off(shop: Make, tmp_path: Path) -> None:
    made = shop([Customer], customers=CUSTOMERS[2:])
    before, file = made.bytes(), tmp_path / "journal"
    journal = FileJournal(file)
    done = made.repair("quarantine", journal=journal)
    journal.close()
    whole = file.read_bytes()
    for rest in (whole[:3], whole[:10], whole[:60]):
        file.write_bytes(whole + rest)
        FileJournal(file, create=False).close()
        assert file.read_bytes() == whole
    again = FileJournal(file, create=False)
    assert not made.undo(done.summary.run, again).skipped
    again.close()
    assert made.bytes() == before


def test_an_unknown_run_is_an_error(shop: Make) -> None:
    with pytest.raises(RepairError, match="knows no run 'x'"):
        shop([Customer]).undo("x")


def test_a_change_is_written_down_before_it_is_made(shop: Make) -> None:
    """Goes red when the two lines in `Within._change` are swapped: what fails between them could not be undone."""
    made = shop([Customer], customers=CUSTOMERS[2:])
    before = made.bytes()
    journal = CollectionJournal(made.store)

    async def full(_: object) -> None:
        raise RepairError("the disk is full")

    journal.record = full  # type: ignore[method-assign,assignment]  # a journal that cannot be written
    with pytest.raises(RepairError, match="the disk is full"):
        made.repair("delete", journal=journal)
    assert made.bytes() == before


def test_what_has_changed_between_the_look_and_the_write_is_left(shop: Make) -> None:
    made = shop([Customer, Order], customers=CUSTOMERS, orders=ORDERS)
    journal = CollectionJournal(made.store)
    written = journal.record

    async def meanwhile(entries: Any) -> None:
        await written(entries)
        for each in entries:
            made.raw[each.collection].update_one({"_id": each.id}, {"$inc": {"other": 1}})

    journal.record = meanwhile  # type: ignore[method-assign]  # a writer at the worst moment
    done = made.repair(*UNSAFE, journal=journal)
    assert done.summary.documents == 0
    assert "it was changed, or deleted, since it was read" in done.reasons


class Box(Model, collection="boxes"):
    id: int
    thing: Annotated[int | None, Ref(Thing)] = None


@pytest.mark.parametrize("where", ["raw", "alone"])
@pytest.mark.parametrize("remedy", ["convert", "quarantine", "quarantine what may be referred to"])
@pytest.mark.parametrize("change", [{"other": 1}, {"visits": 5.0}, {"name": "d"}], ids=["larger", "equal", "as large"])
def test_what_changes_between_the_last_look_and_the_write_stays(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, where: str, remedy: str, change: dict[str, Any]
) -> None:
    """Goes red when look or write are outside of the transaction, or a filter lacks the bytes or their size."""
    made = Shop(request.getfixturevalue(where), [Thing, Box] if "referred" in remedy else [Thing])
    document = {"_id": 1, "size": "3" if remedy == "convert" else "x", "visits": 5, "name": "c"}
    made.raw.things.insert_one(document)
    made.raw.create_collection("boxes")
    judged, left = Within._judged, [change]

    async def meanwhile(within: Within, documents: Any, session: Any) -> Any:
        found = await judged(within, documents, session)
        calls.append(session)
        while len(calls) > 2 and left:  # the first two decide; what follows this one is the write
            made.raw.things.update_one({"_id": 1}, {"$set": left.pop()})
        return found

    calls: list[Any] = []
    monkeypatch.setattr(Within, "_judged", meanwhile)
    done = made.repair(*(["quarantine"] if remedy != "convert" else []))
    assert not left
    assert "it was changed, or deleted, since it was read" in done.reasons
    assert repr(made.raw.things.find_one()) == repr(document | change)
    assert made.raw["things.quarantine"].count_documents({}) == 0


@pytest.mark.parametrize("where", ["raw", "alone"])
@pytest.mark.parametrize("remedy", ["convert", "quarantine"])
def test_what_changes_while_it_is_undone_stays(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, where: str, remedy: str
) -> None:
    made = Shop(request.getfixturevalue(where), [Thing])
    made.raw.things.insert_one({"_id": 1, "size": "3" if remedy == "convert" else "x"})
    done = made.repair(*([remedy] if remedy != "convert" else []))
    written, left = _Back._write, [1]
    changed = made.raw.things if remedy == "convert" else made.raw["things.quarantine"]

    async def meanwhile(back: _Back, entry: Any, *arguments: Any) -> bool:
        while entry.collection == changed.name and left:
            changed.update_one({}, {"$set": {"other": left.pop()}})
        return await written(back, entry, *arguments)

    monkeypatch.setattr(_Back, "_write", meanwhile)
    skipped = {"it was changed since": 1}
    if remedy == "quarantine":  # the document with its record
        skipped = {"it was mended in quarantine since, or released from there": 2}
    assert made.undo(done.summary.run).skipped == skipped
    assert [each["other"] for each in changed.find()] == [1]


@pytest.mark.parametrize("remedy", ["convert", "delete", "quarantine"])
def test_a_transaction_that_is_tried_again_leaves_nothing_of_its_first_try(
    shop: Make, client: MongoClient[Any], remedy: str
) -> None:
    """Goes red when a read or a write of it is none of the transaction's."""
    made = shop([Thing], things=[{"_id": 1, "size": "3" if remedy == "convert" else "x"}])
    before = made.bytes()
    conflict = {"failCommands": ["commitTransaction"], "errorCode": 112, "errorLabels": ["TransientTransactionError"]}
    off = {"configureFailPoint": "failCommand", "mode": "off"}
    met = client.admin.command(off)["count"]
    client.admin.command({**off, "mode": {"times": 1}, "data": conflict})
    done = made.repair(*([remedy] if remedy != "convert" else []))
    assert client.admin.command(off)["count"] == met + 1
    assert (done.summary.documents, done.reasons, made.wrong()) == (1, set(), [])
    assert made.raw["things.quarantine"].count_documents({}) == (remedy == "quarantine")
    client.admin.command({**off, "mode": {"times": 1}, "data": conflict})
    undone = made.undo(done.summary.run)
    assert (undone.back, undone.already, undone.skipped) == (1 + (remedy == "quarantine"), 0, {})
    assert made.bytes() == before


@pytest.mark.parametrize("where", ["collection", "file"])
def test_what_was_refused_is_not_undone(shop: Make, where: str, tmp_path: Path) -> None:
    """Goes red when a refusal leaves its entry: the application's own deletes and changes would be undone by it."""
    made = shop([Customer, Order], customers=CUSTOMERS[2:4], orders=[{"_id": 1, "customer_id": 4}])
    journal = FileJournal(tmp_path / "journal") if where == "file" else CollectionJournal(made.store)
    written = journal.record

    async def meanwhile(entries: Any) -> None:
        await written(entries)
        made.raw.customers.update_one({"_id": 3}, {"$set": {"visits": 0}})

    journal.record = meanwhile  # type: ignore[method-assign]  # a writer at the worst moment
    done = made.repair("delete", journal=journal)
    assert (done.summary.documents, done.summary.remaining) == (0, 2)
    made.raw.orders.delete_one({"_id": 1})
    made.raw.customers.delete_one({"_id": 4})
    made.raw.customers.update_one({"_id": 3}, {"$set": {"visits": 3}})
    before = made.bytes()
    assert [each.changes for each in run(journal.runs())] == [0]
    assert made.undo(done.summary.run, journal).back == 0
    assert made.bytes() == before
    if isinstance(journal, FileJournal):
        journal.close()


@pytest.mark.parametrize(
    "error", [WriteConcernError("x"), OperationFailure("x", 50, {"errorLabels": ["UnknownTransactionCommitResult"]})]
)
def test_a_write_that_may_have_been_made_is_not_called_refused(error: OperationFailure) -> None:
    with pytest.raises(OperationFailure):
        refused(error)


def test_what_is_made_and_called_a_failure_on_a_standalone_server_is_undone(
    alone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Shop(alone, [Thing])
    made.raw.things.insert_one({"_id": 1, "size": "3"})
    before = made.bytes()
    replace_one = BlockingStore.replace_one

    async def failing(store: BlockingStore, *arguments: Any, **options: Any) -> Any:
        await replace_one(store, *arguments, **options)
        raise OperationFailure("no")

    with monkeypatch.context() as patch:
        patch.setattr(BlockingStore, "replace_one", failing)
        done = made.repair()
    assert (done.reasons, made.bytes() == before) == ({"no"}, False)
    assert made.undo(done.summary.run).back == 1
    assert made.bytes() == before


def test_a_refused_delete_on_a_standalone_server_leaves_nothing_in_quarantine(
    alone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Shop(alone, [Customer])
    made.raw.customers.insert_many(CUSTOMERS[3:4])
    before = made.bytes()

    delete_one = BlockingStore.delete_one

    async def refusing(store: BlockingStore, collection: str, *arguments: Any) -> Any:
        if collection == "customers":
            raise OperationFailure("no")
        return await delete_one(store, collection, *arguments)

    monkeypatch.setattr(BlockingStore, "delete_one", refusing)
    done = made.repair("quarantine")
    assert done.reasons == {"no"}
    assert made.bytes() == before
    assert made.undo(done.summary.run).back == 0


@pytest.mark.parametrize("remedy", ["null", "delete"])
def test_a_parent_that_comes_meanwhile_is_no_orphan_any_more(shop: Make, remedy: str) -> None:
    made = shop([Customer, Order], customers=CUSTOMERS[:1], orders=ORDERS[:1])
    journal = CollectionJournal(made.store)
    written = journal.record

    async def meanwhile(entries: Any) -> None:
        await written(entries)
        made.raw.customers.insert_one({"_id": 9, "name": "i"})

    journal.record = meanwhile  # type: ignore[method-assign]  # a writer at the worst moment
    assert made.repair(f"REF001={remedy}", journal=journal).reasons == {"the violation is no longer there"}
    assert made.raw.orders.find_one() == ORDERS[0]


@pytest.mark.parametrize("where", ["raw", "alone"])
@pytest.mark.parametrize("change", [{"$set": {"email": "y"}}, None], ids=["changes", "goes"])
def test_the_last_document_with_a_value_is_not_taken_away(
    request: pytest.FixtureRequest, where: str, change: dict[str, Any] | None
) -> None:
    """The one that was to stay in its place is another, or gone, by then."""
    made = Shop(request.getfixturevalue(where), [Customer])
    made.raw.customers.insert_many({"_id": each, "name": "a", "email": "x", "visits": 1} for each in (1, 2))
    journal = CollectionJournal(made.store)
    written = journal.record

    async def meanwhile(entries: Any) -> None:
        await written(entries)
        if change is None:
            made.raw.customers.delete_one({"_id": 1})
        else:
            made.raw.customers.update_one({"_id": 1}, change)

    journal.record = meanwhile  # type: ignore[method-assign]  # a writer at the worst moment
    assert "no other document has the value" in made.repair("UNQ001=keep-oldest", journal=journal).reasons
    assert made.raw.customers.count_documents({"email": "x"}) == 1


def _released(made: Shop) -> list[str]:
    async def everything() -> list[str]:
        entry = made.registry.entry("Customer")
        return [(await release(made.store, made.registry, each)).reason async for each in held(made.store, entry)]

    return run(everything())


def test_no_second_of_two_is_released_where_no_index_refuses_it(shop: Make) -> None:
    """The index cannot be there yet, as long as there are duplicates."""
    made = shop([Customer], customers=[{"_id": n, "name": "a", "email": "x"} for n in (1, 2)])
    made.repair("UNQ001=quarantine")
    assert _released(made) == ["it breaks UNQ001 email"]
    assert [made.raw[name].count_documents({}) for name in ("customers", "customers.quarantine")] == [1, 1]
    made.raw["customers.quarantine"].update_one({}, {"$set": {"document.email": "y"}})
    assert _released(made) == [""]


def test_released_is_what_is_valid(shop: Make) -> None:
    made = shop([Customer], customers=CUSTOMERS[3:4])
    made.repair("quarantine")
    assert _released(made) == ["it breaks FRB001 name"]
    made.raw["customers.quarantine"].update_one({}, {"$set": {"document.name": "Ada"}})

    async def first() -> Held:
        return await anext(held(made.store, made.registry.entry("Customer")))

    read = run(first())
    assert _released(made) == [""]
    assert made.raw.customers.find_one() == {"_id": 4, "name": "Ada", "email": None, "visits": 5}
    assert run(release(made.store, made.registry, read)).reason == "it was released already, or its repair was undone"
    assert made.raw["customers.quarantine"].count_documents({}) == 0


def test_what_is_released_keeps_its_bytes_or_stays(shop: Make) -> None:
    class Loose(Model, collection="loose"):
        model_config = ConfigDict(extra="allow")
        id: int
        size: int

    made = shop([Loose], loose=[{"_id": 1, "size": "x", "more": Int64(5), "far": DatetimeMS(2**50)}])
    twice = bson.encode({"_id": 2, "size": "x", "p": 1, "q": 2}).replace(b"q\0", b"p\0")
    made.raw.command({"insert": "loose", "documents": [RawBSONDocument(twice)]})
    made.repair("quarantine")
    made.raw["loose.quarantine"].update_many({}, {"$set": {"document.size": Int64(7)}})
    entry = made.registry.entry("Loose")

    async def everything() -> list[str]:
        return [(await release(made.store, made.registry, each)).reason async for each in held(made.store, entry)]

    reason = "it holds BSON that Python cannot write back byte for byte, such as a name that is there twice"
    assert run(everything()) == ["", f"{reason}: mend that in its record"]
    whole = bson.encode({"_id": 1, "size": Int64(7), "more": Int64(5), "far": DatetimeMS(2**50)})
    assert made.bytes()["loose"] == [whole]
    (kept,) = made.bytes()["loose.quarantine"]
    assert kept.count(b"\x10p\0") == 2
    made.raw["loose.quarantine"].insert_one({"_id": {"run": "~"}, "by": "somebody else"})
    with pytest.raises(
        RepairError, match=r"holds a record that no repair has made, with the _id .*: move it elsewhere"
    ):
        run(everything())


def test_a_server_without_transactions_repairs_and_undoes(alone: Any) -> None:
    made = Shop(alone, [Customer, Order])
    made.raw.customers.insert_many(CUSTOMERS)
    made.raw.orders.insert_many(ORDERS)
    before = made.bytes()
    done = made.repair(*UNSAFE)
    assert made.wrong() == []
    assert made.undo(done.summary.run).skipped == {}
    assert made.bytes() == before


class Plane(Model, collection="planes"):
    id: int
    code: Annotated[int, Unique()]


class Flight(Model, collection="flights"):
    id: int
    plane: Annotated[int, Ref(Plane, field="code")]


@pytest.mark.parametrize("where", ["raw", "alone"])
def test_a_key_that_others_refer_to_by_now_does_not_go(request: pytest.FixtureRequest, where: str) -> None:
    """Without a transaction, somebody could come to refer to it between the look and the write: it is refused."""
    first = Shop(request.getfixturevalue(where), [Plane])
    first.raw.planes.insert_many([{"_id": 1, "code": "5"}, {"_id": 2, "code": 6.0}])
    done = first.repair()
    assert (done.summary.documents, first.wrong()) == (2, [])
    made = Shop(first.raw, [Plane, Flight])
    made.raw.flights.insert_many([{"_id": 1, "plane": 5}, {"_id": 2, "plane": 6}])
    undone = made.undo(done.summary.run)
    assert undone.back == 1  # 6.0 and 6 are one key
    (reason,) = undone.skipped
    assert "refer to the value" in reason
    if where == "alone":
        assert "to change it needs a transaction, and this server has none; run it as a replica set" in reason
    assert made.wrong() == [("SCH001", 2, "code")]
    assert [each["code"] for each in made.raw.planes.find(sort=[("_id", 1)])] == [5, 6.0]


MODELS = """
from integrity import Model

class Thing(Model, collection="things"):
    id: int
    size: int
"""


def _killed(arguments: list[str], raw: Any) -> None:
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while raw.things.count_documents({"size": {"$type": "int"}}, limit=1) == 0 and process.poll() is None:
            assert time.monotonic() < deadline
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("where", ["collection", "file"])
def test_a_killed_repair_is_undone(uri: str, database_name: str, client: Any, tmp_path: Path, where: str) -> None:
    file = tmp_path / "things_models.py"
    file.write_text(MODELS)
    raw = client[database_name]
    raw.things.insert_many({"_id": number, "size": float(number)} for number in range(300))
    before = list(raw.things.find().sort("_id"))
    options = ["--uri", uri, "--database", database_name]
    journal = tmp_path / "journal.bson"
    at = ["--journal", str(journal)] if where == "file" else []
    command = [sys.executable, "-m", "integrity"]
    _killed([*command, "repair", str(file), *options, "--apply", *at], raw)
    changed = raw.things.count_documents({"size": {"$type": "int"}})
    assert changed > 0
    listed = subprocess.run(
        [*command, "undo", str(file), *options, *at], capture_output=True, text=True, check=True
    ).stdout
    if changed < 300:
        assert "changes not counted, did not come to its end, or is at work" in listed
    done = subprocess.run(
        [*command, "undo", str(file), listed.split()[0], *options, *at], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
    after = list(raw.things.find().sort("_id"))
    assert [(each, type(each["size"])) for each in after] == [(each, type(each["size"])) for each in before]


def test_a_user_who_may_only_read_gets_a_sentence_and_exit_2(tmp_path: Path) -> None:
    file = tmp_path / "things_models.py"
    file.write_text(MODELS)
    with Mongod(auth=True) as server, MongoClient[dict[str, Any]](server.uri) as admin:
        admin.shop.things.insert_one({"_id": 1, "size": 1.0})
        admin.shop.command("createUser", "reader", pwd="secret-of-reader", roles=["read"])
        host = server.uri.split("@")[-1].split("/")[0]
        uri = f"mongodb://reader:secret-of-reader@{host}/shop"
        command = [sys.executable, "-m", "integrity", "repair", str(file), "--uri", uri]
        assert subprocess.run([*command, "--plan"], capture_output=True, check=False).returncode == 1
        for more in ([], ["--journal", str(tmp_path / "journal.bson")]):
            done = subprocess.run([*command, "--apply", *more], capture_output=True, text=True, check=False)
            assert done.returncode == 2, done
            assert "the user needs the role `readWrite`" in done.stderr
            assert done.stderr.count("\n") == 1
            assert "secret" not in done.stderr + done.stdout
