"""The catalogue's models for Beanie and MongoEngine, with every constraint that the mapper has a word for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import beanie
import mongoengine as me
import pymongo
from pydantic import BaseModel, ConfigDict, Field, model_validator

NAMES = ("Customer", "Product", "Order", "Booking", "Account")


class _Strict(beanie.Document):
    model_config = ConfigDict(extra="forbid")

    class Settings:
        validate_on_save = True


class BeanieLine(BaseModel):
    model_config = ConfigDict(extra="forbid")
    product_id: int
    qty: Annotated[int, Field(ge=1)]
    note: str | None = None


class BeanieAddress(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: str
    street: str | None = None


class BeanieCustomer(_Strict):
    id: int
    email: Annotated[str, Field(pattern="@")]
    name: Annotated[str, Field(min_length=2, max_length=20)]
    level: Literal["basic", "gold"] = "basic"
    born: dt.datetime | None = None

    class Settings(_Strict.Settings):
        name = "customers"
        indexes: ClassVar[list[Any]] = [
            pymongo.IndexModel("email", unique=True, collation=pymongo.collation.Collation("en", strength=2))
        ]


class BeanieProduct(_Strict):
    id: int
    sku: str
    name: str
    price: Annotated[Decimal, Field(gt=0)]
    stock: Annotated[int, Field(ge=0, le=1000)]
    weight: Annotated[float, Field(allow_inf_nan=False)]
    tags: Annotated[list[str], Field(min_length=1, max_length=3)]
    ratings: list[Annotated[int, Field(ge=1, le=5)]]
    attributes: dict[str, str] | None = None
    code: str = "-"

    class Settings(_Strict.Settings):
        name = "products"
        indexes: ClassVar[list[Any]] = [pymongo.IndexModel("sku", unique=True)]


class BeanieOrder(_Strict):
    id: int
    customer_id: int
    customer: str | None = None
    status: Literal["new", "paid", "sent"]
    lines: Annotated[list[BeanieLine], Field(min_length=1)]
    address: BeanieAddress
    billing: BeanieAddress | None = None

    class Settings(_Strict.Settings):
        name = "orders"


class BeanieBooking(_Strict):
    id: int
    room: str
    start: int
    end: int
    version: int = 0

    @model_validator(mode="after")
    def ends_after_its_start(self) -> BeanieBooking:
        if self.start >= self.end:
            raise ValueError("a booking ends after its start")
        return self

    class Settings(_Strict.Settings):
        name = "bookings"


class BeanieAccount(_Strict):
    id: int
    holder: str
    limit: int

    class Settings(_Strict.Settings):
        name = "accounts"


BEANIE: dict[str, type[beanie.Document]] = {
    "Customer": BeanieCustomer,
    "Product": BeanieProduct,
    "Order": BeanieOrder,
    "Booking": BeanieBooking,
    "Account": BeanieAccount,
}


class EngineLine(me.EmbeddedDocument):  # type: ignore[misc]  # MongoEngine is untyped
    product_id = me.IntField(required=True)
    qty = me.IntField(required=True, min_value=1)
    note = me.StringField()


class EngineAddress(me.EmbeddedDocument):  # type: ignore[misc]  # MongoEngine is untyped
    city = me.StringField(required=True)
    street = me.StringField()


class EngineCustomer(me.Document):  # type: ignore[misc]  # MongoEngine is untyped
    id = me.IntField(primary_key=True)
    email = me.StringField(required=True, regex="@")
    name = me.StringField(required=True, min_length=2, max_length=20)
    level = me.StringField(choices=("basic", "gold"), default="basic")
    born = me.DateTimeField()
    meta: ClassVar[dict[str, Any]] = {
        "collection": "customers",
        "indexes": [{"fields": ["email"], "unique": True, "collation": {"locale": "en", "strength": 2}}],
    }


class EngineProduct(me.Document):  # type: ignore[misc]  # MongoEngine is untyped
    id = me.IntField(primary_key=True)
    sku = me.StringField(required=True, unique=True)
    name = me.StringField(required=True)
    price = me.Decimal128Field(required=True, min_value=Decimal("0.01"))
    stock = me.IntField(required=True, min_value=0, max_value=1000)
    weight = me.FloatField(required=True)
    tags = me.ListField(me.StringField(), required=True, max_length=3)
    ratings = me.ListField(me.IntField(min_value=1, max_value=5))
    attributes = me.MapField(me.StringField())
    code = me.StringField(default="-")
    meta: ClassVar[dict[str, Any]] = {"collection": "products"}


class EngineOrder(me.Document):  # type: ignore[misc]  # MongoEngine is untyped
    id = me.IntField(primary_key=True)
    # The declared way to a reference; DENY stands for "restrict".
    customer_id = me.ReferenceField(EngineCustomer, required=True, dbref=False, reverse_delete_rule=me.DENY)
    customer = me.StringField()
    status = me.StringField(required=True, choices=("new", "paid", "sent"))
    lines = me.EmbeddedDocumentListField(EngineLine, required=True)
    address = me.EmbeddedDocumentField(EngineAddress, required=True)
    billing = me.EmbeddedDocumentField(EngineAddress)
    meta: ClassVar[dict[str, Any]] = {"collection": "orders"}


class EngineBooking(me.Document):  # type: ignore[misc]  # MongoEngine is untyped
    id = me.IntField(primary_key=True)
    room = me.StringField(required=True)
    start = me.IntField(required=True)
    end = me.IntField(required=True)
    version = me.IntField(default=0)
    meta: ClassVar[dict[str, Any]] = {"collection": "bookings"}

    def clean(self) -> None:
        if self.start >= self.end:
            raise me.ValidationError("a booking ends after its start")


class EngineAccount(me.Document):  # type: ignore[misc]  # MongoEngine is untyped
    id = me.IntField(primary_key=True)
    holder = me.StringField(required=True)
    limit = me.IntField(required=True)
    meta: ClassVar[dict[str, Any]] = {"collection": "accounts"}


ENGINE: dict[str, Any] = {
    "Customer": EngineCustomer,
    "Product": EngineProduct,
    "Order": EngineOrder,
    "Booking": EngineBooking,
    "Account": EngineAccount,
}
