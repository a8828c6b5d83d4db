"""What references cost: inserts a second, as a ratio to raw inserts of the same run.

    python benchmarks/bench_references.py [SECONDS] [ROUNDS]

Every round runs all ways one after the other, so that a machine that gets slower gets slower for all; the median of
the rounds' ratios counts. The ``_id`` of a document is generated, but in a bulk and where a line says that it is given:
an optimistic insert looks while it waits only where it is generated. The table is kept in
docs/explanation/references-measured.md.
"""

from __future__ import annotations

import itertools
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any

from pymongo import MongoClient

import integrity
from integrity import Model, Ref
from integrity.embedded import Mongod

PARENTS = 1000
BULK = 10_000
#: Bulks in a round: one takes a tenth of a second, and is soon over.
BULKS = 5

numbers = itertools.count(1)


class Parent(Model, collection="parents"):
    id: int
    name: str


class Child(Model, collection="children"):
    parent_id: Annotated[int, Ref(Parent)]
    text: str


def document(parent: int) -> dict[str, Any]:
    return {"parent_id": parent, "text": "some words of text"}


def given(parent: int) -> dict[str, Any]:
    return {"_id": next(numbers), **document(parent)}


def rate(threads: int, seconds: float, insert: Callable[[int], object], *, hot: bool) -> float:
    """Inserts a second."""
    stop = time.perf_counter() + seconds
    counts = [0] * threads

    def work(number: int) -> None:
        pick = random.Random(number)
        while time.perf_counter() < stop:
            insert(0 if hot else pick.randrange(PARENTS))
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(each,)) for each in range(threads)]
    start = time.perf_counter()
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    return sum(counts) / (time.perf_counter() - start)


def bulk(insert: Callable[[list[dict[str, Any]]], object]) -> float:
    """Documents a second."""
    documents = [given(number % PARENTS) for number in range(BULK)]
    start = time.perf_counter()
    insert(documents)
    return BULK / (time.perf_counter() - start)


def main(seconds: float, rounds: int) -> None:
    with Mongod() as server, MongoClient[dict[str, Any]](server.uri, maxPoolSize=50) as client:
        raw = client["bench"]
        raw.parents.insert_many([{"_id": each, "name": "a name"} for each in range(PARENTS)])
        ways: dict[str, Any] = {
            mode: integrity.Database(raw, models=[Parent, Child], references=mode)[Child]
            for mode in ("pinned", "optimistic")
        }
        ways["pinned"].insert_one(document(1))
        ways["optimistic"].insert_one(document(1))
        ratios: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds):
            for name, threads, hot in (("1 thread", 1, False), ("16 spread", 16, False), ("16 hot", 16, True)):
                base = rate(threads, seconds, lambda parent: raw.children.insert_one(document(parent)), hot=hot)
                ratios.setdefault(("raw, a second", name), []).append(base)
                for way, collection in ways.items():
                    for words, made in ((way, document), (f"{way}, _id given", given)):
                        found = rate(
                            threads, seconds, lambda parent, to=collection, m=made: to.insert_one(m(parent)), hot=hot
                        )
                        ratios.setdefault((words, name), []).append(found / base)
            for _ in range(BULKS):
                raw.children.delete_many({})
                base = bulk(raw.children.insert_many)
                ratios.setdefault(("raw, a second", "bulk"), []).append(base)
                for way, collection in ways.items():
                    raw.children.delete_many({})
                    ratios.setdefault((way, "bulk"), []).append(bulk(collection.insert_many) / base)
            raw.children.delete_many({})
        columns = ("1 thread", "16 spread", "16 hot", "bulk")
        print(f"| way | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
        for way in dict.fromkeys(way for way, _ in ratios):
            cells = [statistics.median(ratios[way, each]) if (way, each) in ratios else None for each in columns]
            form = ".0f" if way.startswith("raw") else ".2f"
            print(f"| {way} | {' | '.join('' if each is None else format(each, form) for each in cells)} |")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
