"""A copy follows its owner also where nobody has named that: the reference is a default, or a validator's."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, Field
from pymongo import MongoClient

import integrity
from integrity import CopyOf, Model, Ref, derived
from integrity.embedded import Mongod


class Rate(Model, collection="rates"):
    id: int
    name: str


def number(value: Any) -> int:
    return int(str(value).removeprefix("rate "))


class Line(BaseModel):
    rate: Annotated[int, Ref(Rate)] = 1
    name: Annotated[str, CopyOf(Rate, "name", via="rate")]


class Bill(Model, collection="bills"):
    id: int
    lines: list[Line]


class Sale(Model, collection="sales"):
    id: int
    rate: Annotated[int, Ref(Rate)] = 1
    name: Annotated[str, CopyOf(Rate, "name", via="rate")]

    @derived
    def label(self) -> str:
        return f"{self.id}: {self.name}"


class Gift(Model, collection="gifts"):
    id: int
    rate: Annotated[int, Ref(Rate)] = Field(default_factory=lambda: 1)
    name: Annotated[str | None, CopyOf(Rate, "name", via="rate")] = None


class Loan(Model, collection="loans"):
    id: int
    rate: Annotated[int, BeforeValidator(number), Ref(Rate)]
    name: Annotated[str | None, CopyOf(Rate, "name", via="rate")] = None

    @derived
    def label(self) -> str:
        return f"{self.id}: {self.name}"


class Late(Model, collection="lates"):
    id: int
    rate: Annotated[int, Ref(Rate)] = Field(default_factory=lambda data: data["id"] * 0 + 1)
    name: Annotated[str | None, CopyOf(Rate, "name", via="rate")] = None


MODELS: list[type[Any]] = [Rate, Bill, Sale, Gift, Loan, Late]
OFFERED: list[tuple[Any, dict[str, Any]]] = [
    (Bill, {"lines": [{}, {"rate": 2}]}),
    (Sale, {}),
    (Gift, {}),
    (Loan, {"rate": "rate 1"}),
    (Late, {}),
]


@pytest.fixture(params=["mongod", "standalone"])
def db(request: pytest.FixtureRequest, database_name: str) -> Any:
    server: Mongod = request.getfixturevalue(request.param)
    with MongoClient[dict[str, Any]](server.uri) as client:
        made = integrity.Database(client[database_name], models=MODELS)
        made.apply()
        made[Rate].insert_many([{"_id": 1, "name": "full"}, {"_id": 2, "name": "half"}])
        yield made
        client.drop_database(database_name)


@pytest.mark.parametrize(("cls", "offered"), OFFERED)
def test_what_is_stored_is_filled(db: integrity.Database, cls: Any, offered: dict[str, Any]) -> None:
    db[cls].insert_one({"_id": 1, **offered})
    db[cls].insert_many([{"_id": 2, **offered}, {"_id": 3, **offered}])
    for found in db[cls].find():
        assert [each["name"] for each in found.get("lines", [found])] == ["full", "half"][
            : len(found.get("lines", "1"))
        ]
        assert found.get("label") in {None, f"{found['_id']}: full"}
    with db.audit() as result:
        assert list(result.violations) == []
        assert result.complete


@pytest.mark.parametrize(("cls", "offered"), OFFERED[1:])
def test_what_is_written_by_hand_is_refused(db: integrity.Database, cls: Any, offered: dict[str, Any]) -> None:
    with pytest.raises(integrity.InvalidDocument, match="OWN001 name: is 'mine'"):
        db[cls].insert_one({"_id": 1, **offered, "name": "mine"})
    assert db[cls].find_one() is None
