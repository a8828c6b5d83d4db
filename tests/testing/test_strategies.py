"""The strategy draws what the model accepts, and the database in memory refuses what a server's would."""

import datetime as dt
import uuid
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Self

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, Field, HttpUrl, model_validator
from pymongo import MongoClient

import integrity
from integrity import Allow, CopyOf, DeclarationError, Model, Ref, Revision, Unique, derived
from integrity.testing import documents, memory


class Colour(Enum):
    RED = "red"
    BLUE = 2


class Branch(Model):
    name: str
    children: Annotated[list["Branch"], Allow([])] = Field(default_factory=list)


class Leaf(Model):
    kind: Literal["leaf"]
    size: Annotated[int, Field(ge=3, lt=9)]


class Fruit(Model):
    kind: Literal["fruit"]
    weight: Annotated[float, Field(gt=0, le=1)]


class Owner(Model, collection="owners"):
    id: int
    name: str


class Part(Model):
    owner: Annotated[int, Ref(Owner)]
    owner_name: Annotated[str, CopyOf(Owner, "name", via="owner")]


class Tree(Model, collection="trees"):
    code: Annotated[str, Field(pattern=r"^[a-z]{3}-\d+$")]
    short: Annotated[str, Field(min_length=2, max_length=5)]
    step: Annotated[int, Field(gt=0, multiple_of=5)]
    price: Annotated[Decimal, Field(max_digits=6, decimal_places=2, gt=0)]
    colour: Colour
    choice: Literal["a", 1]
    seen: AwareDatetime
    day: dt.date | None = None
    token: uuid.UUID
    pair: tuple[int, str]
    tags: set[int]
    counts: dict[str, int]
    anything: Any
    root: Branch
    end: Annotated[Leaf | Fruit, Field(discriminator="kind")]
    mixed: int | str | list[bool] | None
    parts: list[Part]
    revision: Annotated[int, Revision()] = 0
    low: int = 0
    high: int = 1

    @derived
    def label(self) -> str:
        return f"{self.code} {self.short}"

    @model_validator(mode="after")
    def in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is beyond high")
        return self


MODELS: list[type[Model]] = [Owner, Tree]
PARTS = st.lists(st.fixed_dictionaries({"owner": st.sampled_from([1, 2])}), min_size=1, max_size=3)


def test_what_is_drawn_is_accepted_by_the_guard_and_by_the_servers_validator(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    db.apply()
    db[Owner].insert_many([{"_id": 1, "name": "Ada"}, {"_id": 2, "name": "Bo"}])
    filled: set[str] = set()

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a loaded machine
    @given(documents(Tree, MODELS, parts=PARTS))
    def check(document: dict[str, Any]) -> None:
        assert isinstance(document["_id"], ObjectId)
        db[Tree].delete_many({})
        db[Tree].insert_one(document)
        (found,) = db[Tree].find(as_model=True)
        filled.update(each.owner_name for each in found.parts)

    check()
    assert filled == {"Ada", "Bo"}


@given(documents(Tree, MODELS, parts=PARTS))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_copies_are_left_to_the_library(document: dict[str, Any]) -> None:
    assert all(each.keys() == {"owner"} for each in document["parts"])


@given(documents(Owner, name="Ada"))
@settings(max_examples=20, deadline=None)
def test_a_field_holds_what_is_given(document: dict[str, Any]) -> None:
    assert document["name"] == "Ada"
    db = memory([Owner])
    db[Owner].insert_one(document)
    assert db[Owner].find_one({}) == document


def limited_by(declared: Any) -> type[Model]:
    class Limited(Model, collection="limited"):
        value: declared

    return Limited


@pytest.mark.parametrize(
    "declared",
    [
        Annotated[dt.datetime, Field(ge=dt.datetime(2024, 1, 1), lt=dt.datetime(2024, 1, 2))],  # noqa: DTZ001 - as PyMongo reads dates
        Annotated[AwareDatetime, Field(lt=dt.datetime(1960, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=9))))],
        Annotated[dt.date, Field(gt=dt.date(2150, 1, 1))],
        Annotated[Decimal, Field(multiple_of=0.25, gt=0)],
        Annotated[Decimal, Field(gt=Decimal("1e20"))],
        Annotated[Decimal, Field(lt=Decimal("-1e20"))],
        dict[Literal["a", "b"], int],
        dict[Annotated[str, Field(pattern="^k[0-9]$")], int],
        HttpUrl,
        list[Annotated[Literal["a", "b"], Unique()]],
        Annotated[int, Revision()],
    ],
    ids=str,
)
def test_what_is_drawn_keeps_within_the_limits(declared: Any) -> None:
    """They are drawn by, for a filter alone would hardly ever let something through."""
    limited = limited_by(declared)

    @given(documents(limited))
    @settings(max_examples=20, deadline=None)
    def check(document: dict[str, Any]) -> None:
        memory([limited])[limited].insert_one(document)

    check()


@pytest.mark.parametrize("declared", [Annotated[str, Field(pattern=r"^\p{L}+$")], Annotated[str, Field(max_length=0)]])
def test_what_no_strategy_can_draw_is_said(declared: Any) -> None:
    limited = limited_by(declared)
    with pytest.raises(DeclarationError, match=r"Limited.value: what it accepts is not known; give it a strategy"):
        documents(limited)


def test_what_cannot_be_drawn_is_said_with_the_way_out() -> None:
    class Endless(Model, collection="endless"):
        inner: "Inner"

    class Inner(Model):
        inner: "Inner"

    Endless.model_rebuild(_types_namespace={"Inner": Inner})
    with pytest.raises(DeclarationError, match=r"Endless.inner.* not known; give it a strategy: documents\(Endless, "):
        documents(Endless)
    with pytest.raises(DeclarationError, match="Owner has no field 'nmae'"):
        documents(Owner, nmae="Ada")


def test_a_database_in_memory_refuses_what_a_server_would() -> None:
    db = memory([Owner])
    with pytest.raises(integrity.InvalidDocument, match="EMP001"):
        db[Owner].insert_one({"_id": 1, "name": ""})
    assert db[Owner].count_documents({}) == 0
