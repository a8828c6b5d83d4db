"""A filter that is none, such as the ``[]`` of a request's body, is refused and matches nothing."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pymongo import DeleteMany, DeleteOne, MongoClient, ReplaceOne, UpdateMany, UpdateOne

import integrity
from integrity import Model, Ref, Revision


class Shelf(Model, collection="shelves"):
    id: int
    room: str
    revision: Annotated[int, Revision()] = 0


class Book(Model, collection="books"):
    id: int
    shelf_id: Annotated[int, Ref(Shelf, on_delete="cascade")]


Shelves = integrity.Collection[Shelf]
SET = {"$set": {"room": "B"}}


@pytest.fixture
def shelves(client: MongoClient[dict[str, Any]], database_name: str) -> Iterator[Shelves]:
    db = integrity.Database(client[database_name], models=[Shelf, Book])
    db[Shelf].insert_many([{"_id": 1, "room": "A"}, {"_id": 2, "room": "A"}])
    db[Book].insert_one({"_id": 1, "shelf_id": 1})
    before = list(db[Shelf].find())
    yield db[Shelf]
    assert list(db[Shelf].find()) == before
    assert db[Book].count_documents({}) == 1


@pytest.mark.parametrize("given", [[], None, "", 0, [{"_id": 1}]])
@pytest.mark.parametrize(
    "call",
    [
        lambda shelves, given: shelves.delete_one(given),
        lambda shelves, given: shelves.delete_many(given),
        lambda shelves, given: shelves.find_one_and_delete(given),
        lambda shelves, given: shelves.plan_delete(given),
        lambda shelves, given: shelves.update_one(given, SET),
        lambda shelves, given: shelves.update_many(given, SET),
        lambda shelves, given: shelves.update_many(given, {"$rename": {"room": "revision"}}),
        lambda shelves, given: shelves.find_one_and_update(given, SET),
        lambda shelves, given: shelves.replace_one(given, {"room": "B"}),
        lambda shelves, given: shelves.find_one_and_replace(given, {"room": "B"}),
    ],
)
def test_it_is_refused_in_words(shelves: Shelves, call: Callable[[Shelves, Any], Any], given: Any) -> None:
    with pytest.raises(TypeError, match="A filter is a mapping, not "):
        call(shelves, given)


@pytest.mark.parametrize("kind", [DeleteOne, DeleteMany])
def test_a_bulk_with_one_sends_nothing(shelves: Shelves, kind: Any) -> None:
    with pytest.raises(TypeError, match="A filter is a mapping, not NoneType"):
        shelves.bulk_write([UpdateMany({}, SET), kind(None)])


@pytest.mark.parametrize("update", [{}, []])
def test_an_empty_update_is_refused_although_there_is_a_revision_to_count(shelves: Shelves, update: Any) -> None:
    for call in (shelves.update_one, shelves.update_many, shelves.find_one_and_update):
        with pytest.raises(ValueError, match="update cannot be empty"):
            call({"_id": 1}, update)
    with pytest.raises(ValueError, match="update cannot be empty"):
        shelves.bulk_write([UpdateOne({"_id": 2}, SET), UpdateOne({"_id": 1}, update)])


def test_a_bulk_of_replacements_with_one_sends_nothing(shelves: Shelves) -> None:
    with pytest.raises(TypeError, match="A filter is a mapping, not NoneType"):
        shelves.bulk_write([UpdateMany({}, SET), ReplaceOne(None, {"room": "B"})])  # type: ignore[arg-type]
