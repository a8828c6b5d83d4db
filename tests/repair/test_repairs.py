"""What is repaired, what is left and why, and that nothing is made worse."""

import contextlib
import datetime as dt
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from bson import Code, Decimal128, ObjectId
from pydantic import Field
from pymongo.errors import AutoReconnect

from integrity import CopyOf, Model, Policy, Ref, RepairError, Revision, Unique, derived
from integrity.repair import Choices
from integrity.repair.group import Group
from integrity.store.blocking import BlockingStore
from tests.repair.conftest import Shop

Make = Callable[..., Shop]


class Item(Model, collection="items"):
    id: int
    code: str
    size: int = 0
    price: Decimal | None = None
    weight: float | None = None
    made: dt.datetime | None = None
    owner: ObjectId | None = None
    key: uuid.UUID | None = None
    sold: bool | None = None
    state: Literal["new", "old"] | None = None


class Box(Model, collection="boxes"):
    id: int
    item: Annotated[int | str | None, Ref(Item)] = None
    code: Annotated[str | None, CopyOf(Item, "code", via="item")] = None
    parts: list[Annotated[int, Ref(Item)]] | None = None
    needed: Annotated[int, Ref(Item)]


GOOD = {"_id": 1, "code": "a", "size": 1}


@pytest.mark.parametrize(
    ("name", "stored", "mended"),
    [
        ("size", 5.0, 5),
        ("size", "5", 5),
        ("size", Decimal128("5.0"), 5),
        ("size", "05", None),
        ("size", "1e3", None),
        ("size", 5.5, None),
        ("size", "9223372036854775808", None),
        ("price", "0.10", Decimal128("0.10")),
        ("price", 0.5, Decimal128("0.5")),
        ("price", 0.1, None),
        ("price", 3, Decimal128("3")),
        ("weight", "5.5", 5.5),
        ("weight", "5.50", None),
        ("weight", Decimal128("5.5"), 5.5),
        ("weight", Decimal128("5.1"), None),
        ("made", "2024-05-06T07:08:09Z", dt.datetime(2024, 5, 6, 7, 8, 9)),  # noqa: DTZ001 - as PyMongo reads
        ("made", "2024-05-06T07:08:09+02:00", dt.datetime(2024, 5, 6, 5, 8, 9)),  # noqa: DTZ001 - as PyMongo reads
        ("made", "2024-05-06T07:08:09", None),
        ("made", "2024-05-06", None),
        ("owner", "65A0000000000000000000AB", ObjectId("65a0000000000000000000ab")),
        ("owner", "owner", None),
        ("key", "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
        ("sold", "true", True),
        ("sold", 1, None),
        ("sold", Code("true"), None),
        ("size", Code("5"), None),
        ("state", "old ", "old"),
        ("state", "Old", None),
    ],
)
def test_a_value_is_converted_when_it_is_the_same(shop: Make, name: str, stored: Any, mended: Any) -> None:
    made = shop([Item], items=[{**GOOD, name: stored}])
    done = made.repair()
    found = made.raw.items.find_one({"_id": 1})
    assert found is not None
    if mended is None:
        assert found[name] == stored
        assert type(found[name]) is type(stored)
        assert done.summary.remaining == 1
    else:
        value = uuid.UUID(bytes=bytes(found[name])) if name == "key" else found[name]
        assert value == mended
        assert type(value) is type(mended)
        assert made.wrong() == []


def test_a_copy_comes_from_its_owner_unless_the_owner_is_to_be_mended_first(shop: Make) -> None:
    made = shop(
        [Item, Box],
        items=[GOOD, {"_id": 2, "code": "N/A"}],
        boxes=[
            {"_id": 1, "item": 1, "code": "old", "needed": 1},
            {"_id": 2, "item": 2, "code": "old", "needed": 1},
            {"_id": 3, "item": 1, "needed": 1},
        ],
    )
    done = made.repair(select=["OWN"])
    assert [each.get("code") for each in made.raw.boxes.find().sort("_id")] == ["a", "old", "a"]
    assert done.reasons == {"the owner is to be mended first: items.code"}
    assert made.wrong() == [("FRB001", 2, "code"), ("OWN001", 2, "code")]


class Category(Model, collection="categories"):
    id: int
    title: str | None = None


class Product(Model, collection="products"):
    id: int
    category: Annotated[int | None, Ref(Category)] = None
    title: Annotated[str | None, CopyOf(Category, "title", via="category")] = None


class Line(Model):
    product: Annotated[int, Ref(Product)]
    title: Annotated[str | None, CopyOf(Product, "title", via="product")] = None
    quantity: int = 1

    @derived
    def twice(self) -> int:
        return self.quantity * 2


class Order(Model, collection="orders"):
    id: int
    lines: list[Line]
    free: list[Annotated[int, Ref(Product)]] | None = None
    version: Annotated[int, Revision()] = 0

    @derived
    def total(self) -> int:
        return sum(each.quantity for each in self.lines) + len(self.free or ())


def test_copies_follow_an_owner_that_is_mended_whatever_is_selected(shop: Make) -> None:
    """A copy of a placeholder is one too, and null in it would be no copy: its owner says what it holds."""
    made = shop(
        [Order, Product, Category],
        categories=[{"_id": 1, "title": "N/A"}, {"_id": 2, "title": 5}],
        products=[{"_id": 1, "category": 1, "title": "N/A"}, {"_id": 2, "category": 2}, {"_id": 3, "category": 1}],
        orders=[{"_id": 1, "lines": [{"product": 1, "title": "N/A", "twice": 2}], "version": 7, "total": 1}],
    )
    before = made.bytes()
    assert made.repair("FRB001@products=null", select=["FRB001"]).reasons == {
        "the owner is to be mended first: categories.title",
        "the owner is to be mended first: products.title",
        "choose --unsafe FRB001=null|remove|delete|quarantine",
    }
    assert made.bytes() == before
    done = made.repair("FRB001@categories=null", "SCH001@categories=null")
    assert made.wrong() == []
    assert made.raw.orders.find_one() == {
        "_id": 1, "lines": [{"product": 1, "title": None, "twice": 2}], "version": 8, "total": 1
    }  # fmt: skip
    assert not made.undo(done.summary.run).skipped
    assert made.bytes() == before
    made.raw.categories.update_one({"_id": 2}, {"$set": {"title": "A\x07"}})
    made.raw.products.update_one({"_id": 2}, {"$set": {"title": "A\x07"}})
    made.raw.categories.update_one({"_id": 1}, {"$set": {"title": ""}})
    made.raw.products.update_many({"category": 1}, {"$set": {"title": "of old"}})
    made.repair("EMP001=null", select=["EMP001"])
    assert [each["title"] for each in made.raw.products.find().sort("_id")] == [None, "A\x07", None]


def test_what_is_derived_is_computed_anew_also_when_what_it_is_computed_of_is_mended(shop: Make) -> None:
    lines = [{"product": 1, "quantity": 2, "twice": 5}, {"product": 1, "quantity": 1}]
    made = shop(
        [Order, Product, Category],
        products=[{"_id": 1}],
        orders=[
            {"_id": 1, "lines": lines, "free": [9, 1], "version": 1, "total": 5},
            {"_id": 2, "lines": [{"product": 1, "quantity": "many", "twice": 3}], "version": 0, "total": 3},
        ],
    )
    before = made.bytes()
    first = made.repair(select=["OWN002"])
    assert first.summary.mended == {"OWN002": 2}
    second = made.repair("REF001=null")
    lines = [{"product": 1, "quantity": 2, "twice": 4}, {"product": 1, "quantity": 1, "twice": 2}]
    assert made.raw.orders.find_one({"_id": 1}) == {"_id": 1, "lines": lines, "free": [1], "version": 3, "total": 4}
    assert [each[0] for each in made.wrong()] == ["SCH001"]
    for done in (second, first):
        assert not made.undo(done.summary.run).skipped
    assert made.bytes() == before


def test_two_values_that_become_equal_are_not_both_converted(shop: Make) -> None:
    class Event(Model, collection="events"):
        id: int
        at: Annotated[dt.datetime, Unique()]

    at = ["2024-05-06T07:08:09Z", "2024-05-06T09:08:09+02:00", "2024-05-06T10:08:09Z"]
    made = shop([Event], events=[{"_id": n, "at": each} for n, each in enumerate(at)])
    assert made.repair().reasons == {"another document has the value, and at is declared unique"}
    assert [each[:2] for each in made.wrong()] == [("SCH001", 1)]


@pytest.mark.parametrize("wrong", [{"needed": "1"}, {"code": "b"}], ids=["a reference", "a copy"])
def test_what_is_named_is_pinned_although_another_names_the_same(shop: Make, wrong: dict[str, Any]) -> None:
    """Who deletes or changes the item has looked for both: what it found in one of them says nothing of the other."""
    box = {"_id": 1, "item": 1, "needed": 1, "code": "a"}
    made = shop([Item, Box], items=[GOOD], boxes=[box, {**box, "_id": 2} | wrong])
    made.repair()
    (found,) = made.raw.boxes.find({"_id": 2})
    assert found == {**box, "_id": 2}
    assert made.raw["integrity.pins"].count_documents({"n": {"$gt": 0}}) == 1


def test_on_a_standalone_server_one_refusal_is_one_documents(alone: Any) -> None:
    alone.items.insert_many([{"_id": each, "code": "a", "size": 5.0, "weight": 1.0} for each in range(5)])
    alone.items.update_one({"_id": 2}, {"$set": {"weight": "heavy"}})
    alone.command("collMod", "items", validator={"weight": {"$type": "number"}})
    made = Shop(alone, [Item])
    before = made.bytes()
    done = made.repair()
    assert done.summary.mended == {"SCH001": 4}
    assert "the collection's validator refuses the document with what else is wrong with it" in done.reasons
    assert not made.undo(done.summary.run).skipped
    assert made.bytes() == before


def test_a_reference_gets_the_type_of_the_key_that_is_there(shop: Make) -> None:
    made = shop([Item, Box], items=[{"_id": 5, "code": "a"}], boxes=[{"_id": 1, "item": "5", "needed": 5}])
    assert made.wrong() == [("REF002", 1, "item")]
    made.repair()
    found = made.raw.boxes.find_one({"_id": 1})
    assert found is not None
    assert (found["item"], found["code"]) == (5, "a")
    assert made.wrong() == []


def test_what_is_wrong_with_a_mended_value_is_left_and_not_repaired(shop: Make) -> None:
    class Odd(Model, collection="odd"):
        id: int
        needed: int
        text: str | None = None
        kind: Literal[1, 2] = 1
        item: Annotated[int | None, Ref(Item)] = None
        deep: dict[str, dict[str, Annotated[int | None, Ref(Item)]]] | None = None

    odd: list[dict[str, Any]] = [
        {"_id": 1, "needed": "12 pieces"},
        {"_id": 2, "needed": 1, "text": b""},
        {"_id": 3, "needed": 1, "kind": 5.0, "item": "9"},
        {"_id": 4, "needed": 1, "deep": {"a.b": {"c": 1}, "a": {"b.c": 99}}},
    ]
    made = shop([Odd, Item], items=[GOOD], odd=odd)
    chosen = ("SCH001@odd.needed=remove", "SCH001@odd.text=coerce", "REF001=null")
    plan = made.repair(*chosen, apply=False)
    done = made.repair(*chosen)
    # What loses a value is not done for nothing; what loses none is, and what comes to light is told.
    assert list(made.raw.odd.find().sort("_id")) == [*odd[:2], {"_id": 3, "needed": 1, "kind": 5, "item": 9}, odd[3]]
    assert done.reasons == {
        "the document would then break SCH002 needed",
        "the document would then break EMP001 text",
        "it is seen only now that the value is mended; repair again",
        "there is no single place to mend",
    }
    assert (done.summary.repaired, done.summary.remaining) == (2, len(made.wrong()))
    assert [each.to_json() for each in plan.outcomes] == [each.to_json() for each in done.outcomes]


def test_nothing_is_offered_for_an_id_that_would_change_it(shop: Make) -> None:
    made = shop([Item, Box], items=[GOOD], boxes=[{"_id": "one", "needed": 1}])
    assert made.repair().reasons == {"choose --unsafe SCH001=delete|quarantine"}


def test_what_is_unsafe_is_left_unless_it_is_chosen(shop: Make) -> None:
    boxes = [{"_id": 1, "item": 7, "parts": [1, 8, 9], "needed": 1}, {"_id": 2, "parts": [8], "needed": 3}]
    made = shop([Item, Box], items=[GOOD], boxes=boxes)
    before = made.bytes()
    assert made.repair().reasons == {
        "choose --unsafe REF001=null|remove|delete|quarantine",
        "choose --unsafe REF001=delete|quarantine",  # of `needed`, which may be neither null nor absent
    }
    assert made.bytes() == before
    done = made.repair("REF001=null")
    assert list(made.raw.boxes.find().sort("_id")) == [
        {"_id": 1, "item": None, "parts": [1], "needed": 1},
        {"_id": 2, "parts": None, "needed": 3},
    ]
    assert done.reasons == {"it may be neither null nor absent; choose delete or quarantine"}
    made.repair("REF001=null", "REF001@boxes.needed=delete")
    assert [each["_id"] for each in made.raw.boxes.find()] == [1]
    assert made.wrong() == []


def test_a_document_with_another_fault_is_repaired_field_by_field(shop: Make) -> None:
    made = shop([Item], items=[{"_id": 1, "code": "", "size": 5.0, "weight": "heavy"}])
    done = made.repair()
    assert made.raw.items.find_one() == {"_id": 1, "code": "", "size": 5, "weight": "heavy"}
    assert (done.summary.repaired, done.summary.remaining) == (1, 2)


def test_what_a_plan_says_is_what_is_done_and_a_plan_changes_nothing(shop: Make) -> None:
    made = shop([Item], items=[{**GOOD, "size": "5"}, {"_id": 2, "code": "N/A"}])
    before = made.bytes()
    plan = made.repair("quarantine", apply=False)
    assert made.bytes() == before
    assert "integrity.journal" not in made.raw.list_collection_names()
    done = made.repair("quarantine")
    assert [each.to_json() for each in plan.outcomes] == [each.to_json() for each in done.outcomes]
    assert plan.summary.mended == done.summary.mended


class Person(Model, collection="people"):
    id: int
    name: str
    email: Annotated[str | None, Unique(case_insensitive=True)] = None
    boss: Annotated[int | None, Ref("Person")] = None
    seen: int | None = None
    version: Annotated[int, Revision()] = 0


def test_of_equal_documents_the_chosen_one_stays_and_one_at_fault_never_does(shop: Make) -> None:
    people = [
        {"_id": 1, "name": "N/A", "email": "a@x.y", "seen": 1},
        {"_id": 2, "name": "b", "email": "A@x.y", "seen": 9},
        {"_id": 3, "name": "c", "email": "a@x.y", "seen": 5},
        {"_id": 4, "name": "d", "email": "d@x.y"},
        {"_id": 5, "name": "e", "email": "D@x.y", "boss": 4},
        {"_id": 6, "name": "f", "email": "f@x.y"},
        {"_id": 7, "name": "g", "email": "F@x.y"},
    ]
    made = shop([Person], people=people)
    done = made.repair("UNQ001=keep-oldest:seen")
    # 2 was seen last, 1 is at fault itself; somebody refers to 4, which nobody may delete; nothing tells 6 from 7.
    assert [each["_id"] for each in made.raw.people.find().sort("_id")] == [3, 4, 6]
    assert done.summary.away == {"delete": 4}


def test_one_in_whose_favour_another_went_stays(shop: Make) -> None:
    """Goes red when each group is looked at by itself: of 1, 2 and 3 none but 3 would be left, of 4 and 5 none."""

    class Member(Model, collection="members"):
        id: int
        email: Annotated[str, Unique()]
        phone: Annotated[str | None, Unique()] = None
        visits: int = 0

    members = [
        {"_id": 1, "email": "a", "phone": "1"},
        {"_id": 2, "email": "b", "phone": "1"},
        {"_id": 3, "email": "b", "phone": "3"},
        {"_id": 4, "email": "d", "visits": 4.0},
        {"_id": 5, "email": "d", "visits": "many"},
    ]
    made = shop([Member], members=members)
    chosen = ("UNQ001=keep-newest", "SCH001=delete")
    plan = made.repair(*chosen, apply=False)
    done = made.repair(*chosen)
    assert "another document was taken away in its favour" in done.reasons
    assert [each["_id"] for each in made.raw.members.find().sort("_id")] == [2, 3, 5]
    assert [each.to_json() for each in plan.outcomes] == [each.to_json() for each in done.outcomes]


@pytest.mark.parametrize("server", ["replica", "standalone"])
def test_two_repairs_that_prefer_different_documents_leave_one(
    shop: Make, alone: Any, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    """Each deletes the one that the other keeps, at the same moment."""

    class Account(Model, collection="accounts"):
        id: int
        email: Annotated[str, Unique()]

    made = shop([Account]) if server == "replica" else Shop(alone, [Account])
    made.raw.accounts.insert_many([{"_id": n, "email": "x"} for n in (1, 2)])
    together, delete_one = threading.Barrier(2, timeout=1), BlockingStore.delete_one

    async def at_once(store: BlockingStore, *arguments: Any, **options: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait()
        return await delete_one(store, *arguments, **options)

    monkeypatch.setattr(BlockingStore, "delete_one", at_once)
    with ThreadPoolExecutor() as pool:
        list(pool.map(made.repair, ("UNQ001=keep-oldest", "UNQ001=keep-newest")))
    # Without transactions both may see that it was too much, and put theirs back.
    assert made.raw.accounts.count_documents({}) in ({1} if server == "replica" else {1, 2})


@pytest.mark.parametrize("meanwhile", ["nothing", "taken", "failed"])
def test_what_is_put_back_leaves_quarantine_after_it_is_there(
    alone: Any, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """On a standalone server: goes red when the record goes first, or goes though the document is not back."""

    class Account(Model, collection="accounts"):
        id: int
        email: Annotated[str, Unique()]
        name: str

    made = Shop(alone, [Account])
    made.raw.accounts.create_index("name", unique=True)
    made.raw.accounts.insert_many([{"_id": n, "email": "x", "name": f"n{n}"} for n in (1, 2)])
    insert_one = BlockingStore.insert_one

    async def is_gone(*_: Any) -> bool:
        if meanwhile == "taken":
            (gone,) = {1, 2} - {each["_id"] for each in made.raw.accounts.find()}
            made.raw.accounts.insert_one({"_id": 3, "email": "y", "name": f"n{gone}"})
        return False

    async def failing(store: BlockingStore, collection: str, *arguments: Any, **options: Any) -> Any:
        if collection == "accounts" and meanwhile == "failed":
            raise AutoReconnect("lost")
        return await insert_one(store, collection, *arguments, **options)

    monkeypatch.setattr(Group, "stands", is_gone)
    monkeypatch.setattr(BlockingStore, "insert_one", failing)
    with contextlib.suppress(AutoReconnect, RepairError):
        done = made.repair("UNQ001=quarantine")
        assert ("no other document has the value" in done.reasons) == (meanwhile == "nothing")
    there = {each["_id"] for each in made.raw.accounts.find({"email": "x"})}
    kept = {each["document"]["_id"] for each in made.raw["accounts.quarantine"].find()}
    assert (there | kept, there & kept) == ({1, 2}, set())
    assert bool(kept) == (meanwhile != "nothing")


def test_a_document_that_others_refer_to_is_not_taken_away(shop: Make) -> None:
    made = shop([Person], people=[{"_id": 1, "name": ""}, {"_id": 2, "name": "b", "boss": 1}])
    assert made.repair("quarantine").reasons == {"other documents refer to it; see `integrity plan-delete`"}
    assert made.raw.people.count_documents({}) == 2
    assert made.repair("delete", apply=False).reasons == {"other documents refer to it; see `integrity plan-delete`"}


def test_a_repaired_document_has_a_new_revision(shop: Make) -> None:
    made = shop([Person], people=[{"_id": 1, "name": "a", "seen": 5.0, "version": 3}])
    made.repair()
    assert made.raw.people.find_one() == {"_id": 1, "name": "a", "seen": 5, "version": 4}


def test_a_converted_value_that_another_document_has_is_left(shop: Make) -> None:
    class Numbered(Model, collection="numbered"):
        id: int
        number: Annotated[int, Unique()]

    made = shop([Numbered], numbered=[{"_id": 1, "number": 5}, {"_id": 2, "number": "5"}])
    assert made.repair().reasons == {"another document has the value, and number is declared unique"}


class Numbered(Model, collection="numbered"):
    id: int
    number: Annotated[int, Unique()]


class Ticket(Model, collection="tickets"):
    id: int
    number: Annotated[Any, Ref(Numbered, field="number")]


@pytest.mark.parametrize("where", ["replica set", "standalone"])
def test_a_key_that_others_refer_to_is_left(request: pytest.FixtureRequest, where: str) -> None:
    """Goes red when a repair passes over what references say of keys that change: it would make orphans."""
    made = Shop(request.getfixturevalue("raw" if where == "replica set" else "alone"), [Numbered, Ticket])
    made.raw.numbered.insert_one({"_id": 1, "number": "5"})
    made.raw.tickets.insert_one({"_id": 1, "number": "5"})
    before = made.bytes()
    (reason,) = made.repair().reasons
    assert reason.startswith(
        "other documents refer to the value" if where == "replica set" else "others refer to the value"
    )
    assert made.bytes() == before
    assert [each[0] for each in made.wrong()] == ["SCH001"]


def test_a_key_that_others_refer_to_by_now_is_not_taken_back(shop: Make) -> None:
    made = shop([Numbered, Ticket], numbered=[{"_id": 1, "number": "5"}])
    done = made.repair()
    made.raw.tickets.insert_one({"_id": 1, "number": 5})
    assert made.undo(done.summary.run).skipped == {"other documents refer to the value that would go": 1}
    assert made.wrong() == []


def test_control_characters_are_taken_out_and_unknown_fields_when_it_is_chosen(shop: Make) -> None:
    class Strict(Model, collection="strict", policy=Policy(allow_control_characters=False)):
        id: int
        name: str

    made = shop([Strict], strict=[{"_id": 1, "name": "A\x07da", "old": 1}])
    made.repair("SCH004=remove")
    assert made.raw.strict.find_one() == {"_id": 1, "name": "Ada"}


def test_coerce_stores_what_a_write_would(shop: Make) -> None:
    made = shop([Item], items=[{**GOOD, "price": 19.99, "made": "2024-05-06"}])
    made.repair("SCH001=coerce")
    found = made.raw.items.find_one()
    assert found is not None
    assert found["price"] == Decimal128("19.99")
    assert made.wrong() == []


def test_a_validator_that_refuses_what_else_is_wrong_is_a_reason(shop: Make) -> None:
    made = shop([Item], items=[{"_id": 1, "code": "a", "size": 5.0, "weight": "heavy"}])
    made.raw.command("collMod", "items", validator={"weight": {"$type": "number"}}, validationLevel="strict")
    assert "the collection's validator refuses the document with what else is wrong with it" in made.repair().reasons


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("REF001=nul", "'nul' is no remedy"),
        ("XXX=null", "no rule has the code 'XXX'"),
        ("OWN001=null", "has none that can be chosen"),
        ("UNQ001=null", "UNQ001 has keep-newest, keep-oldest, quarantine"),
        ("convert", "is safe, and done without being asked for"),
        ("=null", "write CODE=REMEDY"),
        ("REF001=null:field", "only keep-oldest and keep-newest"),
    ],
)
def test_a_choice_that_says_nothing_is_an_error(text: str, said: str) -> None:
    with pytest.raises(RepairError, match=said):
        Choices([text])


def test_the_most_particular_choice_counts(shop: Make) -> None:
    class Constrained(Model, collection="constrained"):
        id: int
        first: Annotated[int | None, Field(gt=0)] = None
        second: Annotated[int | None, Field(gt=0)] = None

    made = shop([Constrained], constrained=[{"_id": 1, "first": -1, "second": -1}])
    made.repair("quarantine", "SCH=null", "SCH003@constrained.second=remove")
    assert made.raw.constrained.find_one() == {"_id": 1, "first": None}
