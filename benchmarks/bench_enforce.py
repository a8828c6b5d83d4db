"""From dirty to enforced: a collection of a million documents, with a writer at work all the time.

python benchmarks/bench_enforce.py [DOCUMENTS]

Audit, repair, enforce; fails when the writer sees an error for a valid document, or when the end is not enforced.
Then what a validator costs an insert.
"""

import datetime as dt
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated, Any, Self

from bson import Decimal128
from pydantic import Field
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import WriteError

from integrity import Model, Ref, Unique
from integrity.adopt import Advance, enforce
from integrity.declare.registry import Registry
from integrity.declare.stage import Stage
from integrity.embedded import Mongod
from integrity.repair import Choices, CollectionJournal, Summary, repair
from integrity.server.apply import apply, diff
from integrity.server.validator import validator
from integrity.store.blocking import BlockingStore
from integrity.store.run import run

Raw = Database[dict[str, Any]]
BAD = 1000  # one in so many
COUNTRIES = [f"C{number:02}" for number in range(50)]


class Country(Model, collection="countries"):
    id: str


class Address(Model):
    street: str
    city: str
    zip: Annotated[str, Field(pattern="^[0-9]{5}$")]


class Customer(Model, collection="customers"):
    id: int
    name: str
    email: Annotated[str, Unique(case_insensitive=True)]
    country: Annotated[str, Ref(Country)]
    born: dt.datetime
    credit: Annotated[Decimal, Field(ge=0)]
    visits: Annotated[int, Field(ge=0)]
    rating: Annotated[float | None, Field(ge=0, le=5)] = None
    tags: list[str] | None = None
    address: Address


REGISTRY = Registry([Country, Customer])


def customer(number: int) -> dict[str, Any]:
    return {
        "_id": number,
        "name": f"Customer {number}",
        "email": f"customer{number}@shop.test",
        "country": COUNTRIES[number % len(COUNTRIES)],
        "born": dt.datetime(1980, 1, 1) + dt.timedelta(days=number % 9000),  # noqa: DTZ001 - PyMongo reads naive as UTC
        "credit": Decimal128(f"{number % 1000}.50"),
        "visits": number % 100,
        "rating": (number % 50) / 10,
        "tags": ["new", "shop"],
        "address": {"street": f"Road {number % 700}", "city": "Lund", "zip": f"{number % 90000 + 10000}"},
    }


def spoiled(number: int) -> dict[str, Any]:
    """A customer as importers, forms and forgotten scripts leave one behind."""
    found = customer(number)
    way = number // BAD % 6
    if way == 0:
        found["name"] = "N/A"
    elif way == 1:
        found["visits"] = -1
    elif way == 2:
        del found["born"]
    elif way == 3:
        found["email"] = f"CUSTOMER{number - 1}@shop.test"
    elif way == 4:
        found["country"] = "nowhere"
    else:
        found["address"]["zip"] = "12"
    return found


def fill(raw: Raw, documents: int) -> None:
    raw.countries.insert_many({"_id": each} for each in COUNTRIES)
    for start in range(0, documents, 5000):
        raw.customers.insert_many(
            (
                customer(number) if number % BAD else spoiled(number)
                for number in range(start, min(start + 5000, documents))
            ),
            ordered=False,
        )


def mend(raw: Raw, registry: Registry) -> Summary:
    """Mend what the audit finds: of two with one address the older one stays, everything else goes into quarantine."""
    store = BlockingStore(raw)
    choices = Choices(["quarantine", "UNQ001=keep-oldest"])
    return run(repair(store, registry, choices=choices, journal=CollectionJournal(store)))


class Writer:
    """Another program: it inserts and updates valid documents through no guard, all the time."""

    def __init__(self, raw: Raw, first: int) -> None:
        self.raw = raw
        self.next = first
        self.written = 0
        self.slowest = 0.0
        self.errors: list[Exception] = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self) -> None:
        while not self.done.is_set():
            started = time.perf_counter()
            number, self.next = self.next, self.next + 1
            try:
                self.raw.customers.insert_one(customer(number if number % BAD else number + 1_000_000_007))
                self.raw.customers.update_one({"_id": number - 3}, {"$inc": {"visits": 1}})
            except Exception as error:  # noqa: BLE001 - each one is a failure of this benchmark
                self.errors.append(error)
            self.written += 2
            self.slowest = max(self.slowest, time.perf_counter() - started)
            time.sleep(0.001)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what:58} {time.perf_counter() - started:8.1f} s", flush=True)


def moved(raw: Raw, to: Stage = Stage.ENFORCED) -> dict[str, Advance]:
    return {each.constraint.name: each for each in run(enforce(BlockingStore(raw), REGISTRY, to=to))}


def adoption(raw: Raw, documents: int) -> None:
    with timed(f"filling {documents:,} documents, one in {BAD:,} bad"):
        fill(raw, documents)
    with Writer(raw, documents + 1) as writer:
        with timed("declared → warn"):
            moved(raw, Stage.WARN)
        with timed("enforce: held back by what the audit finds"):
            held = {name: each.violations for name, each in moved(raw).items() if each.held}
        print(f"  held back: {held}")
        assert set(held) == {"customers.schema", "customers.unique(email)", "customers.reference(country)"}
        with timed("audit and repair"):
            mended = mend(raw, REGISTRY)
        print(f"  repaired: {mended.repaired:,} violations; {dict(mended.away)}; left: {dict(mended.left)}")
        assert mended.failure is None, mended.failure
        with timed("enforce: audit, moderate, audit, strict; prepareUnique, unique"):
            advances = moved(raw)
    assert not [each for each in advances.values() if each.held], advances
    assert run(diff(BlockingStore(raw), REGISTRY)) == ()
    print(f"  the writer: {writer.written:,} writes, slowest pair {writer.slowest:.2f} s, errors {len(writer.errors)}")
    assert writer.written > 0
    assert not writer.errors, writer.errors[:3]
    for bad in (spoiled(BAD * each) | {"_id": -1} for each in (0, 1, 2, 5)):
        try:
            raw.customers.insert_one(bad)
        except WriteError:
            continue
        raise AssertionError(f"the server took {bad}")


def cost(raw: Raw) -> None:
    """Inserts a second, with nothing, with types alone, and with the whole validator."""
    whole = validator(REGISTRY.entry("Customer"))
    types = {"$jsonSchema": {"properties": _types(whole["$jsonSchema"]["properties"])}}
    documents = [customer(number) for number in range(50_000)]
    best: dict[str, float] = {}
    for _ in range(3):
        for name, each in (("no validator", {}), ("types alone", types), ("the whole validator", whole)):
            raw.drop_collection("cost")
            raw.create_collection("cost", validator=each or {})
            started = time.perf_counter()
            raw.cost.insert_many(documents, ordered=False)
            best[name] = max(best.get(name, 0.0), len(documents) / (time.perf_counter() - started))
    print("\ninsert_many, documents a second")
    for name, rate in best.items():
        print(f"  {name:22} {rate:10,.0f}  {rate / best['no validator']:.2f}")


def _types(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: {"bsonType": each["bsonType"]} for name, each in properties.items() if "bsonType" in each}


def main() -> None:
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with Mongod() as server, MongoClient[dict[str, Any]](server.uri) as client:
        adoption(client.shop, documents)
        cost(client.shop)
        with timed("apply, with nothing to do"):
            assert not run(apply(BlockingStore(client.shop), REGISTRY)).done


if __name__ == "__main__":
    main()
