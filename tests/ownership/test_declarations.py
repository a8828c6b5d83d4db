"""What declarations may say of owners and copies."""

from typing import Annotated, Any

import pytest
from pymongo import MongoClient

import integrity
from integrity import CopyOf, DeclarationError, Immutable, InvalidDocument, Model, Owner, Ref
from integrity.declare.registry import Registry


class Target(Model, collection="targets"):
    id: int
    name: str
    next: Annotated[int | None, Ref("Target", on_delete="set_null")] = None


def test_a_copy_that_could_not_follow_is_refused_when_it_is_declared() -> None:
    class Frozen(Model, collection="frozen"):
        id: int
        target: Annotated[int, Ref(Target)]
        name: Annotated[str, CopyOf(Target, "name", via="target"), Immutable()]

    class Nulled(Model, collection="nulled"):
        id: int
        target: Annotated[int, Ref(Target)]
        next: Annotated[int | None, CopyOf(Target, "next", via="target")]

    with pytest.raises(DeclarationError, match="a copy changes with its owner"):
        Registry([Target, Frozen])
    with pytest.raises(DeclarationError, match="would change without its owner being written"):
        Registry([Target, Nulled])


class Fare(Model, collection="fares", owner="schedules"):
    id: int
    price: Annotated[float, Owner("pricing")]


def test_a_required_field_of_another_owner_is_warned_of_and_refused_with_the_way_out(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    db = integrity.Database(client[database_name], models=[Fare], actor="schedules")
    (caution,) = db.check()
    assert (caution.name, caution.subject) == ("required-and-owned-by-another", "Fare.price")
    with pytest.raises(InvalidDocument, match="It belongs to 'pricing': declare a default") as caught:
        db[Fare].insert_one({"_id": 1})
    assert [each.code for each in caught.value.violations] == ["SCH002"]
    db.acting_as("*")[Fare].insert_one({"_id": 1, "price": 1.5})
