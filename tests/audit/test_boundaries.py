"""An audit at the edges: views, users who only read, servers that die, writers at work, memory."""

import datetime as dt
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from integrity.audit import Options, Progress, source
from integrity.declare.constraint import Ref, Unique
from integrity.declare.model import Model
from integrity.embedded import Mongod
from integrity.store.blocking import BlockingStore
from tests.audit.conftest import Audit, audited

Raw = Database[dict[str, Any]]


class Item(Model, collection="items"):
    id: Any
    code: Annotated[str, Unique()]
    size: int


class Box(Model, collection="boxes"):
    id: int
    item: Annotated[int, Ref(Item)]


class ItemView(Model, collection="items_view"):
    id: Any
    code: Annotated[str, Unique()]
    size: int


def test_a_view_is_audited_like_a_collection(check: Audit, database: Database[dict[str, Any]]) -> None:
    database.items.insert_many([
        {"_id": 1, "code": "a", "size": 1}, {"_id": 2, "code": "a", "size": 1}, {"_id": 3, "code": "", "size": "x"},
        {"_id": 4, "code": "hidden", "size": "x", "off": True},
    ])  # fmt: skip
    database.command("create", "items_view", viewOn="items", pipeline=[{"$match": {"off": {"$ne": True}}}])
    found = check([ItemView])
    assert found.complete
    assert found.scanned == {"items_view": 3}
    assert found.places == [
        ("EMP001", 3, "code"), ("SCH001", 3, "size"), ("UNQ001", 1, "code"), ("UNQ001", 2, "code")
    ]  # fmt: skip


def test_a_view_without_ids_is_audited_too(check: Audit, database: Database[dict[str, Any]]) -> None:
    database.items.insert_many([{"_id": i, "code": str(i), "size": "x" if i % 2 else 1} for i in range(10)])
    database.command("create", "items_view", viewOn="items", pipeline=[{"$project": {"_id": 0}}])
    found = check([ItemView])
    assert found.counts == {"items_view": {"SCH001": 5, "SCH002": 10}} or found.codes["SCH001"] == 5


class Word(Model, collection="words"):
    id: Any
    n: int


@pytest.mark.parametrize("options", [Options(), Options(sample=1 - 1e-12)], ids=["all", "sampled"])
def test_the_documents_of_a_view_that_share_an_id_are_told_once_each(database: Raw, options: Options) -> None:
    """Over many batches; also where an id is an array or null, which finds others beside it."""
    database.texts.insert_many(
        [{"_id": 1, "n": ["x"] * 700}, {"_id": "a", "n": ["x"] * 3 + [1]}, {"_id": {"k": 1}, "n": ["x", "x"]}]
    )
    database.texts.insert_many([{"_id": "A", "n": ["x"]}, {"_id": 5, "own": [1, 2], "n": ["x"]}])
    identity = {"_id": {"$ifNull": ["$own", "$_id"]}}
    pipeline = [{"$unwind": "$n"}, {"$set": identity}, {"$unset": "own"}]
    database.create_collection("words", viewOn="texts", pipeline=pipeline, collation={"locale": "en", "strength": 2})
    found = audited(BlockingStore(database), [Word], options)
    assert (found.failure, found.scanned, found.counts) == (None, {"words": 708}, {"words": {"SCH001": 707}})


def test_a_capped_a_clustered_and_a_time_series_collection(check: Audit, database: Database[dict[str, Any]]) -> None:
    class Capped(Model, collection="capped"):
        id: Any
        n: int

    class Clustered(Model, collection="clustered"):
        id: Any
        n: int

    class Series(Model, collection="series"):
        id: Any
        at: Any
        n: int

    database.create_collection("capped", capped=True, size=1_000_000)
    database.command("create", "clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    database.create_collection("series", timeseries={"timeField": "at"})
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for name in ("capped", "clustered", "series"):
        database[name].insert_many(
            [{"_id": i, "n": i if i % 3 else "x", **({"at": day} if name == "series" else {})} for i in range(30)]
        )  # fmt: skip
    found = check([Capped, Clustered, Series])
    assert found.complete
    assert found.counts == {name: {"SCH001": 10} for name in ("capped", "clustered", "series")}


def test_a_collated_collection_is_read_in_one(check: Audit, database: Database[dict[str, Any]]) -> None:
    """Bounds would be compared by its collation, in a query that compares exactly."""
    database.create_collection("items", collation={"locale": "en", "strength": 2})
    database.items.insert_many([{"_id": f"i{i}", "code": str(i), "size": "x" if i % 2 else i} for i in range(300)])
    found = check([Item], Options(partition=50))
    assert (found.failure, found.scanned, found.codes) == (None, {"items": 300}, {"SCH001": 150})


def test_a_missing_collection_is_never_clean(database: Database[dict[str, Any]]) -> None:
    database.boxes.insert_many([{"_id": 1, "item": 1}, {"_id": 2, "item": ""}])
    found = audited(BlockingStore(database), [Item, Box])
    assert not found.complete
    assert found.failure is not None
    assert "'items'" in found.failure
    assert "'boxes' refers to it" in found.failure
    # What needs no other collection is judged all the same; nothing dangles on the strength of a typing error.
    assert found.places == [("EMP001", 2, "item")]
    assert found.whole == {"items": False, "boxes": False}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Mongod]:
    with Mongod(auth=True) as server:
        yield server


def test_a_user_who_can_only_read_is_enough(guarded: Mongod) -> None:
    with MongoClient[dict[str, Any]](guarded.uri) as admin:
        shop = admin.shop
        shop.items.insert_many([{"_id": i, "code": "same", "size": i} for i in range(3)])
        shop.boxes.insert_one({"_id": 1, "item": 99})
        shop.command("createUser", "reader", pwd="password", roles=["read"])
    _, _, address = guarded.uri.rpartition("@")
    uri = f"mongodb://reader:password@{address.replace('authSource=admin', 'authSource=shop')}"
    with MongoClient[dict[str, Any]](uri) as reader:
        found = audited(BlockingStore(reader.shop), [Item, Box])
    assert found.complete
    assert found.counts == {"items": {"UNQ001": 3}, "boxes": {"REF001": 1}}


def test_a_server_that_dies_half_way_leaves_no_clean_verdict() -> None:
    with Mongod() as server, MongoClient[dict[str, Any]](server.uri, serverSelectionTimeoutMS=1000) as client:
        database = client.shop
        database.items.insert_many([{"_id": i, "code": str(i), "size": i} for i in range(5000)])
        database.boxes.insert_one({"_id": 1, "item": 1})
        killed = False

        def kill(state: Progress) -> None:
            nonlocal killed
            if not killed and state.collection == "items" and state.done:
                killed = True
                server.kill(server.members[0])

        found = audited(BlockingStore(database), [Item, Box], Options(partition=1000), progress=kill)
    assert not found.complete
    assert found.failure is not None
    assert "'items'" in found.failure
    assert "\n" not in found.failure
    assert "Topology" not in found.failure
    assert found.scanned["items"] < 5000
    # It was asked for and not reached: it is in the result, and not as a clean one.
    assert found.scanned["boxes"] == 0


def test_a_bad_collection_does_not_end_the_audit_of_the_others(guarded: Mongod) -> None:
    with MongoClient[dict[str, Any]](guarded.uri) as admin:
        admin.part.items.insert_one({"_id": 1, "code": "a", "size": "x"})
        admin.part.boxes.insert_one({"_id": 1, "item": 1})
        admin.part.command(
            "createRole", "onlyItems", roles=[],
            privileges=[
                {"resource": {"db": "part", "collection": "items"}, "actions": ["find", "collStats"]},
                {"resource": {"db": "part", "collection": ""}, "actions": ["listCollections"]},
            ],
        )  # fmt: skip
        admin.part.command("createUser", "some", pwd="password", roles=["onlyItems"])
    _, _, address = guarded.uri.rpartition("@")
    uri = f"mongodb://some:password@{address.replace('authSource=admin', 'authSource=part')}"
    with MongoClient[dict[str, Any]](uri) as reader:
        found = audited(BlockingStore(reader.part), [Box, Item])
    assert not found.complete
    assert "'boxes'" in (found.failure or "")
    assert found.counts["items"] == {"SCH001": 1}


@pytest.mark.parametrize("size", [999, 1000, 1001, 2000, 2001])
def test_nothing_is_lost_between_two_batches(
    check: Audit, database: Database[dict[str, Any]], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_BATCH_MOST", 100)
    database.items.insert_many([{"_id": i, "code": str(i // 2), "size": "x"} for i in range(size)])
    found = check([Item])
    assert found.scanned == {"items": size}
    assert found.codes == {"SCH001": size, "UNQ001": size - size % 2}


def test_a_writer_at_work_causes_no_false_finding(
    database: Database[dict[str, Any]],
) -> None:
    """The writer keeps every rule at every moment: a box is there only while its item is."""
    database.items.insert_many([{"_id": i, "code": f"fixed{i}", "size": i} for i in range(2000)])
    database.boxes.insert_many([{"_id": i, "item": i} for i in range(0, 2000, 2)])
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            id_ = 10_000 + n
            database.items.insert_one({"_id": id_, "code": f"moving{n}", "size": n})
            database.boxes.insert_one({"_id": id_, "item": id_})
            database.boxes.delete_one({"_id": id_})
            database.items.delete_one({"_id": id_})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        results = [
            audited(BlockingStore(database), [Item, Box], Options(suspects=where))
            for where in ("server", "client", "server", "client", "client")
        ]
    finally:
        stop.set()
        writer.join()
    assert [(each.complete, each.places) for each in results] == [(True, [])] * 5


@pytest.mark.parametrize("suspects", ["server", "client"])
def test_memory_stays_flat(uri: str, database_name: str, client: MongoClient[dict[str, Any]], suspects: str) -> None:
    """100,000 documents, each with a fault: a long result costs disk, not memory. benchmarks/ has the million."""
    for start in range(0, 100_000, 20_000):
        client[database_name].items.insert_many(
            [{"_id": i, "code": f"c{i}", "size": "x"} for i in range(start, start + 20_000)]
        )
    program = textwrap.dedent("""
        import json, re, sys
        from pathlib import Path
        from typing import Annotated, Any
        from pymongo import MongoClient
        from integrity.audit import Options, audit
        from integrity.declare.constraint import Unique
        from integrity.declare.model import Model
        from integrity.declare.registry import Registry
        from integrity.store.blocking import BlockingStore
        from integrity.store.run import run

        class Item(Model, collection="items"):
            id: Any
            code: Annotated[str, Unique()]
            size: int

        def most():
            # Not getrusage's: that begins with what the process that started this one had.
            return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

        before = most()
        with MongoClient(sys.argv[1]) as client:
            options = Options(suspects=sys.argv[3])
            with run(audit(BlockingStore(client[sys.argv[2]]), Registry([Item]), options)) as result:
                read = sum(1 for _ in result.violations)
                found = result.collections[0].counts["SCH001"]
        after = most()
        print(json.dumps([found, read, (after - before) // 1024, after // 1024]))
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, uri, database_name, suspects], capture_output=True, text=True, check=True
    )
    found, read, grown, most = json.loads(done.stdout)
    assert (found, read) == (100_000, 100_000)
    assert most < 200, f"{most} MB, {grown} MB of them for the audit"
