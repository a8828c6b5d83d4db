"""The audit against what people write today, on one server and in one run.

    python benchmarks/bench_audit.py [--documents N] [--rounds R] [--write FILE]

Each way is measured once a round, the ways of a group one after the other, so that a busy machine slows all of
them; a figure is the median of the rounds. Ratios count, documents a second drift with the machine.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pymongo import MongoClient
from pymongo.database import Database

from integrity.audit import Options, Workers, Workplace, audit
from integrity.declare.constraint import CopyOf, Ref
from integrity.declare.model import Model
from integrity.declare.policy import PLACEHOLDERS
from integrity.declare.registry import Registry
from integrity.embedded import Mongod
from integrity.store.blocking import BlockingStore
from integrity.store.run import run

BAD = 0.001


class Line(Model):
    sku: str
    qty: Annotated[int, Field(gt=0)]


class Customer(Model, collection="customers"):
    id: int
    name: str


class Order(Model, collection="orders"):
    id: int
    customer: Annotated[int, Ref(Customer)]
    customer_name: Annotated[str, CopyOf(Customer, "name", via="customer")]
    customer_plain: Annotated[int, Ref(Customer)]
    email: str
    status: Literal["open", "paid", "sent"]
    total: Annotated[float, Field(ge=0)]
    created: dt.datetime
    note: str | None = None
    lines: list[Line]


class Judged(Model, collection="orders"):
    """The same with a validator of its own on one field."""

    model_config = ConfigDict(extra="allow")
    id: Any
    email: str

    @field_validator("email")
    @classmethod
    def has_an_at(cls, value: str) -> str:
        if "@" not in value:
            raise ValueError("no address")
        return value


def declared(_: str) -> Registry:
    """What the workers of ``--jobs`` load."""
    return Registry([Customer, Order])


class PlainLine(BaseModel):
    sku: Annotated[str, Field(min_length=1)]
    qty: Annotated[int, Field(gt=0)]


class PlainOrder(BaseModel):
    """What one writes by hand with pydantic: without the placeholders, and lax about types and unknown fields."""

    id: int = Field(alias="_id")
    customer: int
    customer_name: Annotated[str, Field(min_length=1)]
    customer_plain: int
    email: Annotated[str, Field(min_length=1)]
    status: Literal["open", "paid", "sent"]
    total: Annotated[float, Field(ge=0)]
    created: dt.datetime
    note: Annotated[str, Field(min_length=1)] | None = None
    lines: Annotated[list[PlainLine], Field(min_length=1)]


def _telling(value: str) -> str:
    if not value.strip() or value in PLACEHOLDERS:
        raise ValueError("says nothing")
    return value


Telling = Annotated[str, AfterValidator(_telling)]


class SameLine(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    sku: Telling
    qty: Annotated[int, Field(gt=0)]


class SameOrder(BaseModel):
    """All that `Order` is judged by, with pydantic: types as they are stored, no unknown field, no placeholder."""

    model_config = ConfigDict(strict=True, extra="forbid")
    id: int = Field(alias="_id")
    customer: int
    customer_name: Telling
    customer_plain: int
    email: Telling
    status: Literal["open", "paid", "sent"]
    total: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    created: dt.datetime
    note: Telling | None = None
    lines: Annotated[list[SameLine], Field(min_length=1)]


def fill(database: Database[dict[str, Any]], many: int) -> None:
    """Orders of ten fields and three sub-documents; one in a thousand has a fault of each kind."""
    draw = random.Random(7)
    customers = max(many // 4, 10)
    database.customers.insert_many({"_id": each, "name": f"Customer {each}"} for each in range(customers))
    batch = []
    for each in range(many):
        customer = draw.randrange(customers)
        order: dict[str, Any] = {
            "_id": each, "customer": customer, "customer_name": f"Customer {customer}", "customer_plain": customer,
            "email": f"someone{each}@example.com", "status": draw.choice(["open", "paid", "sent"]),
            "total": draw.random() * 100, "created": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            "note": "please ring twice",
            "lines": [
                {"sku": f"sku-{draw.randrange(5000)}", "qty": draw.randrange(1, 9)}
                for _ in range(3)
            ],
        }  # fmt: skip
        if draw.random() < BAD:
            draw.choice(FAULTS)(order)
        batch.append(order)
        if len(batch) == 10_000:
            database.orders.insert_many(batch)
            batch = []
    if batch:
        database.orders.insert_many(batch)
    database.orders.create_index("customer")


FAULTS: list[Callable[[dict[str, Any]], None]] = [
    lambda order: order.update(email=""),
    lambda order: order.update(status="lost"),
    lambda order: order.update(total="12"),
    lambda order: order["lines"][1].update(qty=0),
    lambda order: order.pop("created"),
    lambda order: order.update(customer=-1, customer_plain=-1),
    lambda order: order.update(customer_name="somebody else"),
]


@dataclass
class Way:
    """One way to do a thing.

    Args:
        name: What the table calls it.
        work: Does it, and returns how many documents it covered.
        rates: Documents a second, by round.
    """

    name: str
    work: Callable[[], int]
    rates: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


def measured(ways: list[Way], rounds: int) -> dict[str, Way]:
    for _ in range(rounds):
        for way in ways:
            begun = time.perf_counter()
            many = way.work()
            way.rates.append(many / (time.perf_counter() - begun))
    return {way.name: way for way in ways}


class Bench:
    def __init__(self, server: Mongod, client: MongoClient[dict[str, Any]], many: int, rounds: int) -> None:
        self.server, self.many, self.rounds = server, many, rounds
        self.database = client.bench
        self.pool: ProcessPoolExecutor | None = None
        self.faulty: dict[str, int] = {}

    def audited(
        self, *codes: str, models: Any = (Customer, Order), suspects: Literal["auto", "server"] = "auto"
    ) -> Callable[[], int]:
        def work() -> int:
            options = Options(collections=("orders",), select=codes, suspects=suspects)
            with run(audit(BlockingStore(self.database), Registry(list(models)), options)) as result:
                if not result.complete:
                    raise SystemExit(str(result.failure))
                self.faulty["integrity"] = len({each.id for each in result.violations})
            return self.many

        return work

    def aggregated(self, *stages: dict[str, Any], of: int | None = None) -> Callable[[], int]:
        def work() -> int:
            first = [{"$limit": of}] if of else []
            list(self.database.orders.aggregate([*first, *stages], allowDiskUse=True))
            return of or self.many

        return work

    def decoded(self) -> int:
        return sum(1 for _ in self.database.orders.find({}))

    def validated(self, model: type[BaseModel]) -> Callable[[], int]:
        def work() -> int:
            adapter, faulty = TypeAdapter(model), 0
            for each in self.database.orders.find({}):
                try:
                    adapter.validate_python(each)
                except ValidationError:
                    faulty += 1
            self.faulty[model.__name__] = faulty
            return self.many

        return work

    def shared(self, jobs: int, *codes: str, suspects: Literal["auto", "server"] = "auto") -> Callable[[], int]:
        """The same by processes, which are there before it begins, as they are after an audit's first second."""
        if self.pool is None:
            self.pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
            list(self.pool.map(abs, range(10 * jobs)))
        place = Workplace(declared, "", self.server.uri, "bench")
        workers = Workers(self.pool, place, ahead=2 * jobs)

        def work() -> int:
            options = Options(collections=("orders",), select=codes, suspects=suspects)
            of = Registry([Customer, Order])
            with run(audit(BlockingStore(self.database), of, options, workers=workers)) as result:
                if not result.complete:
                    raise SystemExit(str(result.failure))
            return self.many

        return work

    def groups(self) -> Iterator[tuple[str, list[tuple[str, str, float]], dict[str, Way]]]:
        """Yield each group's title, its targets (ours, theirs, at least) and its ways."""
        yield (
            "Field rules: types, required, bounds, empty, placeholders, nested array",
            [
                ("integrity", "decode + pydantic", 3.0),
                ("integrity", "bare scan", 0.10),
                ("integrity --jobs 2", "decode + pydantic", 5.0),
                ("integrity", "decode + pydantic, the same rules", 3.0),
                ("integrity --jobs 2", "decode + pydantic, the same rules", 5.0),
            ],
            measured(
                [
                    Way("bare scan", self.aggregated({"$match": {"absent": 1}})),
                    Way("decode", self.decoded),
                    Way("decode + pydantic", self.validated(PlainOrder)),
                    Way("decode + pydantic, the same rules", self.validated(SameOrder)),
                    Way("integrity", self.audited("SCH", "EMP", "FRB")),
                    Way("integrity --jobs 2", self.shared(2, "SCH", "EMP", "FRB")),
                    Way("integrity --suspects server", self.audited("SCH", "EMP", "FRB", suspects="server")),
                    Way(
                        "integrity --jobs 2 --suspects server",
                        self.shared(2, "SCH", "EMP", "FRB", suspects="server"),
                    ),
                ],
                self.rounds,
            ),
        )
        some = min(self.many, 5000)
        for title, local, targets in (
            ("Dangling references, with an index", "customer", [("fastest", 3.0), ("$lookup, sub-pipeline", 20.0)]),
            ("Dangling references, without an index", "customer_plain", [("fastest", 2.0)]),
        ):
            plain = {"$lookup": {"from": "customers", "localField": local, "foreignField": "_id", "as": "found"}}
            missing = [{"$match": {"found": []}}, {"$project": {"_id": 1}}]
            sub = {
                "$lookup": {
                    "from": "customers",
                    "let": {"key": f"${local}"},
                    "pipeline": [{"$match": {"$expr": {"$eq": ["$_id", "$$key"]}}}, {"$project": {"_id": 1}}],
                    "as": "found",
                }
            }
            grouped = {"$lookup": {"from": "customers", "localField": "_id", "foreignField": "_id", "as": "found"}}
            model = _only(local)
            yield (
                title,
                [("integrity", theirs, least) for theirs, least in targets],
                measured(
                    [
                        Way("$lookup, plain", self.aggregated(plain, *missing)),
                        Way("$lookup, sub-pipeline", self.aggregated(sub, *missing, of=some)),
                        Way(
                            "$lookup after $group",
                            self.aggregated({"$group": {"_id": f"${local}"}}, grouped, *missing),
                        ),
                        Way("integrity", self.audited("REF", models=(Customer, model))),
                    ],
                    self.rounds,
                ),
            )
        joined = {"$lookup": {"from": "customers", "localField": "customer", "foreignField": "_id", "as": "found"}}
        stale = {"$match": {"$expr": {"$ne": ["$customer_name", {"$first": "$found.name"}]}}}
        pairs = {"$group": {"_id": {"v": "$customer", "c": "$customer_name"}}}
        by_pair = {"$lookup": {"from": "customers", "localField": "_id.v", "foreignField": "_id", "as": "found"}}
        stale_pair = {"$match": {"$expr": {"$ne": ["$_id.c", {"$first": "$found.name"}]}}}
        yield (
            "Stale copies",
            [("integrity", "fastest", 2.0)],
            measured(
                [
                    Way("$lookup, compared", self.aggregated(joined, stale, {"$project": {"_id": 1}})),
                    Way("$lookup after $group, compared", self.aggregated(pairs, by_pair, stale_pair)),
                    Way("integrity", self.audited("OWN")),
                ],
                self.rounds,
            ),
        )
        yield (
            "A validator in Python on one field",
            [("integrity, its rule alone", "decode", 3.0), ("integrity", "decode", 3.0)],
            measured(
                [
                    Way("decode", self.decoded),
                    Way("integrity, its rule alone", self.audited("SCH005", models=(Judged,))),
                    Way("integrity", self.audited("SCH", models=(Judged,))),
                    Way("integrity --suspects server", self.audited("SCH", models=(Judged,), suspects="server")),
                ],
                self.rounds,
            ),
        )


def _only(local: str) -> type[Model]:
    """A model that declares nothing but one reference."""

    class Some(Model, collection="orders"):
        model_config = ConfigDict(extra="allow")
        __annotations__ = {"id": Any, local: Annotated[int, Ref(Customer)]}

    return Some


def start_up(rounds: int) -> float:
    """Seconds until ``integrity --help`` has ended."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "integrity", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def table(bench: Bench) -> Iterator[str]:
    for title, targets, ways in bench.groups():
        yield f"## {title}\n"
        yield "| way | documents a second |"
        yield "|---|---:|"
        for way in ways.values():
            yield f"| {way.name} | {way.rate:,.0f} |"
        yield ""
        for ours, theirs, least in targets:
            others = [each for name, each in ways.items() if name != ours]
            other = max(others, key=lambda each: each.rate) if theirs == "fastest" else ways[theirs]
            ratio = ways[ours].rate / other.rate
            verdict = "met" if ratio >= least else "NOT MET"
            yield f"{ours} / {other.name}: **{ratio:.2f}** (target {least:.2f}: {verdict})\n"
        if (same := bench.faulty.pop("SameOrder", None)) is not None:
            yield (
                f"Documents with a fault: integrity finds {bench.faulty['integrity']:,}, pydantic with the same rules "
                f"{same:,}, pydantic as one writes it at first {bench.faulty['PlainOrder']:,}.\n"
            )
    seconds = start_up(bench.rounds)
    yield "## Start-up\n"
    yield f"`integrity --help`: **{seconds:.2f} s** (target 0.30: {'met' if seconds < 0.3 else 'NOT MET'})\n"


HEAD = """# Benchmarks: the audit

Made by `python benchmarks/bench_audit.py --documents {many} --write docs/reference/benchmarks-audit.md`; {many:,}
documents of ten fields and three sub-documents, one in a thousand with a fault; medians of {rounds} interleaved rounds
on {cores} cores; the embedded MongoDB 6.0. "Fastest" is the fastest of the other ways in the table. "Decode + pydantic"
is what one writes at first: lax about types, blind to unknown fields and placeholders; "the same rules" is pydantic
that refuses just what integrity reports. With `--suspects server`, the server finds the suspects, as it does where
numpy is not installed and where documents come more slowly than here; without, both ways are tried first.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    with Mongod() as server, MongoClient[dict[str, Any]](server.uri) as client:
        fill(client.bench, options.documents)
        bench = Bench(server, client, options.documents, options.rounds)
        lines = [HEAD.format(many=options.documents, rounds=options.rounds, cores=os.cpu_count())]
        for line in table(bench):
            print(line, flush=True)
            lines.append(line)
        if bench.pool is not None:
            bench.pool.shutdown()
    if options.write:
        options.write.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
