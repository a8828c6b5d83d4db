"""Tasks: run elsewhere, killed and gone on with, at a pace; the findings are the same."""

import contextlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from bson import MaxKey, MinKey
from distributed import Client, LocalCluster
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure

from integrity.audit import Options, Pace, State, Workers, Workplace, describe, plans
from integrity.audit.cut import Cutter, smallest
from integrity.audit.load import Load
from integrity.audit.load import busy as busy_by
from integrity.audit.pace import OutOfTime
from integrity.audit.partition import between, partitions
from integrity.audit.source import Source
from integrity.audit.task import Piece, Task
from integrity.cli.models import registry
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.errors import AuditError
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.audit.conftest import Found, audited
from tests.audit.shop import Box, Item

SHOP = str(Path(__file__).parent / "shop.py")
MIXED: list[Any] = [None, 2.5, "a", "b", {"k": 1}, {"k": 2}, b"x", True, False, MinKey(), MaxKey()]


@pytest.fixture
def shop(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """Items with ids of many types, and boxes: every third is wrong in one way or another."""
    database.items.insert_many(
        {"_id": i, "code": f"c{i // 2 if i < 50 else i}", "size": i if i % 3 else "x"} for i in range(2000)
    )
    database.items.insert_many({"_id": each, "code": f"mixed{n}", "size": "x"} for n, each in enumerate(MIXED))
    database.boxes.insert_many(
        {"_id": i, "item": i * 2, "code": f"c{i * 2}" if i % 5 else "stale"} for i in range(1500)
    )
    return database


def same(first: Found, second: Found) -> None:
    assert (first.complete, second.complete) == (True, True)
    assert sorted(map(repr, first.violations)) == sorted(map(repr, second.violations))
    assert (first.counts, first.paths, first.scanned) == (second.counts, second.paths, second.scanned)


def test_partitions_lose_no_id_of_any_type(shop: Database[dict[str, Any]]) -> None:
    """Half-open ranges over all types in BSON's order; `$gte` and `$lt` would lose every other type."""
    store = BlockingStore(shop)
    source = Source("items", documents=2011)
    found = run(partitions(store, source, 100))
    assert len(found) > 10
    for parts in (
        found,
        list(between(sorted(range(0, 2000, 7)))),
        list(between(["a", "b"])),
        list(between([MaxKey()])),
    ):
        read = [each["_id"] for part in parts for each in shop.items.find(part.filter({}), **part.options)]
        assert len(read) == 2011
        assert len({repr(each) for each in read}) == 2011


def test_partitions_of_a_clustered_collection(database: Database[dict[str, Any]]) -> None:
    database.command("create", "items", clusteredIndex={"key": {"_id": 1}, "unique": True})
    database.items.insert_many([{"_id": i, "code": str(i), "size": i if i % 7 else "x"} for i in range(700)])
    found = audited(BlockingStore(database), [Item], Options(partition=50))
    assert found.complete
    assert found.counts == {"items": {"SCH001": 100}}


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_the_size_of_the_partitions_changes_nothing(shop: Database[dict[str, Any]], size: int) -> None:
    store = BlockingStore(shop)
    options = Options(partition=max(size, 20))
    same(audited(store, [Item, Box]), audited(store, [Item, Box], options))
    same(audited(store, [Item, Box]), audited(store, [Item, Box], Options(partition=max(size, 20), pushdown=False)))


def test_processes_find_the_same(shop: Database[dict[str, Any]], uri: str) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        workers = Workers(pool, Workplace(registry, SHOP, uri, shop.name))
        assert uri not in repr(workers)
        for options in (Options(), Options(pushdown=False), Options(suspects="client")):
            same(
                audited(BlockingStore(shop), [Item, Box]),
                audited(BlockingStore(shop), [Item, Box], replace(options, partition=300), workers=workers),
            )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the cluster's own loop
@pytest.mark.slow
def test_dask_workers_find_the_same(shop: Database[dict[str, Any]], uri: str) -> None:
    with (
        LocalCluster(  # type: ignore[no-untyped-call]  # no type hints upstream
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]  # as above
    ):
        workers = Workers(client.get_executor(pure=False), Workplace(registry, SHOP, uri, shop.name))
        options = Options(partition=300, suspects="client")
        same(
            audited(BlockingStore(shop), [Item, Box]),
            audited(BlockingStore(shop), [Item, Box], options, workers=workers),
        )


def test_a_state_is_private_and_forgotten_when_the_audit_is_complete(
    shop: Database[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "state"
    with State(path) as state:
        found = audited(BlockingStore(shop), [Item, Box], Options(partition=100), state=state)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [(each.complete, each.counts["items UNQ001"]) for each in state.runs()] == [(True, 50)]
    with sqlite3.connect(path) as file:
        assert file.execute("select count(*) from task").fetchone() == (0,)
    file.close()
    with State(path) as state:
        same(found, audited(BlockingStore(shop), [Item, Box], Options(partition=100), state=state))
        assert len(state.runs()) == 2


@pytest.mark.parametrize("suspects", ["server", "client"])
def test_a_killed_audit_goes_on_and_finds_the_same(
    shop: Database[dict[str, Any]], uri: str, tmp_path: Path, suspects: str
) -> None:
    """SIGKILL at some moments; the last run's report is that of an audit that nobody disturbed."""
    path, report = tmp_path / "state", tmp_path / "report.json"
    command = [
        sys.executable, "-m", "integrity", "audit", SHOP, "--database", shop.name, "--state", str(path),
        "--suspects", suspects, "--max-rate", "1500", "-f", "json", "-o", str(report),
    ]  # fmt: skip
    environment = {**os.environ, "MONGODB_URI": uri}
    kills = 0
    for moment in (1.2, 1.5, 1.8, 2.1):
        audit = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            audit.wait(moment)
        audit.send_signal(signal.SIGKILL)
        audit.communicate()
        kills += audit.returncode == -signal.SIGKILL
    assert kills
    done = subprocess.run([*command[:-6], *command[-4:]], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    found = json.loads(report.read_text())
    undisturbed = audited(BlockingStore(shop), [Item, Box])
    assert found["complete"]
    assert {each["name"]: each["counts"] for each in found["collections"]} == undisturbed.counts
    places = sorted(repr((each["code"], each["collection"], each["id"], each["path"])) for each in found["violations"])
    expected = [json.loads(json.dumps(each.to_json())) for each in undisturbed.violations]
    assert places == sorted(repr((each["code"], each["collection"], each["id"], each["path"])) for each in expected)


PARENT = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from os import getpid
from integrity.audit.workers import end_with_parent
if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        print(pool.submit(getpid).result(), flush=True)
        time.sleep(60)
"""


def test_the_workers_of_a_killed_audit_end(tmp_path: Path) -> None:
    """They hold a client each, and would wait for work for ever."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as told:
        assert int(told.readline()) != parent.pid
        parent.kill()
        parent.wait()
        # The worker holds the pipe too: its end is the worker's.
        assert told.read() == ""


def test_a_state_of_another_audit_is_refused(shop: Database[dict[str, Any]], tmp_path: Path) -> None:
    with State(tmp_path / "state") as state:
        stopped = audited(BlockingStore(shop), [Item, Box], state=state, pace=Pace(seconds=0))
        assert not stopped.complete
        with pytest.raises(AuditError, match="unfinished audit of other models"):
            audited(BlockingStore(shop), [Item], state=state)


class Stopping(Pace):
    """A pace that ends the audit after some pieces."""

    left = 0

    async def keep(self, store: Any, read: int) -> None:
        del store, read
        self.left -= 1
        if self.left == 0:
            raise OutOfTime


@pytest.mark.parametrize("seconds", [1e-9, 9.0])
def test_pieces_of_any_size_are_gone_on_with_and_find_the_same(
    shop: Database[dict[str, Any]], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Stopped after each number of pieces, run here and elsewhere by turns, at speeds that change between.

    So does where the suspects are found: that changes nothing of what is done.
    """
    monkeypatch.setattr("integrity.audit.pieces.smallest", lambda *_: 50)
    models: list[type[Model]] = [Item, Box]
    store = BlockingStore(shop)
    whole = audited(store, models)
    with ThreadPoolExecutor(2) as pool:
        elsewhere = Workers(pool, Workplace(registry, SHOP, uri, shop.name))
        for stops in ([1, 1, 1], [3, 2], [5]):
            with State(tmp_path / f"state{len(stops)}") as state:
                for turn, stop in enumerate(stops):
                    monkeypatch.setattr("integrity.audit.cut.TARGET", [seconds, 1.0][turn % 2])
                    pace = Stopping()
                    pace.left = stop
                    workers = elsewhere if turn % 2 else None
                    options = Options(suspects="client" if turn % 3 else "server")
                    assert not audited(store, models, options, state=state, pace=pace, workers=workers).complete
                same(audited(store, models, state=state), whole)


def piece(task: Task, seconds: float) -> Piece:
    return Piece(task, [], finished=True, seconds=seconds)


def parts(many: int) -> list[Task]:
    return [Task("items", "partition", n, each) for n, each in enumerate(between(list(range(1, many))))]


def test_a_piece_is_as_many_partitions_as_can_be_read_in_about_a_second() -> None:
    """Twice as many while it takes less than half of it, half as many beyond it, and never less than one."""
    cut, sizes = Cutter(parts(64), 64_000, 8_000), []
    for seconds in (0.1, 0.1, 0.1, 0.1, 0.7, 1.5, 0.8, 5.0, 5.0, 5.0, 5.0, 0.1):
        task = next(cut)
        sizes.append(task.together)
        cut.told(piece(task, seconds))
    assert sizes == [1, 2, 4, 8, 8, 8, 4, 4, 2, 1, 1, 1]
    left = list(cut)
    assert {each.together for each in left} == {2}
    assert [name for each in left for name in each.names][-1] == "items/partition/63"
    assert left[-1].partition.upper == ()
    assert [each.partition.lower for each in left[1:]] == [each.partition.upper for each in left[:-1]]


def test_what_is_done_lies_between_two_pieces() -> None:
    """Only neighbours are read as one; a piece that ends late tells of its own size only."""
    some = parts(10)
    cut = Cutter([*some[:3], *some[5:], Task("items", "reference", 0)], 10, 100)
    first = next(cut)
    cut.told(piece(Task("items", "partition", 0, together=8), 0.0))
    cut.told(piece(first, 0.0))
    assert [(each.index, each.together, each.step) for each in cut] == [
        (1, 2, "partition"), (5, 5, "partition"), (0, 1, "reference"),
    ]  # fmt: skip


def test_a_partition_of_large_documents_has_few_of_them() -> None:
    assert smallest(Source("items", average=500), None) == 2000
    assert smallest(Source("items", average=100_000), None) == 160
    assert smallest(Source("items", average=500), 300) == 300
    assert smallest(Source("items", average=10**7), 1) == 100
    assert smallest(Source("items", documents=10**9), 300) == 100_000


def test_two_audits_do_not_share_a_state(tmp_path: Path) -> None:
    with State(tmp_path / "state") as state:
        state.begin("one")
        with pytest.raises(AuditError, match="another audit is using it"):
            State(tmp_path / "state")


def test_a_file_that_is_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a shopping list, and a long one " * 100)
    with pytest.raises(AuditError, match="no state file"):
        State(tmp_path / "state")


@pytest.mark.parametrize("tables", ["create table shopping (item text)", "create table meta (a, b, c)"])
def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, tables: str) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "state")) as file:
        file.execute(tables)
        with pytest.raises(AuditError, match="no state file"), State(tmp_path / "state") as state:
            state.begin("one")


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    with State(tmp_path / "state") as state:
        state.begin("one")
    with contextlib.closing(sqlite3.connect(tmp_path / "state")) as file, file:
        file.execute("update meta set value = '9' where name = 'format'")
    with pytest.raises(AuditError, match="another version"):
        State(tmp_path / "state")


FULL = """
import resource, signal, sys
from pathlib import Path
from integrity.audit import State
from integrity.errors import AuditError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
room = int(sys.argv[2])
try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    with State(Path(sys.argv[1])) as state:
        state.begin("one" * 10_000)
except AuditError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 30_000])
def test_a_full_disk_is_said_to_be_one(tmp_path: Path, room: int) -> None:
    """When the file is made, and when it grows."""
    said = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "state", str(room)], capture_output=True, text=True, check=True
    ).stdout
    assert "the disk is full" in said


def test_an_audit_out_of_time_is_not_complete_and_goes_on(shop: Database[dict[str, Any]], tmp_path: Path) -> None:
    with State(tmp_path / "state") as state:
        found = audited(BlockingStore(shop), [Item, Box], Options(partition=50), state=state, pace=Pace(seconds=0))
        assert not found.complete
        assert "run it again with the same --state" in (found.failure or "")
        again = audited(BlockingStore(shop), [Item, Box], Options(partition=50), state=state)
    same(again, audited(BlockingStore(shop), [Item, Box]))


def test_nothing_is_read_while_the_pause_file_is_there(shop: Database[dict[str, Any]], tmp_path: Path) -> None:
    """The file is taken away by what the audit sleeps on."""
    pause = tmp_path / "pause"
    pause.touch()
    slept = []

    class Sleeping(BlockingStore):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 3:
                pause.unlink()

    found = audited(Sleeping(shop), [Item, Box], pace=Pace(pause=pause))
    assert found.complete
    assert len(slept) == 3


def test_a_rate_is_kept_by_sleeping(shop: Database[dict[str, Any]]) -> None:
    slept = []

    class Sleeping(BlockingStore):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    begun = time.monotonic()
    found = audited(Sleeping(shop), [Item], pace=Pace(rate=100))
    took = time.monotonic() - begun
    assert found.complete
    assert sum(slept) + took >= 2011 / 100 - 1  # 1 s may be owed


class Busy(Load):
    """A load that is there for a few looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    async def queued(self, store: Any) -> bool:
        del store
        self.looks -= 1
        return self.looks >= 0


def test_a_busy_server_is_left_alone_for_a_while_and_read_to_its_end(shop: Database[dict[str, Any]]) -> None:
    class Sleepless(BlockingStore):
        slept: list[float] = []  # noqa: RUF012 - one test's

        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)

    whole = audited(BlockingStore(shop), [Item, Box])
    busy = Pace(load=Busy(3))
    assert busy.asked
    same(audited(Sleepless(shop), [Item, Box], pace=busy), whole)
    assert [each for each in Sleepless.slept if each in {0.5, 1.0, 2.0}][:3] == [0.5, 1.0, 2.0]
    Sleepless.slept.clear()
    same(audited(Sleepless(shop), [Item, Box], pace=Pace(load=Busy(10**6))), whole)
    assert max(Sleepless.slept) == 5.0


def test_a_server_is_busy_when_operations_wait_or_reading_has_become_slow(shop: Database[dict[str, Any]]) -> None:
    assert not busy_by({})
    assert not busy_by({"globalLock": {"currentQueue": {"total": 1}}})
    assert busy_by({"globalLock": {"currentQueue": {"total": 9}}})
    assert busy_by({"wiredTiger": {"concurrentTransactions": {"read": {"available": 0}, "write": {"available": 9}}}})
    load = Load()
    assert [load.slowed(*each) for each in [(0, 1.0), (1000, 1.0), (1000, 2.0), (1000, 4.0), (3000, 1.0)]] == [
        False, False, False, True, False,
    ]  # fmt: skip
    assert run(load.queued(BlockingStore(shop))) in {True, False}  # the server's own words are understood


def test_a_user_who_may_not_ask_for_the_status_backs_off_by_time_alone(
    shop: Database[dict[str, Any]], client: MongoClient[dict[str, Any]]
) -> None:
    """The role `read` may not: it is asked for once, and the audit ends as ever."""
    status: dict[str, Any] = {"failCommands": ["serverStatus"], "errorCode": 13}
    whole = audited(BlockingStore(shop), [Item, Box])
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": status})
    same(audited(BlockingStore(shop), [Item, Box], pace=Pace(load=(load := Load()))), whole)
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": status})
    assert run(load.queued(BlockingStore(shop))) is False  # not asked again, else this one would raise below
    with pytest.raises(OperationFailure):
        client.admin.command("serverStatus")


def test_a_plan_says_what_is_read_and_how(shop: Database[dict[str, Any]]) -> None:
    shop.boxes.create_index("item")
    items, boxes = [describe(each) for each in run(plans(BlockingStore(shop), registry(SHOP)))]
    assert "items: 2,011 documents" in items
    assert '"$regex"' in items
    assert "unique code" in items
    assert "reference item: its values, each once, from the index item_1; then\n    items._id by $in" in boxes
    assert "copy code: its values with those of item" in boxes
    shop.command({"create": "seen", "viewOn": "items", "pipeline": []})
    seen = type("Seen", (Item,), {"__module__": __name__}, collection="seen")
    assert describe(run(plans(BlockingStore(shop), Registry([seen])))[0]).startswith("seen: a view\n")
    here, _ = run(plans(BlockingStore(shop), registry(SHOP), Options(suspects="client")))
    assert "every document is fetched as it is stored, and the suspects are found here" in describe(here)
    (plain, _) = run(plans(BlockingStore(shop), registry(SHOP), Options(pushdown=False)))
    assert "every document is read and judged in Python" in describe(plain)
