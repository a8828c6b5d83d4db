"""Replacements on a standalone server: a document may go on referring to what it refers to."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pymongo import MongoClient, ReplaceOne

import integrity
from integrity import Allow, DanglingReference, Model, Ref, TransactionRequired
from integrity.store.port import Filter
from integrity.writes.references import standing


class Country(Model, collection="countries"):
    id: str


class Town(Model, collection="towns"):
    id: int
    country: Annotated[str | None, Ref(Country)]
    twins: Annotated[list[Annotated[str, Ref(Country, on_delete="set_null")]], Allow([])]
    note: str = "a note"


@pytest.fixture
def raw(alone: MongoClient[dict[str, Any]], database_name: str) -> Iterator[Any]:
    yield alone[database_name]
    alone.drop_database(database_name)


@pytest.mark.parametrize("mode", ["auto", "optimistic", "pinned"])
def test_a_document_is_replaced_that_refers_to_what_it_referred_to(raw: Any, mode: Any) -> None:
    raw.countries.insert_many([{"_id": "fr"}, {"_id": "de"}])
    raw.towns.insert_one({"_id": 1, "country": "fr", "twins": ["de", "fr"], "note": "as it was"})
    towns = integrity.Database(raw, models=[Country, Town], references=mode)[Town]
    assert towns.replace_one({"_id": 1}, {"country": "fr", "twins": ["fr", "de"]}).modified_count == 1
    before = towns.find_one_and_replace({"_id": 1}, {"_id": 1, "country": "fr", "twins": ["de"]})
    assert before is not None
    assert before["twins"] == ["fr", "de"]
    result = towns.bulk_write([ReplaceOne({"_id": 1}, {"_id": 1, "country": None, "twins": [], "note": "y"})])
    assert result.modified_count == 1
    assert raw.towns.find_one() == {"_id": 1, "country": None, "twins": [], "note": "y"}
    with pytest.raises(TransactionRequired, match="towns"):
        towns.replace_one({"_id": 1}, {"country": "de", "twins": []})
    assert raw.towns.find_one() == {"_id": 1, "country": None, "twins": [], "note": "y"}
    assert towns.replace_one({"_id": 2}, {"country": "de", "twins": []}).matched_count == 0, "its _id is the filter's"


def test_what_another_reference_names_is_named_anew(raw: Any) -> None:
    """Who deletes "fr" has looked for countries and for twins, and found a twin."""
    raw.countries.insert_one({"_id": "fr"})
    raw.towns.insert_one({"_id": 1, "country": None, "twins": ["fr"], "note": "as it was"})
    towns = integrity.Database(raw, models=[Country, Town])[Town]
    with pytest.raises(TransactionRequired):
        towns.replace_one({"_id": 1}, {"country": "fr", "twins": ["fr"]})
    assert raw.towns.find_one()["note"] == "as it was"


def test_what_dangles_already_is_refused(raw: Any) -> None:
    raw.towns.insert_one({"_id": 1, "country": "xx", "twins": [], "note": "an orphan"})
    towns = integrity.Database(raw, models=[Country, Town])[Town]
    with pytest.raises(DanglingReference, match="xx"):
        towns.replace_one({"_id": 1}, {"country": "xx", "twins": []})
    assert raw.towns.find_one()["note"] == "an orphan"


def test_a_reference_that_differs_in_case_alone_is_another_one(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    raw.create_collection("towns", collation={"locale": "en", "strength": 2})
    raw.countries.insert_many([{"_id": "fr"}, {"_id": "FR"}])
    raw.towns.insert_one({"_id": 1, "country": "fr", "twins": ["fr"], "note": "as it was"})
    towns = integrity.Database(raw, models=[Country, Town])[Town]
    real = standing.conditions

    def meanwhile(*args: Any) -> list[Filter]:
        raw.towns.update_one({"_id": 1}, {"$set": {"country": "FR"}})
        return real(*args)

    monkeypatch.setattr(standing, "conditions", meanwhile)
    with pytest.raises(TransactionRequired):
        towns.replace_one({"_id": 1}, {"country": "fr", "twins": ["fr"]})
    assert raw.towns.find_one()["country"] == "FR"
