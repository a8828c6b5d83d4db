"""What a verdict costs on clean documents, against pydantic's own validation of the same fields.

python benchmarks/bench_judge.py
"""

from __future__ import annotations

import datetime as dt
import timeit
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import bson
from bson.codec_options import CodecOptions
from pydantic import Field

from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.rules.judge import Judge
from integrity.store.codecs import CODEC

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)


class Address(Model):
    street: str
    city: str
    zip: str


class Line(Model):
    sku: str
    qty: Annotated[int, Field(gt=0)]
    price: float


class Order(Model, collection="orders"):
    id: int
    name: str
    email: str
    age: Annotated[int, Field(ge=0)]
    score: float
    created: dt.datetime
    home: Address
    line: Line


class Paid(Order, collection="paid"):
    total: Decimal


DOCUMENT = {
    "_id": 1,
    "name": "Ann Alpha",
    "email": "ann@example.org",
    "age": 3,
    "score": 1.5,
    "created": dt.datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - as PyMongo reads it
    "home": {"street": "Main St 1", "city": "Xtown", "zip": "12345"},
    "line": {"sku": "abc-1", "qty": 2, "price": 1.5},
}


def micros(call: Callable[[], Any], number: int = 20_000, repeat: int = 7) -> float:
    return min(timeit.repeat(call, number=number, repeat=repeat)) / number * 1e6


def main() -> None:
    for name, model, document in (
        ("6 fields, 2 sub-documents", Order, DOCUMENT),
        ("and a Decimal", Paid, {**DOCUMENT, "total": Decimal("12.50")}),
    ):
        judge = Judge(Registry([model]).entry(model))
        made = judge.offered(document).document
        stored = bson.decode(bson.encode(made, codec_options=OPTIONS), codec_options=OPTIONS)
        assert judge.stored(stored) == ()
        raw = micros(lambda model=model, document=document: model.model_validate(document))
        print(f"{name}: pydantic's model_validate {raw:.1f} µs")
        for act, call in (
            ("Judge.offered", lambda judge=judge, document=document: judge.offered(document)),
            ("Judge.stored", lambda judge=judge, stored=stored: judge.stored(stored)),
        ):
            took = micros(call)
            print(f"  {act:14} {took:5.1f} µs   {took / raw:4.2f} of pydantic's")


if __name__ == "__main__":
    main()
