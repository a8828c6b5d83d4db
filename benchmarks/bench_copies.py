"""What keeping copies costs, against the same written by hand.

    python benchmarks/bench_copies.py

An owner with 1,000 copies: its name is changed through the library, and by hand, as `update_one` and `update_many` in
one transaction. Both in one run, in turns; the ratio counts, not the times. And what a model without copies and
owners pays for them: the difference that the checks make in the client.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any

from pymongo import MongoClient
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

import integrity
from integrity import CopyOf, Model, Ref
from integrity.embedded import Mongod

COPIES = 1000
ROUNDS = 40


class Author(Model, collection="authors"):
    id: int
    name: str


class Book(Model, collection="books"):
    id: int
    author_id: Annotated[int, Ref(Author)]
    author: Annotated[str, CopyOf(Author, "name", via="author_id")]
    title: str


class Plain(Model, collection="plain"):
    id: int
    name: str


def timed(work: Callable[[], Any]) -> float:
    """Return the milliseconds that something takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def main() -> None:
    with Mongod() as server, MongoClient[dict[str, Any]](server.uri) as client:
        raw = client["bench"]
        db = integrity.Database(raw, models=[Author, Book, Plain])
        db.apply()
        for number in (1, 2):
            raw["authors"].insert_one({"_id": number, "name": "0"})
            raw["books"].insert_many([
                {"_id": number * 10_000 + each, "author_id": number, "author": "0", "title": f"T{each}"}
                for each in range(COPIES)
            ])  # fmt: skip

        def by_hand(name: str) -> None:
            with (
                client.start_session() as session,
                session.start_transaction(read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")),
            ):
                raw["authors"].update_one({"_id": 1}, {"$set": {"name": name}}, session=session)
                raw["books"].update_many({"author_id": 1}, {"$set": {"author": name}}, session=session)

        def kept(name: str) -> None:
            db[Author].update_one({"_id": 2}, {"$set": {"name": name}})

        times: dict[str, list[float]] = {"by hand": [], "kept": []}
        for number in range(ROUNDS + 5):
            hand = timed(lambda number=number: by_hand(f"N{number}"))  # type: ignore[misc]  # its default binds it
            library = timed(lambda number=number: kept(f"N{number}"))  # type: ignore[misc]  # as above
            if number >= 5:  # warm
                times["by hand"].append(hand)
                times["kept"].append(library)
        assert raw["books"].distinct("author") == [f"N{ROUNDS + 4}"]
        hand, library = (statistics.median(each) for each in times.values())
        print(
            f"an owner with {COPIES:,} copies: by hand {hand:.1f} ms, kept {library:.1f} ms, ratio {library / hand:.2f}"
        )
        guard = db._guards.guard(Plain, None)  # noqa: SLF001 - the guard is what asks
        print(f"a model without copies and owners: {checks(guard):.2f} µs a write for the checks that there are none")


def checks(guard: Any) -> float:
    """Return the microseconds that a write's questions for copies, owners and derived fields take."""
    rounds = 200_000
    entry = guard.entry

    def asked() -> None:
        for _ in range(rounds):
            # One write's: an update asks most of them, an insert the first alone.
            _ = guard.simple
            _ = entry.copies or entry.copied or entry.derived
            _ = guard.foreign or not guard.owned
            any(True for _ in entry.copied)

    def nothing() -> None:
        for _ in range(rounds):
            pass

    asked()
    return (timed(asked) - timed(nothing)) * 1000 / rounds


if __name__ == "__main__":
    main()
