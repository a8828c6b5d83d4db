"""New ObjectIds, many at once, are what the driver's own are."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from bson import ObjectId
from pydantic import AfterValidator, Field, model_validator

from integrity import Model
from integrity.declare import object_ids as module
from integrity.declare.object_ids import object_ids
from integrity.declare.registry import Registry
from integrity.rules import judge as judges
from integrity.rules.judge import Judge


def test_they_are_ordered_among_the_drivers_own() -> None:
    found = [ObjectId(), *object_ids(3), ObjectId(), *object_ids(2), ObjectId()]
    counters = [int.from_bytes(each.binary[9:], "big") for each in found]
    assert [(each - counters[0]) % (1 << 24) for each in counters] == list(range(8))
    if counters == sorted(counters):
        assert found == sorted(found)
    assert len({each.binary[4:9] for each in found}) == 1
    assert abs(found[1].generation_time - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_the_counter_begins_again_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectId, "_inc", (1 << 24) - 2)
    found = object_ids(3)
    assert [each.binary[9:].hex() for each in found] == ["fffffe", "ffffff", "000000"]
    assert len({each.binary[4:9] for each in found}) == 1
    assert ObjectId().binary[9:].hex() == "000001"


def test_the_last_value_of_the_counter_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectId, "_inc", (1 << 24) - 2)
    assert [each.binary[9:].hex() for each in object_ids(2)] == ["fffffe", "ffffff"]
    assert ObjectId().binary[9:].hex() == "000000"


def test_threads_share_no_id() -> None:
    found: list[list[ObjectId]] = [[] for _ in range(8)]

    def take(mine: list[ObjectId]) -> None:
        for _ in range(200):
            mine.extend(object_ids(5))
            mine.append(ObjectId())

    threads = [threading.Thread(target=take, args=(each,)) for each in found]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len({one for each in found for one in each}) == 8 * 200 * 6


def test_another_process_has_others(monkeypatch: pytest.MonkeyPatch) -> None:
    (before,) = object_ids(1)
    monkeypatch.setattr(ObjectId, "_pid", -1)  # as the driver knows a fork by
    (after,) = object_ids(1)
    assert after.binary[4:9] != before.binary[4:9]


def test_a_driver_that_counts_otherwise_is_asked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ObjectId] = []

    def other() -> ObjectId:
        made.append(ObjectId())
        return made[-1]

    monkeypatch.setattr(module, "ObjectId", other)
    assert object_ids(3) == made
    assert len(made) == 3


class Open(Model, collection="open"):
    text: str


class Own(Model, collection="own"):
    id: ObjectId
    text: str


class Looked(Model, collection="looked"):
    text: str

    @model_validator(mode="before")
    @classmethod
    def give(cls, data: Any) -> Any:
        return data if "_id" in data else {**data, "_id": "mine"}


class Kept(Model, collection="kept"):
    text: str

    @model_validator(mode="after")
    def see(self) -> Kept:
        assert "id" not in self.model_fields_set
        return self


class Checked(Model, collection="checked"):
    id: Annotated[Any, AfterValidator(lambda value: value)] = Field(default_factory=ObjectId)
    text: str


class Otherwise(Model, collection="otherwise"):
    id: Any = Field(default_factory=uuid.uuid4)
    text: str


class Given(Model, collection="given"):
    id: int
    text: str


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[ObjectId]:
    """What was made at once."""
    made: list[ObjectId] = []

    def take(count: int) -> list[ObjectId]:
        found = object_ids(count)
        made.extend(found)
        return found

    monkeypatch.setattr(judges, "object_ids", take)
    return made


def clean(model: type[Model], *documents: Any) -> list[dict[str, Any]]:
    found = Judge(Registry([model]).entry(model)).clean(documents)
    assert found is not None
    return found


@pytest.mark.parametrize("model", [Open, Own])
def test_a_bulk_makes_them_at_once(model: type[Model], taken: list[ObjectId]) -> None:
    given = [{"text": "a"}, {"_id": ObjectId(), "text": "b"}, {"text": "c"}, model.model_validate({"text": "d"})]
    found = clean(model, *given)
    assert [each["_id"] for each in found[::2]] == taken
    assert found[1]["_id"] == given[1]["_id"]  # type: ignore[index]  # a dict
    assert [each["text"] for each in found] == ["a", "b", "c", "d"]
    assert given[0] == {"text": "a"}


@pytest.mark.parametrize("model", [Open, Own])
def test_it_is_what_one_alone_has(model: type[Model]) -> None:
    judge = Judge(Registry([model]).entry(model))
    made, alone = clean(model, {"text": "a"})[0], judge.glance({"text": "a"})
    assert alone is not None
    assert list(made) == list(alone)
    assert type(made["_id"]) is type(alone["_id"]) is ObjectId


@pytest.mark.parametrize("model", [Open, Own])
def test_one_that_is_given_by_its_name_in_python_stays(model: type[Model], taken: list[ObjectId]) -> None:
    mine = ObjectId()
    assert clean(model, {"id": mine, "text": "a"}) == [{"_id": mine, "text": "a"}]
    assert not taken


@pytest.mark.parametrize(
    ("model", "made"),
    [
        (Looked, lambda each: each == "mine"),
        (Kept, lambda each: type(each) is ObjectId),
        (Checked, lambda each: type(each) is ObjectId),
        (Otherwise, lambda each: type(each) is uuid.UUID),
    ],
)
def test_where_a_function_may_see_it_the_model_makes_its_own(
    model: type[Model], made: Callable[[Any], bool], taken: list[ObjectId]
) -> None:
    judge = Judge(Registry([model]).entry(model))
    found = judge.clean([{"text": "a"}]) or [judge.offered({"text": "a"}).document]
    assert made(found[0]["_id"])
    assert not taken


def test_none_is_made_for_a_model_that_demands_one(taken: list[ObjectId]) -> None:
    assert Judge(Registry([Given]).entry(Given)).clean([{"text": "a"}]) is None
    assert not taken
