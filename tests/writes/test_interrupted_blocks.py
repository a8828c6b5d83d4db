"""Ctrl-C in a transaction's block, at any moment: the thread's later operations join nothing that is gone."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient

import integrity
from tests.embedded.system import eventually
from tests.interrupting import each_moment
from tests.writes.shop import MODELS, Page

# A Ctrl-C where a coroutine begins: it has not been awaited, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")


def block(db: integrity.Database) -> None:
    with db.transaction():
        db.unsafe_raw["pages"].find_one({})


def written(db: integrity.Database) -> None:
    with db.transaction(deferred=True):
        db[Page].update_one({"_id": 1}, {"$set": {"text": "in a block"}})


def body(db: integrity.Database) -> None:
    db.with_transaction(lambda _: None, deferred=True)


def raised(db: integrity.Database) -> None:
    try:
        with db.transaction():
            db[Page].update_one({"_id": 1}, {"$set": {"text": "taken back"}})
            raise ZeroDivisionError  # noqa: TRY301 - what the block is about
    except ZeroDivisionError:
        pass


@pytest.mark.parametrize("act", [block, written, body, raised])
def test_nothing_is_open_or_joined_after_ctrl_c_at_any_moment(
    act: Callable[[integrity.Database], None], uri: str, database_name: str, client: MongoClient[dict[str, Any]]
) -> None:
    with integrity.connect(uri, models=MODELS, actor="*", database=database_name) as db:
        db[Page].insert_one({"_id": 1, "text": "first"})
        act(db)
        moments = 0
        for where in each_moment(lambda: act(db)):
            assert db._guards.binding.session() is None, where
            # Where `__exit__` begins, another thread ends it.
            assert eventually(lambda: not client.admin.command("serverStatus")["transactions"]["currentOpen"]), where
            moments += 1
        assert moments > 20
        db[Page].update_one({"_id": 1}, {"$set": {"text": "last"}})
        assert client[database_name]["pages"].find_one({"_id": 1}, {"text": 1}) == {"_id": 1, "text": "last"}
