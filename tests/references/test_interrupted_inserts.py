"""Ctrl-C in an insert: the lane that it had taken is given on, or the fourth would wait for ever."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pymongo import MongoClient

import integrity
from integrity.store.port import Document
from integrity.store.run import run
from integrity.writes.references import group_commit
from integrity.writes.references.lanes import LANES, Lanes, Seat
from integrity.writes.references.pins import COLUMNS
from tests.interrupting import each_moment
from tests.references.cities import City, Shop

# A Ctrl-C where a coroutine begins: it has not been awaited, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")


def lanes_of(db: integrity.Database) -> Lanes:
    """The lanes of the one collection that was inserted into."""
    (found,) = db._guards.references.groups._lanes.values()
    (lanes,) = found.values()
    return lanes


@pytest.fixture
def database(client: MongoClient[Document], database_name: str) -> integrity.Database:
    """A guarded database of cities and their shops."""
    return integrity.Database(client[database_name], models=[City, Shop], actor="*")


def test_ctrl_c_at_any_moment_of_an_insert_leaves_its_lane_and_its_column(database: integrity.Database) -> None:
    db = database
    db[City].insert_one({"_id": 1})
    db[Shop].insert_one({"_id": 0, "city": 1})
    lanes, columns = lanes_of(db), db._guards.references.columns
    moments = 0
    for where in each_moment(lambda: db[Shop].insert_one({"city": 1, "_id": time.monotonic_ns()})):
        assert (list(lanes._taken), lanes._waiting, len(columns._free)) == ([], [], COLUMNS), where
        moments += 1
    assert moments > 100


class Crowd:
    """Inserts that meet in the lanes, with nothing sent: what would be sent is called.

    Args:
        db: The database.
        sending: Called by each group that sets out.
    """

    def __init__(self, db: integrity.Database, sending: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
        self.guards, self.lanes = db._guards, Lanes()
        self.threads: list[threading.Thread] = []

        async def send(_: Any, __: Any, seats: Sequence[Seat]) -> None:
            sending()
            for each in seats:
                each.outcome = "stored"

        monkeypatch.setattr(group_commit, "_pinned", send)
        monkeypatch.setattr(self.guards.references.groups, "lanes", lambda *_, **__: self.lanes)

    def insert(self) -> None:
        """Insert a document."""
        guard = self.guards.guard(Shop, "*")
        run(group_commit.insert(self.guards.references, guard, Seat({}, {}), optimistic=False))

    def follow(self, number: int) -> None:
        """Let other threads insert, as far as that they wait."""
        for _ in range(number):
            before = len(self.lanes._waiting)
            self.threads.append(threading.Thread(target=self.insert, daemon=True))
            self.threads[-1].start()
            while len(self.lanes._waiting) == before:
                time.sleep(0.0005)

    def ended(self) -> bool:
        """Whether every insert has come to its end."""
        for each in self.threads:
            each.join(10)
        return not any(each.is_alive() for each in self.threads)


def test_ctrl_c_at_any_moment_gives_a_lane_on(database: integrity.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    first = True

    def sending() -> None:
        nonlocal first
        if first:
            first = False
            crowd.follow(2)

    crowd, moments = Crowd(database, sending, monkeypatch), 0
    crowd.lanes._taken.update((Seat({}, {}), None) for _ in range(LANES - 1))
    for where in each_moment(crowd.insert):
        assert crowd.ended(), where
        assert (len(crowd.lanes._taken), crowd.lanes._waiting) == (LANES - 1, []), where
        first = True
        moments += 1
    assert crowd.ended()
    assert moments > 10


def test_ctrl_c_at_any_moment_of_waiting_leaves_nobody_waiting(
    database: integrity.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd(database, lambda: None, monkeypatch)
    gone, moments = threading.Event(), 0

    def once() -> None:
        others = [Seat({}, {}) for _ in range(LANES)]
        crowd.lanes._taken.update(dict.fromkeys(others))
        leaving = threading.Thread(target=leave, args=[others])
        leaving.start()
        try:
            crowd.insert()
        finally:
            gone.set()
            leaving.join()
            gone.clear()

    def leave(others: list[Seat]) -> None:
        while not crowd.lanes._waiting and not gone.is_set():
            time.sleep(0.0005)
        crowd.follow(2)
        for each in others:
            crowd.lanes.leave(each)

    for where in each_moment(once):
        assert crowd.ended(), where
        assert (len(crowd.lanes._taken), crowd.lanes._waiting) == (0, []), where
        moments += 1
    assert crowd.ended()
    assert moments > 10
