"""`db.audit()`, `db.status()` and `db.enforce()`, in both colours."""

from typing import Annotated, Any

import pytest
from pymongo import AsyncMongoClient, MongoClient

import integrity
from integrity import AuditError, EnforcementError, InvalidDocument, Model, Ref, Unique
from integrity.audit import Options


class Guest(Model, collection="guests"):
    id: int
    name: str
    email: Annotated[str | None, Unique()] = None


class Stay(Model, collection="stays"):
    id: int
    guest: Annotated[int, Ref(Guest)]


MODELS: list[type[Model]] = [Guest, Stay]
NAMES = ["guests.schema", "guests.unique(email)", "stays.schema", "stays.reference(guest)"]


def dirt(raw: Any) -> None:
    raw.guests.insert_one({"_id": 1, "name": "N/A", "email": "a@b"})
    raw.stays.insert_one({"_id": 1, "guest": 7})


def test_blocking(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    raw = client[database_name]
    dirt(raw)
    db = integrity.Database(raw, models=MODELS)
    seen: list[Any] = []
    with db.audit(progress=seen.append) as found:
        assert [(each.collection, each.code) for each in found.violations] == [
            ("guests", "FRB001"),
            ("stays", "REF001"),
        ]
        assert found.complete
    assert seen
    with db.audit(Options(collections=("stays",), select=("SCH",))) as found:
        assert not found.total
        assert found.complete
    with pytest.raises(AuditError, match="'rooms'"):
        db.audit(Options(collections=("rooms",)))
    assert [(each.constraint.name, each.stage, each.violations) for each in db.status()] == [
        (name, "declared", count) for name, count in zip(NAMES, [1, 0, 0, 1], strict=True)
    ]
    assert {each.violations for each in db.status(audited=False)} == {None}

    assert not any(each.held for each in db.enforce(to="warn"))
    db[Guest].insert_one({"_id": 2, "name": "N/A"})  # logged
    held = {each.constraint.name: each.violations for each in db.enforce() if each.held}
    assert held == {"guests.schema": 2, "stays.reference(guest)": 1}
    raw.guests.update_many({}, {"$set": {"name": "Ada"}})
    (advance,) = db.enforce("guests.schema")
    assert (advance.before, advance.after, advance.held) == ("warn", "enforced", False)
    assert str(advance) == "guests.schema: warn → enforced"
    with pytest.raises(InvalidDocument):  # at once: what this handle knew of the stages is forgotten
        db[Guest].insert_one({"_id": 3, "name": "N/A"})


def test_what_is_no_stage_and_no_constraint_is_refused(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    with pytest.raises(ValueError, match=r"to='strict'; choose 'declared', 'warn', 'moderate', 'enforced'\."):
        db.enforce(to="strict")  # type: ignore[arg-type]
    with pytest.raises(EnforcementError, match=r"guests\.emails"):
        db.enforce("guests.emails")
    assert client[database_name].list_collection_names() == []


async def test_asynchronous(uri: str, client: MongoClient[dict[str, Any]], database_name: str) -> None:
    dirt(client[database_name])
    async with AsyncMongoClient[dict[str, Any]](uri) as connected:
        db = integrity.aio.Database(connected[database_name], models=MODELS)
        with await db.audit() as found:
            assert found.total == 2
        assert [each.violations for each in await db.status()] == [1, 0, 0, 1]
        held = [each.constraint.name for each in await db.enforce() if each.held]
        assert held == ["guests.schema", "stays.reference(guest)"]
        (advance,) = await db.enforce("guests.unique(email)", to="declared")
        assert advance.after == "declared"
