"""Copies follow their owner: in its transaction, beyond a bound in batches, whatever wrote it."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from bson import ObjectId
from pydantic import Field
from pymongo import ReplaceOne, UpdateOne
from pymongo.database import Database
from pymongo.errors import AutoReconnect

import integrity
from integrity import CopyOf, ForeignWrite, InvalidDocument, Model, Ref, Revision, TransactionRequired, derived
from integrity.embedded import Mongod
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.copies import finishing, sync
from tests.ownership.library import MODELS, Author, Award, Book, Loan
from tests.writes.handles import Awaited, Handle

Raw = Database[dict[str, Any]]

ADA = {"_id": 1, "name": "Ada", "handle": "ada", "born": 1815}


async def stocked(db: Handle) -> None:
    await db[Author].insert_one(dict(ADA))
    await db[Author].insert_one({"_id": 2, "name": "Bob"})
    await db[Book].insert_many([{"_id": 1, "title": "One", "author_id": 1}, {"_id": 2, "title": "Two", "author_id": 2}])
    await db[Loan].insert_one({"_id": 1, "book_id": 1, "items": [{"book_id": 1}, {"book_id": 2}, {"book_id": 1}]})
    await db[Loan].insert_one({"_id": 2, "book_id": 2})
    await db[Award].insert_one({"_id": 1, "handle": "ada"})


async def test_copies_follow_their_owner_through_arrays_and_copies_of_copies(db: Handle, raw: Raw) -> None:
    await stocked(db)
    await db[Author].update_one({"_id": 1}, {"$set": {"name": "Ada L."}})
    assert [each["author"] for each in raw["books"].find().sort("_id")] == ["Ada L.", "Bob"]
    assert [each["author"] for each in raw["loans"].find().sort("_id")] == ["Ada L.", "Bob"]
    award = raw["awards"].find_one()
    assert award is not None
    assert (award["winner"], award["revision"]) == ("Ada L.", 1)
    await db[Book].update_one({"_id": 1}, {"$set": {"title": "Uno"}})
    loan = raw["loans"].find_one({"_id": 1})
    assert loan is not None
    assert [each["title"] for each in loan["items"]] == ["Uno", "Two", "Uno"]
    assert loan["title"] == "Uno"
    # Another owner of the copied fields, by the reference: the copies of the copies follow.
    await db[Book].update_one({"_id": 1}, {"$set": {"author_id": 2}})
    assert [each["author"] for each in raw["loans"].find().sort("_id")] == ["Bob", "Bob"]


@pytest.mark.parametrize("way", ["update_many", "find_one_and_update", "replace", "find_one_and_replace", "bulk"])
async def test_every_way_of_writing_an_owner_refreshes(db: Handle, raw: Raw, way: str) -> None:
    await stocked(db)
    ada = {**ADA, "name": "Ada L.", "rating": 0}
    if way == "update_many":
        await db[Author].update_many({}, [{"$set": {"name": "Ada L."}}])
    elif way == "find_one_and_update":
        await db[Author].find_one_and_update({"_id": 1}, {"$set": {"name": "Ada L."}})
    elif way == "replace":
        await db[Author].replace_one({"_id": 1}, ada)
    elif way == "find_one_and_replace":
        await db[Author].find_one_and_replace({"name": "Ada"}, ada)
    else:
        requests = [UpdateOne({"_id": 2}, {"$set": {"name": "Ada L."}}), ReplaceOne({"_id": 1}, ada)]
        await db[Author].bulk_write(requests)
    assert raw["books"].find_one({"_id": 1}, {"author": 1}) == {"_id": 1, "author": "Ada L."}
    assert raw["loans"].count_documents({"book_id": 1, "author": {"$ne": "Ada L."}}) == 0
    assert raw["awards"].find_one({}, {"winner": 1, "_id": 0}) == {"winner": "Ada L."}


async def test_a_renamed_owner_is_followed_by_its_new_key(db: Handle, raw: Raw) -> None:
    await stocked(db)
    await db[Author].update_one({"_id": 1}, {"$set": {"name": "Ada L.", "handle": "adal"}})
    assert raw["awards"].find_one() == {"_id": 1, "handle": "adal", "winner": "Ada L.", "born": 1815, "revision": 2}


async def test_a_value_that_a_copy_cannot_hold_is_refused(db: Handle, raw: Raw) -> None:
    await stocked(db)
    for change in ({"$set": {"born": None}}, {"$unset": {"born": ""}}):
        with pytest.raises(InvalidDocument, match=r"its copy awards\.born cannot") as caught:
            await db[Author].update_one({"_id": 1}, change)
        assert [each.code for each in caught.value.violations] == ["OWN006"]
        with pytest.raises(InvalidDocument, match=r"its copy awards\.born cannot"):
            async with db.transaction():
                await db[Author].update_one({"_id": 1}, change)
    assert raw["authors"].find_one({"_id": 1}, {"born": 1}) == {"_id": 1, "born": 1815}
    await db[Author].update_one({"_id": 2}, {"$set": {"born": None}})  # nobody copies that one


async def test_a_refused_change_in_a_transaction_that_goes_on_leaves_all_as_it_was(db: Handle, raw: Raw) -> None:
    await stocked(db)
    before = [list(raw[name].find().sort("_id")) for name in ("authors", "awards")]
    other = {"name": "Ada L.", "handle": "adal"}
    changes: list[Callable[[], Any]] = [
        lambda: db[Author].update_one({"_id": 1}, {"$set": {**other, "born": None}}),
        lambda: db[Author].replace_one({"_id": 1}, other),
    ]
    for change in changes:
        async with db.transaction():
            with pytest.raises(InvalidDocument, match=r"its copy awards\.born cannot"):
                await change()
            await db[Book].update_one({"_id": 2}, {"$set": {"title": "Zwei"}})
        assert [list(raw[name].find().sort("_id")) for name in ("authors", "awards")] == before
    assert raw["books"].distinct("author") == ["Ada", "Bob"]
    assert raw["loans"].find_one({"_id": 2}, {"title": 1}) == {"_id": 2, "title": "Zwei"}


async def test_what_copies_an_owner_before_it_is_there_is_refreshed_when_a_deferred_transaction_ends(
    db: Handle, raw: Raw
) -> None:
    await stocked(db)
    db.db._guards.copies.limit = 2
    async with db.transaction(deferred=True):
        await db[Loan].insert_one({"_id": 7, "book_id": 7, "title": "by hand"})
        await db[Loan].insert_many(
            [{"_id": 8, "items": [{"book_id": 7, "title": "by hand"}]}, {"_id": 9, "book_id": 7}]
        )
        await db[Book].insert_one({"_id": 7, "title": "Seven", "author_id": 7})
        await db[Author].insert_one({"_id": 7, "name": "Eve"})
        await db[Book].delete_one({"_id": 2})
        await db[Book].insert_one({"_id": 2, "title": "Second", "author_id": 2})
    new = [raw["loans"].find_one({"_id": each}, {"_id": 0, "title": 1, "author": 1}) for each in (7, 9)]
    assert new == [{"title": "Seven", "author": "Eve"}] * 2
    assert raw["loans"].distinct("items.title", {"_id": {"$in": [1, 8]}}) == ["One", "Second", "Seven"]
    assert raw["integrity.refreshes"].count_documents({}) == 0


async def test_a_deferred_transaction_whose_owner_does_not_fit_its_copies_is_aborted(db: Handle, raw: Raw) -> None:
    await stocked(db)

    async def write() -> None:
        async with db.transaction(deferred=True):
            await db[Award].insert_one({"_id": 7, "handle": "eve", "winner": "by hand", "born": 1})
            await db[Author].insert_one({"_id": 7, "name": "Eve", "handle": "eve"})

    with pytest.raises(InvalidDocument, match="OWN006"):
        await write()
    assert raw["awards"].count_documents({}) == raw["authors"].count_documents({"_id": 1})


async def test_a_copy_that_a_write_leaves_alone_is_not_its_fault(db: Handle, raw: Raw) -> None:
    await stocked(db)
    raw["books"].update_one({"_id": 1}, {"$set": {"author": "stale"}})
    await db[Book].update_one({"_id": 1}, [{"$set": {"title": "Uno"}}])
    assert raw["books"].find_one({"_id": 1}, {"author": 1}) == {"_id": 1, "author": "stale"}
    with pytest.raises(InvalidDocument, match="OWN001"):
        await db[Book].update_one({"_id": 1}, {"$set": {"author": "by hand"}})
    with pytest.raises(InvalidDocument, match="OWN001"):
        await db[Book].replace_one({"_id": 1}, {"title": "Uno", "author_id": 1, "author": "by hand"})
    # Read, changed, replaced: the copy comes back as it was read, and is made anew.
    read = await db[Book].find_one({"_id": 1})
    await db[Book].replace_one({"_id": 1}, {**read, "title": "Eins"})
    assert raw["books"].find_one({"_id": 1}, {"author": 1}) == {"_id": 1, "author": "Ada"}


async def test_a_reference_set_to_null_leaves_the_last_value_to_its_document(db: Handle, raw: Raw) -> None:
    await stocked(db)
    await db[Author].delete_one({"_id": 2})
    assert raw["books"].find_one({"_id": 2}) == {"_id": 2, "title": "Two", "author_id": None, "author": "Bob"}
    await db[Book].update_one({"_id": 2}, {"$set": {"author": "Robert"}})  # nobody's copy: its own now
    assert raw["loans"].find_one({"_id": 2}, {"author": 1}) == {"_id": 2, "author": "Robert"}


async def test_a_copy_that_follows_nobody_outlives_a_replacement_that_hands_it_back(db: Handle, raw: Raw) -> None:
    await stocked(db)
    await db[Author].delete_one({"_id": 2})
    for read in ({}, {"as_model": True}):
        await db[Book].replace_one({"_id": 2}, await db[Book].find_one({"_id": 2}, **read))
        assert raw["books"].find_one({"_id": 2}) == {"_id": 2, "title": "Two", "author_id": None, "author": "Bob"}


async def test_a_copy_that_follows_nobody_is_written_by_its_documents_owner_only(db: Handle, raw: Raw) -> None:
    await db[Book].insert_one({"_id": 1, "title": "One"})
    critics = Handle(db.db.acting_as("critics"))
    for change in ({"$set": {"author": "Bob"}}, [{"$set": {"author": "Bob"}}]):
        with pytest.raises(ForeignWrite, match="belongs to 'catalogue'"):
            await critics[Book].update_one({"_id": 1}, change)
    with pytest.raises(ForeignWrite):
        await critics[Book].replace_one({"_id": 1}, {"title": "One", "author": "Bob"})
    await Handle(db.db.acting_as("catalogue"))[Book].update_one({"_id": 1}, {"$set": {"author": "Eve"}})
    assert raw["books"].find_one() == {"_id": 1, "title": "One", "author_id": None, "author": "Eve"}


async def test_beyond_the_bound_the_writer_goes_on_in_batches(db: Handle, raw: Raw) -> None:
    await stocked(db)
    await db[Book].insert_many([{"_id": 10 + each, "title": "More", "author_id": 1} for each in range(25)])
    await db[Loan].insert_many([{"_id": 10 + each, "book_id": 10 + each % 25} for each in range(60)])
    db.db._guards.copies.limit = 7
    await db[Author].update_one({"_id": 1}, {"$set": {"name": "Ada L."}})
    assert raw["books"].count_documents({"author_id": 1, "author": {"$ne": "Ada L."}}) == 0
    assert raw["loans"].count_documents({"_id": {"$gte": 10}, "author": {"$ne": "Ada L."}}) == 0
    assert raw["integrity.refreshes"].count_documents({}) == 0
    async with db.transaction():
        await db[Author].update_one({"_id": 1}, {"$set": {"name": "A."}})
        assert raw["books"].count_documents({"author": "A."}) == 0
    assert raw["books"].count_documents({"author_id": 1, "author": {"$ne": "A."}}) == 0
    async with db.transaction() as tx:
        await db[Author].update_one({"_id": 1}, {"$set": {"name": "B."}})
        await Awaited(tx).rollback()
    assert raw["books"].count_documents({"author_id": 1, "author": {"$ne": "A."}}) == 0
    assert raw["integrity.refreshes"].count_documents({}) == 0


def test_without_transactions_what_others_copy_does_not_change(standalone: Mongod, database_name: str) -> None:
    with integrity.connect(standalone.uri, database=database_name, models=MODELS, actor="*") as db:
        try:
            db[Author].insert_one(dict(ADA))
            db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
            with pytest.raises(TransactionRequired, match="others copy"):
                db[Author].update_one({"_id": 1}, {"$set": {"name": "Ada L."}})
            with pytest.raises(TransactionRequired, match="others copy"):
                db[Author].replace_one({"_id": 1}, {"name": "Ada L."})
            db[Author].update_one({"_id": 1}, {"$set": {"rating": 3}})
        finally:
            db.client.drop_database(database_name)


def test_documents_that_are_copied_themselves_go_in_small_batches(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them costs look-ups of its own: a thousand in one transaction outlast it on a busy server."""
    sizes = []
    batch = finishing._batch

    async def counted(refresh: Any, ids: Any) -> None:
        sizes.append(len(ids))
        await batch(refresh, ids)

    monkeypatch.setattr(finishing, "_batch", counted)
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Book].insert_many([{"_id": each, "title": "One", "author_id": 1} for each in range(60)])
    db[Loan].insert_one({"_id": 1, "book_id": 59})
    db._guards.copies.limit = 55
    db[Author].update_one({"_id": 1}, {"$set": {"name": "Ada L."}})
    assert sizes == [50, 10]
    assert raw["books"].count_documents({"author": "Ada L."}) == 60
    assert raw["loans"].count_documents({"author": "Ada L."}) == 1


def test_what_changes_while_a_record_is_finished_is_refreshed_as_well(
    raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
    db._guards.copies.limit = 0
    go_through, times = finishing._pass, iter(range(3))

    async def meanwhile(*args: Any) -> None:
        await go_through(*args)
        if next(times) == 0:
            raw["authors"].update_one({"_id": 1}, {"$set": {"name": "Eve"}})
            raw["integrity.refreshes"].update_one({}, {"$set": {"change": ObjectId()}})

    monkeypatch.setattr(finishing, "_pass", meanwhile)
    db[Author].update_one({"_id": 1}, {"$set": {"name": "Ada L."}})
    assert raw["books"].distinct("author") == ["Eve"]
    assert not raw["integrity.refreshes"].count_documents({})


def test_what_a_copy_cannot_hold_by_now_is_not_written_into_it(
    raw: Raw, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Award].insert_one({"_id": 1, "handle": "ada"})
    db._guards.copies.limit = 0
    batch = finishing._batch

    async def too_late(*args: Any) -> None:
        raw["authors"].update_one({"_id": 1}, {"$set": {"born": None}})
        await batch(*args)

    monkeypatch.setattr(finishing, "_batch", too_late)
    db[Author].update_one({"_id": 1}, {"$set": {"born": 1816}})
    assert raw["awards"].distinct("born") == [1815]
    assert "awards.born cannot hold what its owner holds" in caplog.text
    assert raw["integrity.refreshes"].count_documents({}) == 1


def test_a_change_is_no_error_when_its_copies_are_left_to_whoever_comes_next(
    raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
    db._guards.copies.limit = 0

    async def fail(*_: Any) -> None:
        raise AutoReconnect("gone")

    with monkeypatch.context() as patched:
        patched.setattr(finishing, "_batch", fail)
        assert db[Author].update_one({"_id": 1}, {"$set": {"name": "Eve"}}).modified_count == 1
    assert raw["books"].distinct("author") == ["Ada"]
    run(sync(db._guards.copies, BlockingStore(raw)))
    assert raw["books"].distinct("author") == ["Eve"]


class Slip(Model, collection="slips"):
    id: int
    book_id: Annotated[int, Ref(Book)]
    author: Annotated[str | None, CopyOf(Book, "author", via="book_id"), Field(max_length=5)] = None


def test_a_copy_of_a_copy_that_cannot_hold_its_value_is_told(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    db = integrity.Database(raw, models=[*MODELS, Slip], actor="*")
    db[Author].insert_one(dict(ADA))
    db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
    db[Slip].insert_one({"_id": 1, "book_id": 1})
    db._guards.copies.limit = 0

    async def fail(*_: Any) -> None:
        raise AutoReconnect("gone")

    with monkeypatch.context() as patched:
        patched.setattr(finishing, "_batch", fail)
        db[Author].update_one({"_id": 1}, {"$set": {"name": "Augusta"}})
    db._guards.copies.limit = 100
    done = run(sync(db._guards.copies, BlockingStore(raw)))
    assert (raw["books"].distinct("author"), raw["slips"].distinct("author")) == (["Augusta"], ["Ada"])
    assert list(done.misfits) == ["slips.author"]


class Sticker(Model, collection="stickers"):
    id: int
    author_id: Annotated[int, Ref(Author)]
    author: Annotated[str, CopyOf(Author, "name", via="author_id")]
    copies: int = 1
    revision: Annotated[int, Revision()] = 0

    @derived
    def label(self) -> str:
        return f"{self.author} x {10 // self.copies}"


@pytest.mark.parametrize("limit", [0, 1000])
def test_a_document_that_was_wrong_before_is_refreshed_as_far_as_it_goes(raw: Raw, limit: int) -> None:
    """It was stored past the library; its owner's writer has no part in that, and no means to mend it."""
    db = integrity.Database(raw, models=[Author, Sticker], actor="*")
    db._guards.copies.limit = limit
    db[Author].insert_one(dict(ADA))
    wrong: list[dict[str, Any]] = [{"revision": "first"}, {"revision": None}, {"copies": 0, "label": "?"}]
    stored = {"author_id": 1, "author": "Ada", "copies": 2, "label": "Ada x 5", "revision": 4}
    raw["stickers"].insert_many([{"_id": number, **stored, **each} for number, each in enumerate([*wrong, {}])])
    db[Author].update_one({"_id": 1}, {"$set": {"name": "Bob"}})
    assert list(raw["stickers"].find({}, {"_id": 0, "author": 1, "label": 1, "revision": 1}).sort("_id")) == [
        {"author": "Bob", "label": "Ada x 5", "revision": "first"},  # what is not valid computes nothing
        {"author": "Bob", "label": "Ada x 5", "revision": None},
        {"author": "Bob", "label": "?", "revision": 5},
        {"author": "Bob", "label": "Bob x 5", "revision": 5},
    ]


class Full(Model):
    first: str
    last: str | None = None


class Person(Model, collection="people"):
    id: int
    name: str
    full: Full | None = None
    tags: list[str] | None = None


class Seat(Model):
    person: Annotated[int, Ref(Person)]
    name: Annotated[str, CopyOf(Person, "name", via="person")]
    first: Annotated[str | None, CopyOf(Person, "full.first", via="person")] = None


class Table(Model):
    seats: list[Seat]


class Party(Model, collection="parties"):
    id: int
    host: Annotated[int | None, Ref(Person)] = None
    full: Annotated[Full | None, CopyOf(Person, "full", via="host")] = None
    tags: Annotated[list[str] | None, CopyOf(Person, "tags", via="host")] = None
    tables: list[Table] | None = None


class Couple(Model, collection="couples"):
    id: int
    one: Annotated[int, Ref(Person)]
    first: Annotated[str, CopyOf(Person, "name", via="one")]
    other: Annotated[int, Ref(Person)]
    second: Annotated[str, CopyOf(Person, "name", via="other")]
    revision: Annotated[int, Revision()] = 0


def test_a_document_with_a_revision_gets_the_copies_of_two_references_at_once(raw: Raw) -> None:
    db = integrity.Database(raw, models=[Person, Couple], actor="*")
    db[Person].insert_one({"_id": 1, "name": "Ada"})
    db[Couple].insert_one({"_id": 1, "one": 1, "other": 1})
    db[Person].update_one({"_id": 1}, {"$set": {"name": "Eve"}})
    found = raw["couples"].find_one({}, {"_id": 0, "first": 1, "second": 1, "revision": 1})
    assert found == {"first": "Eve", "second": "Eve", "revision": 1}


def test_a_document_that_names_an_owner_by_two_references_gets_all_copies(raw: Raw) -> None:
    """Goes red when the document that is written by itself writes back the objects that a command has refreshed."""
    db = integrity.Database(raw, models=[Person, Party], actor="*")
    db[Person].insert_one({"_id": 1, "name": "Ada", "full": {"first": "Ada"}, "tags": ["a"]})
    db[Party].insert_one({"_id": 1, "host": 1, "tables": [{"seats": [{"person": 1}]}]})
    db[Person].update_one({"_id": 1}, {"$set": {"name": "Bob", "full.first": "Bob"}, "$push": {"tags": "b"}})
    assert raw["parties"].find_one() == {
        "_id": 1,
        "host": 1,
        "full": {"first": "Bob", "last": None},
        "tags": ["a", "b"],
        "tables": [{"seats": [{"person": 1, "name": "Bob", "first": "Bob"}]}],
    }
