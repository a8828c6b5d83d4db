"""The declarations that the tests of the operations write to: a shop with every kind of marker."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, model_validator

from integrity import Allow, CopyOf, Forbid, Immutable, Model, Owner, Ref, Revision, Unique


class Customer(Model, collection="customers"):
    id: int
    email: Annotated[str, Unique(case_insensitive=True)]
    name: str
    nickname: Annotated[str | None, Unique()] = None
    country: Annotated[str, Immutable()] = "NL"


class Product(Model, collection="products", owner="catalogue"):
    id: int
    sku: Annotated[str, Unique()]
    title: Annotated[str, Forbid("forbidden")]
    price: Annotated[Decimal, Field(gt=0), Owner("pricing")] = Decimal(1)
    note: Annotated[str, Allow("")] = ""


class Line(Model):
    product_id: Annotated[int, Ref(Product)]
    title: Annotated[str, CopyOf(Product, "title", via="product_id")] = "?!"
    qty: Annotated[int, Field(ge=1)]


class Order(Model, collection="orders"):
    id: int
    customer_id: Annotated[int, Ref(Customer)]
    lines: list[Line]
    codes: list[Annotated[str, Unique()]] = Field(default_factory=lambda: ["none"])


class Page(Model, collection="pages"):
    id: int
    text: str
    revision: Annotated[int, Revision()] = 0


class Span(Model, collection="spans", constraints=[Unique("low", "high")]):
    id: int
    low: int
    high: int

    @model_validator(mode="after")
    def _ordered(self) -> "Span":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Node(Model, collection="nodes"):
    id: int
    parent: Annotated[int | None, Ref("Node")] = None


MODELS: list[Any] = [Customer, Product, Order, Page, Span, Node]

CUSTOMER = {"_id": 1, "email": "ada@example.org", "name": "Ada"}
PRODUCT = {"_id": 1, "sku": "A-1", "title": "Lamp"}
ORDER = {"_id": 1, "customer_id": 1, "lines": [{"product_id": 1, "qty": 2}]}
