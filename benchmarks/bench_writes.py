"""What guarded writes cost, beside raw PyMongo, pydantic by hand, Beanie and MongoEngine.

Run from the root of the project: ``python -m benchmarks.bench_writes [--keep]``; ``--keep`` writes the tables to
docs/reference/benchmarks-writes.md. Contenders run in the same process and against the same server, in interleaved
rounds, so that a busy machine slows all of them; a table shows medians.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import platform
import statistics
import time
import warnings
from collections.abc import Awaitable, Callable
from operator import truediv
from pathlib import Path
from typing import Any

import beanie
import mongoengine
import pymongo
from benchmarks.peers import BeaniePerson, EnginePerson, Person, PlainPerson, people
from pymongo import AsyncMongoClient, MongoClient
from pymongo.monitoring import CommandListener

import integrity
from integrity.embedded import Mongod

DATABASE = "bench_writes"
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "benchmarks-writes.md"

Document = dict[str, Any]
Round = Callable[[list[Document]], Any]


class Counting(CommandListener):
    """Counts the commands that a client sends."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: Any) -> None:
        self.sent.append(event.command_name)

    def succeeded(self, event: Any) -> None:
        """Counted when it started."""

    def failed(self, event: Any) -> None:
        """Counted when it started."""


def insert_many(client: MongoClient[Document], loop: asyncio.AbstractEventLoop, count: int) -> list[list[str]]:
    """Documents a second of a bulk insert, for each contender."""
    database = client[DATABASE]
    guarded = integrity.Database(database, models=[Person])[Person]

    def by_hand(documents: list[Document]) -> None:
        database["hand"].insert_many([PlainPerson.model_validate(each).model_dump() for each in documents])

    def from_beanie(documents: list[Document]) -> None:
        loop.run_until_complete(BeaniePerson.insert_many([BeaniePerson(**each) for each in documents]))

    def from_engine(documents: list[Document]) -> None:
        EnginePerson.objects.insert([EnginePerson(**each) for each in documents], load_bulk=False)

    ready: list[Person] = []
    contenders: dict[str, Round] = {
        "raw PyMongo": database["raw"].insert_many,
        "integrity, dicts": guarded.insert_many,
        "integrity, instances": lambda _: guarded.insert_many(ready),
        "integrity, instances made in the round": lambda documents: guarded.insert_many(
            [Person.model_validate(each) for each in documents]
        ),
        "pydantic and dump by hand": by_hand,
        "Beanie": from_beanie,
        "MongoEngine": from_engine,
    }
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    slow = {"Beanie", "MongoEngine"}
    for number in range(20):
        for name, contender in contenders.items():
            if name in slow and number > 3:
                continue
            documents = list(people(count))
            ready = [Person.model_validate(each) for each in documents] if name == "integrity, instances" else []
            gc.collect()
            began = time.perf_counter()
            contender(documents)
            taken[name].append(time.perf_counter() - began)
            for each in ("raw", "ours", "hand", "beanie", "engine"):
                database[each].drop()
    # The ratio of each round: where one of them was slow, it was so for all.
    raw = taken["raw PyMongo"]
    shares = {name: statistics.median(map(truediv, raw, times)) for name, times in taken.items()}
    return [
        ["insert_many", "documents/s", "of raw PyMongo"],
        *([name, f"{count / statistics.median(times):,.0f}", f"{shares[name]:.2f}"] for name, times in taken.items()),
    ]


def cpu(calls: dict[str, Callable[[int], Any]], rounds: int = 150, batch: int = 20) -> dict[str, float]:
    """The CPU time of this thread in µs a call, the median of interleaved rounds."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for number in range(batch):
            call(number)
    for number in range(rounds):
        for name, call in calls.items():
            began = time.thread_time()
            for each in range(batch):
                call(number * batch + each)
            taken[name].append((time.thread_time() - began) / batch * 1e6)
    return {name: statistics.median(times) for name, times in taken.items()}


def table(first: str, found: dict[str, float], raw: str, commands: dict[str, int] | None = None) -> list[list[str]]:
    head = [first, "client CPU, µs", "more than raw"] + (["commands"] if commands else [])
    rows = []
    for name, value in found.items():
        # What an update of the same arguments takes without us, where it was measured.
        peer = found.get(name.replace("integrity", "raw"), found[raw]) if "integrity" in name else found[raw]
        row = [name, f"{value:.1f}", "" if name.startswith("raw") else f"{value - peer:+.1f}"]
        rows.append(row + ([str(commands[name])] if commands else []))
    return [head, *rows]


def insert_one(client: MongoClient[Document]) -> list[list[str]]:
    """The client's CPU time of one insert."""
    database = client[DATABASE]
    raw, hand = database["raw"], database["hand"]  # making the driver's collection takes as long as a check
    guarded = integrity.Database(database, models=[Person])[Person]
    documents = list(people(4000))
    instances = [Person.model_validate(each) for each in documents]
    found = cpu({
        "raw PyMongo": lambda number: raw.insert_one(dict(documents[number])),
        "integrity, dict": lambda number: guarded.insert_one(dict(documents[number])),
        "integrity, instance": lambda _: guarded.insert_one(instances.pop()),
        "pydantic and dump by hand": lambda number: hand.insert_one(
            PlainPerson.model_validate(documents[number]).model_dump()
        ),
    })  # fmt: skip
    return table("insert_one", found, "raw PyMongo")


def updates(uri: str) -> list[list[str]]:
    """A proved update: as many commands as raw PyMongo, and what planning it takes."""
    listener = Counting()
    with MongoClient[Document](uri, event_listeners=[listener]) as client:
        database = client[DATABASE]
        raw = database["ours"]
        guarded = integrity.Database(database, models=[Person])[Person]
        raw.delete_many({})
        (identifier,) = guarded.insert_many(list(people(1))).inserted_ids
        one = {"_id": identifier}
        calls: dict[str, Callable[[int], Any]] = {
            "raw, $set": lambda number: raw.update_one(one, {"$set": {"name": f"n{number}"}}),
            "raw, $set of three fields": lambda number: raw.update_one(
                one, {"$set": {"name": f"n{number}", "age": number % 90, "address.city": "Ulm"}}
            ),
            "raw, $inc with room in the filter": lambda number: raw.update_one(
                {**one, "age": {"$gt": 0, "$lt": 150}}, {"$inc": {"age": 1 if number % 2 else -1}}
            ),
            "integrity, $set": lambda number: guarded.update_one(one, {"$set": {"name": f"n{number}"}}),
            "integrity, $set of three fields": lambda number: guarded.update_one(
                one, {"$set": {"name": f"n{number}", "age": number % 90, "address.city": "Ulm"}}
            ),
            "integrity, $inc with room in the filter": lambda number: guarded.update_one(
                {**one, "age": {"$gt": 0, "$lt": 150}}, {"$inc": {"age": 1 if number % 2 else -1}}
            ),
            "integrity, $inc that is not proved": lambda _: guarded.update_one(one, {"$inc": {"limits.daily": -1}}),
        }
        guarded.update_one(one, {"$set": {"age": 80, "limits.daily": 1_000_000}})
        commands = {}
        for name, call in calls.items():
            call(2)
            listener.sent.clear()
            call(4)
            commands[name] = len(listener.sent)
        unproved = calls.pop("integrity, $inc that is not proved")
        found = cpu(calls)
        found |= cpu({"integrity, $inc that is not proved": unproved}, rounds=5, batch=5)
        return table("update_one", found, "raw, $set", commands)


async def _longest(work: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """The longest time that the event loop was not free while `work` ran, in ms, and how long that took, in s."""
    gaps = [0.0]

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last - 0.001)
            last = now

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0.02)
    began = time.perf_counter()
    await work()
    took = time.perf_counter() - began
    ticker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticker
    return max(gaps) * 1000, took


async def stall(uri: str, count: int) -> list[list[str]]:
    """How long an asynchronous bulk insert keeps the event loop from anything else."""
    async with AsyncMongoClient[Document](uri) as client:
        database = client[DATABASE]
        guarded = integrity.aio.Database(database, models=[Person])[Person]
        collected: dict[str, list[tuple[float, float]]] = {}
        for _ in range(3):
            for name, insert in (("raw PyMongo", database["raw"].insert_many), ("integrity", guarded.insert_many)):
                documents = list(people(count))
                gc.collect()
                gc.freeze()
                collected.setdefault(name, []).append(await _longest(lambda i=insert, d=documents: i(d)))
                await database["raw"].drop()
                await database["ours"].drop()
        return [
            [f"insert_many of {count:,}, async", "longest stall, ms", "seconds"],
            *(
                [name, f"{statistics.median(s for s, _ in each):.1f}", f"{statistics.median(t for _, t in each):.2f}"]
                for name, each in collected.items()
            ),
        ]


def markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(each)} |" for each in body)])


#: What stands below this line of the page stays.
BY_HAND = "## The same on a slower machine"

INTRODUCTION = """\
# Benchmarks of writes

Written by `python -m benchmarks.bench_writes --keep`. Documents of six fields and two sub-documents; medians of
interleaved rounds in one process against one server.
"""


def page(tables: list[list[list[str]]], server: str) -> str:
    versions = (
        f"MongoDB {server}, PyMongo {pymongo.version}, Beanie {beanie.__version__}, "
        f"MongoEngine {mongoengine.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} (above the number of cores others were at work, and every CPU time is longer)."
    )
    return "\n".join([INTRODUCTION, versions, "", "\n\n".join(markdown(each) for each in tables), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write the tables to docs/reference/")
    parser.add_argument("--count", type=int, default=10_000, help="documents of a bulk insert")
    parser.add_argument("--only", choices=["bulk", "one", "update", "async"], help="run one of the tables")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tables = []
    with Mongod() as server, MongoClient[Document](server.uri) as client, asyncio.Runner() as runner:
        mongoengine.connect(DATABASE, host=server.uri)
        loop = runner.get_loop()
        async_client: AsyncMongoClient[Document] = AsyncMongoClient(server.uri)
        loop.run_until_complete(beanie.init_beanie(database=async_client[DATABASE], document_models=[BeaniePerson]))
        wanted = options.only
        if wanted in {None, "one"}:
            tables.append(insert_one(client))
        if wanted in {None, "update"}:
            tables.append(updates(server.uri))
        if wanted in {None, "bulk"}:
            tables.append(insert_many(client, loop, options.count))
        if wanted in {None, "async"}:
            tables.append(runner.run(stall(server.uri, 5 * options.count)))
        version = client.server_info()["version"]
        runner.run(async_client.close())
        mongoengine.disconnect()
    print(page(tables, version))
    if options.keep:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        kept = PAGE.read_text().partition(BY_HAND) if PAGE.exists() else ("", "", "")
        PAGE.write_text(page(tables, version) + "".join(["\n", *kept[1:]] if kept[1] else []))


if __name__ == "__main__":
    main()
