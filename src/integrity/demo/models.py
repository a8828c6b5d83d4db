"""The declarations of a small shop: customers, products, orders with their items, reviews."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from integrity import CopyOf, Forbid, Immutable, Model, Ref, Unique


class Address(Model):
    """Embedded in a customer."""

    street: str
    city: str
    country: Literal["DE", "ES", "FR", "IT", "NL"]


class Customer(Model, collection="customers", owner="shop"):
    """Who buys."""

    id: int
    name: str
    email: Annotated[str, Unique(), Forbid("test@test.com")]
    phone: str | None = None
    address: Address
    interests: list[str] | None = None


class Product(Model, collection="products", owner="shop"):
    """What is sold."""

    id: Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{3}$")]
    name: str
    price: Annotated[Decimal, Field(gt=0)]
    weight: float
    stock: Annotated[int, Field(ge=0)]


class Item(Model):
    """Embedded in an order; the product's name is copied, never written by hand."""

    product_id: Annotated[str, Ref(Product)]
    name: Annotated[str, CopyOf(Product, "name", via="product_id")]
    quantity: Annotated[int, Field(gt=0)]


class Order(Model, collection="orders", owner="shop"):
    """What was bought."""

    id: int
    customer_id: Annotated[int, Ref(Customer)]
    placed: Annotated[datetime, Immutable()]
    shipped: datetime | None = None
    status: Literal["open", "paid", "shipped"]
    items: list[Item]

    @model_validator(mode="after")
    def shipped_after_it_was_placed(self) -> Self:
        """An order is not shipped before it is placed."""
        if self.shipped is not None and self.shipped < self.placed:
            raise ValueError("it is shipped before it is placed")
        return self


class Review(Model, collection="reviews", owner="community", constraints=[Unique("product_id", "customer_id")]):
    """What somebody thinks of it: one review of each product by each customer, written by a service of its own."""

    id: int
    product_id: Annotated[str, Ref(Product, on_delete="cascade")]
    # The shop before this one wrote the customer's number as a string: both are declared until it is repaired.
    customer_id: Annotated[int | str | None, Ref(Customer, on_delete="set_null")]
    stars: Annotated[int, Field(ge=1, le=5)]
    text: str | None = None


MODELS = (Customer, Product, Order, Review)
