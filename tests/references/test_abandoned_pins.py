"""A transaction that nobody ends, as a killed process leaves it: writers of references go round what it has pinned."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient

import integrity
from integrity.writes import transaction
from integrity.writes.references import pins
from tests.references.cities import City, Shop

WRITES: dict[str, Callable[[integrity.Database], Any]] = {
    "insert": lambda db: db[Shop].insert_one({"_id": 2, "city": 1}),
    "insert many": lambda db: db[Shop].insert_many([{"_id": 2, "city": 1}]),
    "update": lambda db: db[Shop].update_one({"_id": 1}, {"$set": {"city": 2}}),
}


class First:
    """Picks the first of everything."""

    def randrange(self, stop: int) -> int:
        assert stop
        return 0


class Last(First):
    """Picks the last of everything: what was given back just now."""

    def randrange(self, stop: int) -> int:
        return stop - 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_another_column_is_tried(
    write: Callable[[integrity.Database], Any],
    client: MongoClient[dict[str, Any]],
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transaction, "LIMIT", 5.0)
    db = integrity.Database(client[database_name], models=[City, Shop])
    db[City].insert_many([{"_id": 1}, {"_id": 2}])
    db[Shop].insert_one({"_id": 1, "city": 1})
    db._guards.references.columns = pins.Columns(First())  # type: ignore[arg-type]  # all that is asked of it
    with client.start_session() as session, session.start_transaction():
        first = {"_id": {"$mod": [pins.COLUMNS, 0]}}
        db.unsafe_raw[pins.COLLECTION].update_many(first, {"$inc": {"n": 1}}, session=session)
        write(db)
        session.abort_transaction()


def test_a_column_is_given_back_for_another() -> None:
    with pins.Columns(Last()).each() as another:  # type: ignore[arg-type]  # as above
        assert another() != another(), "the last one is held until the next one is taken"
    columns = pins.Columns()
    with columns.each() as another:
        assert another() != another()
        with columns.each() as others:
            assert len({another(), others(), others()}) == 3
    with columns.each() as another:
        taken = [another() for _ in range(3 * pins.COLUMNS)]
    assert len(set(taken)) > 1
    assert len(columns._free) == pins.COLUMNS
