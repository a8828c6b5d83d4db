"""Who pins, and who seals, wherever it is done: that a pin orders them, `test_every_order` tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

import integrity
from integrity import CopyOf, Model, Ref, Unique
from integrity.writes.references import Protocol
from integrity.writes.references.pins import COLLECTION, COLUMNS

Raw = Database[dict[str, Any]]


class Mother(Model, collection="mothers"):
    id: int
    code: Annotated[str, Unique()]
    name: str = "Ada"


class Child(Model, collection="children"):
    id: int
    mother: Annotated[int, Ref(Mother)]


class Label(Model, collection="labels"):
    """Its key is followed, wherever that leads."""

    id: int
    code: Annotated[str, Ref(Mother, field="code", on_delete="no_action", on_update="cascade")]


class Quote(Model, collection="quotes"):
    """Its copy follows what it need not have."""

    id: int
    mother: Annotated[int, Ref(Mother, on_delete="no_action")]
    name: Annotated[str, CopyOf(Mother, "name", via="mother")]


MODELS: list[Any] = [Mother, Child, Label, Quote]


@pytest.fixture
def raw(client: MongoClient[dict[str, Any]], database_name: str) -> Raw:
    found = client[database_name]
    found.mothers.insert_many([{"_id": each, "code": str(each), "name": "Ada"} for each in range(3)])
    return found


def touched(raw: Raw) -> int:
    """How often a pin was changed so far."""
    return sum(each["n"] for each in raw[COLLECTION].find())


@pytest.mark.parametrize("mode", ["pinned", "optimistic"])
def test_a_copy_is_written_beside_a_pin_however_references_are_kept(raw: Raw, mode: Any) -> None:
    db = integrity.Database(raw, models=MODELS, references=mode)
    db[Quote].insert_one({"_id": 1, "mother": 1})
    db[Quote].insert_many([{"_id": 2, "mother": 2}])
    assert touched(raw) == 2


def test_what_is_left_of_a_refresh_pins_its_owner(raw: Raw) -> None:
    db = integrity.Database(raw, models=MODELS)
    db[Quote].insert_many([{"_id": each, "mother": 1} for each in range(2)])
    db._guards.copies.limit = 0
    before = touched(raw)
    db[Mother].update_one({"_id": 1}, {"$set": {"name": "Eve"}})
    assert raw.quotes.distinct("name") == ["Eve"]
    assert touched(raw) == before + COLUMNS + 2  # sealed by its writer, then a batch for each


def test_what_goes_with_it_refuses_no_delete(raw: Raw) -> None:
    class Step(Model, collection="steps"):
        id: int
        after: Annotated[int | None, Ref("Step")] = None

    steps = integrity.Database(raw, models=[Step])[Step]
    steps.insert_many([{"_id": 1, "after": 1}, {"_id": 2, "after": 1}])
    with pytest.raises(integrity.RestrictedDelete):
        steps.delete_one({"_id": 1})
    assert steps.delete_many({}).deleted_count == 2


def test_a_deferred_transaction_pins_at_its_end(raw: Raw) -> None:
    db = integrity.Database(raw, models=MODELS)
    with db.transaction(deferred=True):
        db[Child].insert_one({"_id": 1, "mother": 1})
    assert touched(raw) == 1


def test_every_pin_is_sealed_of_what_a_transaction_takes_away(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    db = integrity.Database(raw, models=MODELS)
    writes: list[Callable[[], Any]] = [
        lambda: db[Mother].update_one({"_id": 1}, {"$set": {"code": "x"}}),
        lambda: db[Mother].replace_one({"_id": 2}, {"code": "y"}),
    ]
    for write in writes:
        before = touched(raw)
        write()
        assert touched(raw) == before + COLUMNS
    sealed: list[str] = []
    seal = Protocol.seal

    async def noted(self: Protocol, store: Any, keys: Any, session: Any) -> None:
        sealed.extend(each.field for each in keys)
        await seal(self, store, keys, session)

    monkeypatch.setattr(Protocol, "seal", noted)
    with db.transaction():
        db[Mother].delete_one({"_id": 0})
    assert sealed == ["_id", "code"]
