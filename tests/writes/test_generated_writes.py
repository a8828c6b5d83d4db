"""Every guarded write on the real server, generated: what is accepted is valid, what is refused changes nothing.

And what is accepted is what PyMongo does: the same update on a twin collection leaves the same documents and returns
the same counts.
"""

from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, Phase, assume, event, given, note, settings
from hypothesis import strategies as st
from pymongo import MongoClient, ReplaceOne, ReturnDocument, UpdateMany, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

import integrity
from integrity.declare.equality import same
from integrity.errors import IntegrityError
from integrity.store.codecs import CODEC
from integrity.writes.update_plan import plan_update
from tests.writes.declarations import Declared, Document, anything, clean, declarations, updates
from tests.writes.handles import opened

OPTIONS: CodecOptions[Document] = CodecOptions(**CODEC)
GENERATED = settings(
    max_examples=90,
    deadline=None,  # a real server on a busy machine
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)
FEWER = settings(GENERATED, max_examples=25)


@pytest.fixture
def raw(client: MongoClient[Document], database_name: str) -> Database[Document]:
    return client.get_database(database_name, codec_options=OPTIONS)


def guarded(raw: Database[Document], declared: Declared) -> Any:
    return integrity.Database(raw, models=[declared.model])[declared.model]


def fill(raw: Database[Document], documents: list[Document]) -> None:
    for name in ("generated", "twin"):
        raw[name].delete_many({})
        if documents:
            raw[name].insert_many([dict(each) for each in documents])


def raw_bytes(collection: Collection[Document]) -> list[bytes]:
    options = collection.codec_options.with_options(document_class=RawBSONDocument)
    return [each.raw for each in collection.with_options(codec_options=options).find().sort("_id")]


def counts(result: Any) -> Any:
    """What a result tells, whatever class it is of."""
    if result is None or isinstance(result, dict):
        return result
    names = ("matched_count", "modified_count", "upserted_id", "inserted_count", "deleted_count")
    return {name: getattr(result, name) for name in names if hasattr(result, name)}


def alike(first: list[Document], second: list[Document], ignored: set[str]) -> bool:
    def kept(documents: list[Document]) -> list[Document]:
        return [{name: each[name] for name in sorted(each) if name not in ignored} for each in documents]

    return same(kept(first), kept(second))


CALLS = ("update_one", "update_many", "find_one_and_update", "bulk one", "bulk many")
CONDITIONS: st.SearchStrategy[Document] = st.sampled_from(
    [{}, {"_id": 0}, {"_id": {"$gte": 1}}, {"_id": 99}, {"f0": {"$exists": True}}, {"ghost": 1}]
)


def call(collection: Any, method: str, condition: Document, update: Any, options: dict[str, Any]) -> Any:
    if method.startswith("bulk"):
        request: Any = UpdateOne if method == "bulk one" else UpdateMany
        return collection.bulk_write([request(condition, update, **options)])
    return getattr(collection, method)(condition, update, **options)


@GENERATED
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")  # of the undeclared path in a filter
def test_an_update_is_refused_without_a_trace_or_does_what_pymongo_does(
    raw: Database[Document], data: st.DataObject
) -> None:
    declared = data.draw(declarations())
    documents = data.draw(declared.documents())
    assume(not clean(declared.entry, documents))
    update, array_filters = data.draw(updates(declared))
    condition = data.draw(CONDITIONS)
    method = data.draw(st.sampled_from(CALLS))
    options: dict[str, Any] = {"array_filters": array_filters, "upsert": data.draw(st.integers(0, 4)) == 4}
    if method == "find_one_and_update":
        options["return_document"] = ReturnDocument.AFTER
    fill(raw, documents)
    before = raw_bytes(raw["generated"])
    try:
        result = call(guarded(raw, declared), method, condition, update, options)
    except (IntegrityError, OperationFailure) as error:
        event(f"refused: {type(error).__name__}")
        note(str(error))
        assert raw_bytes(raw["generated"]) == before
        return
    event("accepted" if raw_bytes(raw["generated"]) != before else "accepted, nothing changed")
    found = list(raw["generated"].find().sort("_id"))
    assert clean(declared.entry, found) == []
    plan = plan_update(declared.entry, update, filter=condition, array_filters=array_filters)
    expected = call(raw["twin"], method, condition, plan.update, options)
    dated = {each.path.split(".")[0] for each in plan.touched if each.operator == "$currentDate"}
    twin = list(raw["twin"].find().sort("_id"))
    if not getattr(expected, "upserted_id", None) and method != "find_one_and_update":
        assert counts(result) == counts(expected)
    if len(found) == len(documents):  # an upsert generates an _id of its own in each
        assert alike(found, twin, dated)


@GENERATED
@given(data=st.data())
def test_a_replacement_is_refused_without_a_trace_or_stored(raw: Database[Document], data: st.DataObject) -> None:
    declared = data.draw(declarations())
    documents = data.draw(declared.documents())
    assume(not clean(declared.entry, documents))
    replacement = {k: v for k, v in data.draw(declared.documents(1))[0].items() if k != "_id"}
    if data.draw(st.booleans()):
        replacement[data.draw(st.sampled_from([*declared.kinds, "ghost"]))] = data.draw(anything)
    method = data.draw(st.sampled_from(["replace_one", "find_one_and_replace", "bulk"]))
    condition = data.draw(st.sampled_from([{"_id": 0}, {}, {"_id": 99}]))
    fill(raw, documents)
    before = raw_bytes(raw["generated"])
    collection = guarded(raw, declared)
    try:
        if method == "bulk":
            collection.bulk_write([ReplaceOne(condition, replacement)])
        else:
            getattr(collection, method)(condition, replacement)
    except (IntegrityError, OperationFailure) as error:
        event(f"refused: {type(error).__name__}")
        assert raw_bytes(raw["generated"]) == before
        return
    event("accepted")
    found = list(raw["generated"].find().sort("_id"))
    assert clean(declared.entry, found) == []
    assert len(found) == len(documents)


@GENERATED
@given(data=st.data())
def test_inserts_are_refused_without_a_trace_or_stored(raw: Database[Document], data: st.DataObject) -> None:
    declared = data.draw(declarations())
    documents = data.draw(declared.documents())
    for each in documents:
        if data.draw(st.integers(0, 3)) == 3:
            each[data.draw(st.sampled_from([*declared.kinds, "ghost", "_id"]))] = data.draw(anything)
    ordered = data.draw(st.booleans())
    fill(raw, [])
    refused: list[int] = []
    try:
        guarded(raw, declared).insert_many(documents, ordered=ordered)
    except (IntegrityError, PyMongoError) as error:
        refused = [each["index"] for each in getattr(error, "details", {}).get("writeErrors", [])]
        note(str(error))
        assert refused, "each failing document is reported with its index"
    event("accepted" if not refused else "refused")
    found = list(raw["generated"].find())
    assert clean(declared.entry, found) == []
    stopped = min(refused, default=len(documents)) if ordered else len(documents)
    assert len(found) == len([index for index in range(stopped) if index not in refused])


@FEWER
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")  # of the undeclared path in a filter
@pytest.mark.parametrize("colour", ["async", "motor"])
async def test_the_asynchronous_clients_do_the_same(
    colour: str, uri: str, raw: Database[Document], data: st.DataObject
) -> None:
    declared = data.draw(declarations())
    documents = data.draw(declared.documents())
    assume(not clean(declared.entry, documents))
    update, array_filters = data.draw(updates(declared))
    method = data.draw(st.sampled_from(["update_one", "update_many"]))
    fill(raw, documents)
    before = raw_bytes(raw["generated"])
    async with opened(colour, uri, raw.name, models=[declared.model]) as db:
        try:
            await getattr(db[declared.model], method)({}, update, array_filters=array_filters)
        except (IntegrityError, OperationFailure):
            assert raw_bytes(raw["generated"]) == before
            return
    assert clean(declared.entry, list(raw["generated"].find())) == []
    plan = plan_update(declared.entry, update, filter={}, array_filters=array_filters)
    getattr(raw["twin"], method)({}, plan.update, array_filters=array_filters)
    dated = {each.path.split(".")[0] for each in plan.touched if each.operator == "$currentDate"}
    assert alike(list(raw["generated"].find().sort("_id")), list(raw["twin"].find().sort("_id")), dated)
