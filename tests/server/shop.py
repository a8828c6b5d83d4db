"""A small shop: what the tests of applying, staging and comparing declare."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from integrity.declare.constraint import CopyOf, Ref, Unique
from integrity.declare.model import Model
from integrity.declare.registry import Registry


class Country(Model, collection="countries"):
    id: str
    name: Annotated[str, Unique(case_insensitive=True)]


class Customer(Model, collection="customers", constraints=[Unique("first", "last")]):
    id: int
    first: str | None = None
    last: str | None = None
    email: Annotated[str | None, Unique()] = None
    country: Annotated[str | None, Ref(Country)] = None


class Line(Model):
    sku: str
    qty: Annotated[int, Field(gt=0)]


class Order(Model, collection="orders"):
    id: int
    customer_id: Annotated[int, Ref(Customer, on_delete="cascade")]
    email: Annotated[str | None, CopyOf(Customer, "email", via="customer_id")] = None
    lines: list[Line]


REGISTRY = Registry([Country, Customer, Order])
