"""Ctrl-C in an insert: the lane that it had taken is given on, or the fourth would wait for ever."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient

import integrity
from integrity.store.port import Document
from integrity.writes.references.lanes import LANES, Lanes, Seat
from tests.references.cities import City, Shop


def interrupted(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method with a Ctrl-C that comes when it is done."""

    def method(*args: Any) -> Any:
        real(*args)
        raise KeyboardInterrupt

    return method


@pytest.mark.parametrize("method", ["enter", "group"])
def test_an_insert_that_is_interrupted_before_it_sets_out_takes_no_lane_with_it(
    method: str, client: MongoClient[Document], database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = integrity.Database(client[database_name], models=[City, Shop], actor="*")
    db[City].insert_one({"_id": 1})
    with monkeypatch.context() as patch:
        patch.setattr(Lanes, method, interrupted(getattr(Lanes, method)))
        for number in range(LANES):
            with pytest.raises(KeyboardInterrupt):
                db[Shop].insert_one({"_id": number, "city": 1})
    lanes = Lanes()
    for guarded in db._guards.references.groups._lanes.values():
        (lanes,) = guarded.values()
    assert lanes.enter(Seat({}, {}), db._guards.store)  # asked for here: the insert itself would wait for ever
