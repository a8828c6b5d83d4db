"""The catalogue of bad writes: each is refused by its rule and leaves every byte as it was."""

from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import BulkWriteError, PyMongoError

from integrity.declare.registry import Registry
from integrity.errors import IntegrityError
from integrity.rules.judge import Judge
from tests.writes.catalogue import CATALOGUE, Bad
from tests.writes.catalogue.models import MODELS, start
from tests.writes.handles import COLOURS, opened

Document = dict[str, Any]
Bytes = dict[str, list[bytes]]


def stored(client: MongoClient[Any], name: str) -> Bytes:
    """Every byte of the declared collections."""
    options = client.codec_options.with_options(document_class=RawBSONDocument)
    database = client.get_database(name, codec_options=options)
    return {name: [each.raw for each in database[name].find().sort("_id")] for name in start()}


@pytest.fixture
def filled(client: MongoClient[Document], database_name: str) -> str:
    """A database with the documents that every entry starts from."""
    for collection, documents in start().items():
        client[database_name][collection].insert_many(documents)
    return database_name


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("bad", CATALOGUE, ids=str)
async def test_a_bad_write_is_refused_and_changes_no_byte(
    bad: Bad, colour: str, client: MongoClient[Document], uri: str, filled: str
) -> None:
    before = stored(client, filled)
    async with opened(colour, uri, filled, models=MODELS, actor=bad.actor) as db:
        with pytest.raises((IntegrityError, PyMongoError)) as refused:
            await getattr(db[bad.model], bad.method)(*bad.arguments, **bad.options)
    assert stored(client, filled) == before
    error = refused.value
    assert isinstance(error, IntegrityError), repr(error)
    if bad.expected[-1].isdigit():
        assert bad.expected in {each.code for each in error.violations}, str(error)
        assert all(each.message and each.hint for each in error.violations)
    else:
        assert type(error).__name__ == bad.expected
    if bad.method in {"bulk_write", "insert_many"}:
        assert isinstance(error, BulkWriteError)
        assert error.details["writeErrors"]


def test_the_documents_that_the_catalogue_starts_from_are_valid() -> None:
    registry = Registry(MODELS)
    for collection, documents in start().items():
        entry = registry.by_collection(collection)
        assert entry is not None
        assert [each for document in documents for each in Judge(entry).stored(document)] == []


def test_the_catalogue_has_enough_entries_and_none_twice() -> None:
    assert len(CATALOGUE) >= 60
    assert len({each.name for each in CATALOGUE}) == len(CATALOGUE)
    updates = [each.arguments[1] for each in CATALOGUE if each.method == "update_one"]
    operators = {name for each in updates if isinstance(each, dict) for name in each}
    assert {
        "$set", "$unset", "$inc", "$mul", "$min", "$max", "$rename", "$currentDate", "$setOnInsert", "$push",
        "$addToSet", "$pull", "$pullAll", "$pop", "$bit",
    } <= operators  # fmt: skip
