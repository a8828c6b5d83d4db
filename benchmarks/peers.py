"""The models of the write benchmarks: ours, a plain pydantic one, Beanie's and MongoEngine's, field for field."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import beanie
import mongoengine as me
from bson import ObjectId
from pydantic import BaseModel, ConfigDict, Field

from integrity import Model

Document = dict[str, Any]


class Address(Model):
    street: str
    city: str
    zip: Annotated[str, Field(pattern=r"^\d{5}$")]


class Limits(Model):
    daily: Annotated[int, Field(ge=0)]
    monthly: Annotated[int, Field(ge=0)]


class Person(Model, collection="ours"):
    name: Annotated[str, Field(max_length=50)]
    email: Annotated[str, Field(pattern="@")]
    age: Annotated[int, Field(ge=0, le=150)]
    score: float
    active: bool
    created: dt.datetime
    address: Address
    limits: Limits


class PlainAddress(BaseModel):
    street: str
    city: str
    zip: Annotated[str, Field(pattern=r"^\d{5}$")]


class PlainLimits(BaseModel):
    daily: Annotated[int, Field(ge=0)]
    monthly: Annotated[int, Field(ge=0)]


class PlainPerson(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: Annotated[str, Field(max_length=50)]
    email: Annotated[str, Field(pattern="@")]
    age: Annotated[int, Field(ge=0, le=150)]
    score: float
    active: bool
    created: dt.datetime
    address: PlainAddress
    limits: PlainLimits


class BeaniePerson(beanie.Document):
    name: Annotated[str, Field(max_length=50)]
    email: Annotated[str, Field(pattern="@")]
    age: Annotated[int, Field(ge=0, le=150)]
    score: float
    active: bool
    created: dt.datetime
    address: PlainAddress
    limits: PlainLimits

    class Settings:
        name = "beanie"


class EngineAddress(me.EmbeddedDocument):  # type: ignore[misc]  # MongoEngine is untyped
    street = me.StringField(required=True)
    city = me.StringField(required=True)
    zip = me.StringField(required=True, regex=r"^\d{5}$")


class EngineLimits(me.EmbeddedDocument):  # type: ignore[misc]  # MongoEngine is untyped
    daily = me.IntField(required=True, min_value=0)
    monthly = me.IntField(required=True, min_value=0)


class EnginePerson(me.Document):  # type: ignore[misc]  # MongoEngine is untyped
    name = me.StringField(required=True, max_length=50)
    email = me.StringField(required=True, regex="@")
    age = me.IntField(required=True, min_value=0, max_value=150)
    score = me.FloatField(required=True)
    active = me.BooleanField(required=True)
    created = me.DateTimeField(required=True)
    address = me.EmbeddedDocumentField(EngineAddress, required=True)
    limits = me.EmbeddedDocumentField(EngineLimits, required=True)
    meta: ClassVar[dict[str, Any]] = {"collection": "engine", "auto_create_index": False}


def people(count: int) -> Iterator[Document]:
    """Valid documents: six fields and two sub-documents."""
    created = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC).replace(tzinfo=None)
    for number in range(count):
        yield {
            "name": f"Person {number}",
            "email": f"person{number}@example.org",
            "age": number % 90,
            "score": number * 0.25,
            "active": number % 2 == 0,
            "created": created,
            "address": {"street": f"Street {number % 100}", "city": "Bonn", "zip": "53111"},
            "limits": {"daily": number % 100, "monthly": 3000},
        }


def with_id(document: Document) -> Document:
    """The document with an ``_id``, as every contender generates one."""
    return {"_id": ObjectId(), **document}
