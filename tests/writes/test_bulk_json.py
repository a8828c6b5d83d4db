"""A bulk with refused rows, as an API answers it: each violation says which row it is of."""

import pickle
from typing import Annotated, Any

import pytest
from pymongo import MongoClient

import integrity
from integrity import InvalidBulkWrite, Model, Ref, Unique


class Part(Model, collection="parts"):
    id: int
    code: Annotated[str, Unique()]


class Key(Model):
    part_id: Annotated[int, Ref(Part)]
    place: str


class Use(Model, collection="uses"):
    id: Key


def test_each_violation_names_its_request_also_redacted(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    parts = integrity.Database(client[database_name], models=[Part])[Part]
    rows: list[Any] = [{"code": "A"}, {"_id": 1, "code": "A"}, {"_id": 2, "code": "A"}, {"_id": 3, "code": ""}]
    with pytest.raises(InvalidBulkWrite) as refused:
        parts.insert_many(rows, ordered=False)
    assert refused.value.indexes == (0, 2, 3)
    assert "\n  request 2: UNQ001 code: is 'A', which is taken" in str(refused.value)
    hidden = pickle.loads(pickle.dumps(refused.value.redacted()))  # noqa: S301 - our own
    for error in (refused.value, hidden):
        assert str(error).startswith("3 refused (request 0, 2, 3)\n")
        found = error.to_json()["violations"]
        assert [(each["index"], each["code"], each["path"]) for each in found] == [
            (0, "SCH002", "_id"),
            (2, "UNQ001", "code"),
            (3, "EMP001", "code"),
        ]
    assert "'A'" not in str(hidden)


def test_a_refused_delete_names_compound_keys_whole_and_counts_when_redacted(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    db = integrity.Database(client[database_name], models=[Part, Use])
    db[Part].insert_one({"_id": 1, "code": "A"})
    db[Use].insert_one({"_id": {"part_id": 1, "place": "in the cellar, behind the third door, at the left"}})
    named = "{'part_id': 1, 'place': 'in the cellar, behind the third door, at the left'}"
    assert named in str(db[Part].plan_delete({"_id": 1}))
    with pytest.raises(integrity.RestrictedDelete) as refused:
        db[Part].delete_one({"_id": 1})
    assert named in str(refused.value)
    assert "is referred to by 1 document of uses._id.part_id" in str(refused.value.redacted())
