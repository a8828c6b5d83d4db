"""The models that the catalogue's bad writes are aimed at, and the documents that are there before each."""

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from bson import Decimal128
from pydantic import Field, model_validator

from integrity.declare.constraint import Allow, CopyOf, Forbid, Immutable, Owner, Ref, Revision, Unique
from integrity.declare.model import Model

Document = dict[str, Any]


class Customer(Model, collection="customers"):
    id: int
    email: Annotated[str, Unique(case_insensitive=True), Field(pattern="@")]
    name: Annotated[str, Field(min_length=2, max_length=20)]
    level: Literal["basic", "gold"] = "basic"
    born: dt.datetime | None = None


class Product(Model, collection="products"):
    id: int
    sku: Annotated[str, Unique(), Immutable()]
    name: Annotated[str, Forbid(re.compile("(?i)test"))]
    price: Annotated[Decimal, Field(gt=0)]
    stock: Annotated[int, Field(ge=0, le=1000)]
    weight: float
    tags: Annotated[list[str], Field(max_length=3)]
    ratings: Annotated[list[Annotated[int, Field(ge=1, le=5)]], Allow([])]
    attributes: dict[str, str] | None = None
    code: Annotated[str, Allow("-")] = "-"


class Line(Model):
    product_id: Annotated[int, Ref(Product)]
    qty: Annotated[int, Field(ge=1)]
    note: str | None = None


class Address(Model):
    city: str
    street: str | None = None


class Order(Model, collection="orders"):
    id: int
    customer_id: Annotated[int, Ref(Customer)]
    customer: Annotated[str, CopyOf(Customer, "name", via="customer_id")]
    status: Literal["new", "paid", "sent"]
    lines: list[Line]
    address: Address
    billing: Address | None = None


class Booking(Model, collection="bookings"):
    id: int
    room: str
    start: int
    end: int
    version: Annotated[int, Revision()] = 0

    @model_validator(mode="after")
    def ends_after_its_start(self) -> "Booking":
        if self.start >= self.end:
            raise ValueError("a booking ends after its start")
        return self


class Account(Model, collection="accounts", owner="bank"):
    id: int
    holder: str
    limit: Annotated[int, Owner("risk")]


MODELS: list[type[Model]] = [Customer, Product, Order, Booking, Account]


def start() -> dict[str, list[Document]]:
    """The documents of every collection before a bad write; all valid."""
    return {
        "customers": [
            {"_id": 1, "email": "ann@example.org", "name": "Ann", "level": "basic"},
            {"_id": 2, "email": "bob@example.org", "name": "Bob", "level": "gold"},
            {"_id": 3, "email": "cyd@example.org", "name": "Cyd", "level": "basic"},
        ],
        "products": [
            {
                "_id": 1, "sku": "A-1", "name": "Chair", "price": Decimal128("49.90"), "stock": 3, "weight": 4.5,
                "tags": ["wood", "oak", "new"], "ratings": [5, 4], "attributes": {"colour": "red"}, "code": "c1",
            },
            {
                "_id": 2, "sku": "B-2", "name": "Table", "price": Decimal128("99.00"), "stock": 0, "weight": 20,
                "tags": ["oak"], "ratings": [], "code": "-",
            },
        ],
        "orders": [
            {
                "_id": 1, "customer_id": 1, "customer": "Ann", "status": "new", "address": {"city": "Bonn"},
                "lines": [{"product_id": 1, "qty": 2}, {"product_id": 2, "qty": 1, "note": "gift"}],
            },
            {
                "_id": 2, "customer_id": 2, "customer": "Bob", "status": "paid",
                "address": {"city": "Ulm", "street": "X"}, "billing": {"city": "Bern", "street": "Y"},
                "lines": [{"product_id": 1, "qty": 1}],
            },
        ],
        "bookings": [{"_id": 1, "room": "blue", "start": 10, "end": 20, "version": 3}],
        "accounts": [{"_id": 1, "holder": "Ann", "limit": 100}],
    }  # fmt: skip
