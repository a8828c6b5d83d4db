"""Orphans under torture: writers insert children, deleters delete parents, and everything that can die dies.

    python benchmarks/torture_references.py [--seconds 60] [--only WORD]

What runs: threads of each protocol and of both at once; processes that are killed with SIGKILL and started again; a
replica set of three members whose primary is killed and started again; a standalone server; and beside them the ways
that people usually write. The table is kept in docs/explanation/references-measured.md. Exit 1 where a protocol of
this library left an orphan, lost what it acknowledged, or left something condemned after recovery.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

import integrity
from integrity import IntegrityError, Model, Ref
from integrity.embedded import Mongod
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.references import Timing, protocol, recover

PARENTS = 40
WAYS = {
    "pinned": ["pinned"],
    "optimistic": ["optimistic"],
    "pinned and optimistic at once": ["pinned", "optimistic"],
}
SHORT = Timing(lease=2.0, grace=6.0, patience=20.0, notice=1.0)


class Parent(Model, collection="parents"):
    id: int


class Child(Model, collection="children"):
    number: str
    parent_id: Annotated[int, Ref(Parent)]


def opened(raw: Any, mode: str) -> integrity.Database:
    db = integrity.Database(raw, models=[Parent, Child], references=mode)
    db._guards.references = protocol(mode, db.registry, timing=SHORT)  # noqa: SLF001 - shorter times than an application's
    return db


class Writer:
    """Inserts children, gives parents back, deletes parents; remembers what was acknowledged."""

    def __init__(
        self,
        raw: Any,
        insert: Callable[[str, int], object],
        delete: Callable[[int], object],
        bear: Callable[[int], object],
    ) -> None:
        self.raw, self.insert, self.delete, self.bear = raw, insert, delete, bear
        self.acknowledged: list[str] = []
        self.errors: tuple[type[Exception], ...] = ()
        self.refused = self.deleted = 0

    def work(self, name: str, until: float, log: Any = None) -> None:
        pick = random.Random(name)
        known, read = [0], 0.0
        for number in itertools.count():
            now = time.monotonic()
            if now > until:
                return
            if now > read + 0.2:  # a little stale, so that inserts meet deletes
                with suppress(PyMongoError):
                    known, read = self.raw.parents.distinct("_id", {"_id": {"$gt": 0}}), now
            parent = pick.choice(known)
            try:
                if pick.random() < 0.85:
                    child = f"{name}-{number}"
                    self.insert(child, parent)
                    self.acknowledged.append(f"{child} {parent}")
                    if log is not None:
                        log.write(f"{child}\n")
                        log.flush()
                else:
                    self.delete(parent)
                    self.deleted += 1
                    # Never the same one: an orphan must not find another parent.
                    self.bear(random.getrandbits(48))
            except (IntegrityError, PyMongoError, RuntimeError, *self.errors):
                self.refused += 1


def guarded(raw: Any, mode: str) -> Writer:
    db = opened(raw, mode)

    def delete(parent: int) -> None:
        # The children go first, in a write of their own, as a program that tidies up would.
        raw.children.update_many({"parent_id": parent}, {"$set": {"parent_id": 0}})
        db[Parent].delete_one({"_id": parent})

    return Writer(
        raw,
        lambda child, parent: db[Child].insert_one({"number": child, "parent_id": parent}),
        delete,
        lambda parent: db[Parent].insert_one({"_id": parent}),
    )


def usual(raw: Any, *, transaction: bool) -> Writer:
    client = raw.client

    def checked(child: str, parent: int, session: Any = None) -> None:
        if raw.parents.find_one({"_id": parent}, session=session) is None:
            raise RuntimeError
        raw.children.insert_one({"number": child, "parent_id": parent}, session=session)

    def emptied(parent: int, session: Any = None) -> None:
        raw.children.update_many({"parent_id": parent}, {"$set": {"parent_id": 0}}, session=session)
        if raw.children.find_one({"parent_id": parent}, session=session) is None:
            raw.parents.delete_one({"_id": parent}, session=session)

    def together(act: Callable[..., None]) -> Callable[..., None]:
        def done(*args: Any) -> None:
            with client.start_session() as session:
                session.with_transaction(lambda inner: act(*args, session=inner))

        return done if transaction else act

    return Writer(raw, together(checked), together(emptied), lambda parent: raw.parents.insert_one({"_id": parent}))


def mongoengine(raw: Any) -> Writer:
    import mongoengine as engine  # noqa: PLC0415 - only this way needs it

    uri = raw.client._topology_settings.seeds  # noqa: SLF001 - its own client
    host, port = next(iter(uri))
    engine.connect(raw.name, host=host, port=port, alias=raw.name, uuidRepresentation="standard")

    class MeParent(engine.Document):  # type: ignore[misc]  # untyped
        id = engine.IntField(primary_key=True)
        meta = {"collection": "parents", "db_alias": raw.name}  # noqa: RUF012 - its way

    class MeChild(engine.Document):  # type: ignore[misc]  # untyped
        number = engine.StringField()
        parent_id = engine.ReferenceField(MeParent, dbref=False, reverse_delete_rule=engine.DENY)
        meta = {"collection": "children", "db_alias": raw.name}  # noqa: RUF012 - its way

    def delete(parent: int) -> None:
        raw.children.update_many({"parent_id": parent}, {"$set": {"parent_id": 0}})
        with suppress(engine.OperationError):
            MeParent(id=parent).delete()

    def insert(child: str, parent: int) -> None:
        MeChild(number=child, parent_id=MeParent.objects.get(id=parent)).save(force_insert=True)

    writer = Writer(raw, insert, delete, lambda parent: raw.parents.insert_one({"_id": parent}))
    writer.errors = (engine.errors.MongoEngineException,)
    return writer


def filled(client: MongoClient[dict[str, Any]], name: str) -> Any:
    client.drop_database(name)
    raw = client.get_database(name, write_concern=WriteConcern("majority"))
    raw.parents.insert_many([{"_id": each} for each in range(PARENTS + 1)])
    raw.children.create_index("parent_id")
    return raw


def threads(writers: list[Writer], seconds: float) -> None:
    until = time.monotonic() + seconds
    running = [
        threading.Thread(target=writers[each % len(writers)].work, args=(f"t{each}", until)) for each in range(16)
    ]
    for each in running:
        each.start()
    for each in running:
        each.join()


def orphans(raw: Any) -> int:
    parents = {each["_id"] for each in raw.parents.find({}, {"_id": 1})}
    return sum(each["parent_id"] not in parents for each in raw.children.find({}, {"parent_id": 1}))


def judged(name: str, raw: Any, acknowledged: list[str], *, ours: bool) -> bool:
    """Recover, count, and print a line of the table; return whether it is as promised."""
    if ours:
        time.sleep(SHORT.lease + 0.5)
        keeper = protocol("auto", opened(raw, "auto").registry, timing=SHORT)
        run(recover(keeper, BlockingStore(raw)))
        time.sleep(SHORT.grace + 0.5)
        run(recover(keeper, BlockingStore(raw)))
    there = {each["number"] for each in raw.children.find({}, {"number": 1})}
    lost = sum(each.split(" ")[0] not in there for each in acknowledged)
    stranded = raw.parents.count_documents({"_condemned": {"$exists": True}})
    stranded += raw["integrity.condemned"].count_documents({})
    found = orphans(raw)
    print(f"| {name} | {len(acknowledged)} | {found} | {lost} | {stranded} |", flush=True)
    return not ours or (found, lost, stranded) == (0, 0, 0)


@contextmanager
def killed_now_and_then(uri: str, database: str, modes: list[str], seconds: float) -> Iterator[Path]:
    """Four processes that write, in each of the modes, of which one is killed with SIGKILL every second or so."""
    with tempfile.TemporaryDirectory() as folder:
        until = time.monotonic() + seconds
        count = itertools.count()

        def start() -> subprocess.Popen[bytes]:
            number = next(count)
            name, mode = f"p{number}", modes[number % len(modes)]
            arguments = [
                "--child",
                uri,
                database,
                mode,
                name,
                str(max(until - time.monotonic(), 0)),
                f"{folder}/{name}",
            ]
            return subprocess.Popen([sys.executable, __file__, *arguments])  # noqa: S603 - ourselves

        running = [start() for _ in range(4)]
        try:
            while time.monotonic() < until:
                time.sleep(random.uniform(0.5, 1.5))
                at = random.randrange(4)
                running[at].send_signal(signal.SIGKILL)
                running[at].wait()
                if until - time.monotonic() > 3:
                    running[at] = start()
            for each in running:
                each.wait()
        finally:
            for each in running:
                if each.poll() is None:
                    each.kill()
                    each.wait()
        yield Path(folder)


def child(uri: str, database: str, mode: str, name: str, seconds: str, log: str) -> None:
    with MongoClient[dict[str, Any]](uri) as client, open(log, "a") as out:  # noqa: PTH123 - appended to until killed
        writer = guarded(client.get_database(database, write_concern=WriteConcern("majority")), mode)
        until = time.monotonic() + float(seconds)
        # Who inserts alone looks while it waits, and several share their commands: half of the processes do either.
        workers = [
            threading.Thread(target=writer.work, args=(f"{name}.{each}.{os.getpid()}", until, out), daemon=True)
            for each in range(4 if int(name.removeprefix("p")) // 2 % 2 else 1)
        ]
        for each in workers:
            each.start()
        for each in workers:
            each.join()


def primary_killed(server: Mongod, writers: list[Writer], seconds: float, times: int = 3) -> None:
    runs = threading.Thread(target=threads, args=(writers, seconds))
    runs.start()
    for _ in range(times):
        time.sleep(seconds / (times + 1))
        with MongoClient[dict[str, Any]](server.uri) as client:
            address = f"{client.admin.command('hello')['primary']}"
        member = next(each for each in server.members if each.address == address)
        server.kill(member)
        time.sleep(1)
        server.restart(member)
    runs.join()


def main(seconds: float, only: str) -> int:
    good = True
    print("| way | acknowledged inserts | orphans | acknowledged and lost | stranded after recovery |")
    print("|---|---|---|---|---|")

    def wanted(name: str) -> bool:
        return only in name

    with Mongod() as server, MongoClient[dict[str, Any]](server.uri, maxPoolSize=50) as client:
        for name, make in {
            "check, then write": lambda raw: [usual(raw, transaction=False)],
            "the same in with_transaction": lambda raw: [usual(raw, transaction=True)],
            "MongoEngine, reverse_delete_rule=DENY": lambda raw: [mongoengine(raw)],
        }.items():
            if wanted(name):
                raw = filled(client, "usual")
                writers = make(raw)
                threads(writers, seconds)
                judged(name, raw, [each for writer in writers for each in writer.acknowledged], ours=False)
        for way, modes in WAYS.items():
            name = f"{way}, 16 threads"
            if wanted(name):
                raw = filled(client, "torture")
                writers = [guarded(raw, mode) for mode in modes]
                threads(writers, seconds)
                done = [each for writer in writers for each in writer.acknowledged]
                good &= judged(name, raw, done, ours=True)
        for way, modes in WAYS.items():
            name = f"{way}, 4 processes killed with SIGKILL"
            if wanted(name):
                raw = filled(client, "killed")
                run(protocol("auto", opened(raw, "auto").registry).prepare(BlockingStore(raw)))  # as db.apply() does
                with killed_now_and_then(server.uri, "killed", modes, seconds) as folder:
                    lines = [line for each in folder.iterdir() for line in each.read_text().splitlines(keepends=True)]
                done = [each.rstrip("\n") for each in lines if each.endswith("\n")]
                good &= judged(name, raw, done, ours=True)
    if wanted("optimistic, standalone, 16 threads"):
        with Mongod(standalone=True) as server, MongoClient[dict[str, Any]](server.uri, maxPoolSize=50) as client:
            raw = filled(client, "torture")
            writers = [guarded(raw, "auto")]
            threads(writers, seconds)
            good &= judged("optimistic, standalone, 16 threads", raw, writers[0].acknowledged, ours=True)
    for way, modes in WAYS.items():
        name = f"{way}, three members, primary killed 3 times"
        if wanted(name):
            with Mongod(members=3) as server, MongoClient[dict[str, Any]](server.uri, maxPoolSize=50) as client:
                raw = filled(client, "torture")
                # Two threads each, or one: who inserts alone looks while it waits.
                writers = [guarded(raw, mode) for mode in modes for _ in range(8)]
                primary_killed(server, writers, seconds)
                good &= judged(name, raw, [each for writer in writers for each in writer.acknowledged], ours=True)
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        sys.exit(0)
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    sys.exit(main(chosen.seconds, chosen.only))
