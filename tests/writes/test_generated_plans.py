"""A plan's word against the real server: generated models, valid documents, any update."""

from collections import Counter
from typing import Any

import pytest
from bson import encode
from bson.codec_options import CodecOptions
from hypothesis import HealthCheck, Phase, assume, event, given, note, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from integrity.declare.equality import same
from integrity.store.codecs import CODEC
from integrity.writes.update_plan import plan_update
from tests.writes.declarations import Document, clean, declarations, updates

UNUSED = {"$min", "$max", "$setOnInsert", "$push", "$addToSet", "$rename", "$pop", "$pull", "$pullAll"}
OPTIONS: CodecOptions[Document] = CodecOptions(**CODEC)
GENERATED = settings(
    max_examples=55,
    deadline=None,  # a real server on a busy machine
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)


@pytest.fixture
def raw(client: MongoClient[Document], database_name: str) -> Collection[Document]:
    return client.get_database(database_name, codec_options=OPTIONS)["generated"]


def outcome(raw: Collection[Document], documents: list[Document], update: Any, **options: Any) -> list[Document] | None:
    """What the server makes of documents, or None when it refuses."""
    raw.delete_many({})
    raw.insert_many(documents)
    try:
        raw.update_many({}, update, **options)
    except OperationFailure as error:
        note(f"the server refuses: {error}")
        return None
    return list(raw.find())


def ordered(value: Any) -> Any:
    """A value with the fields of every object in it in one order: the server applies an update's paths in its own."""
    if isinstance(value, dict):
        return {name: ordered(value[name]) for name in sorted(value)}
    return [ordered(each) for each in value] if isinstance(value, list) else value


@GENERATED
@given(data=st.data())
def test_what_a_plan_calls_proved_leaves_every_valid_document_valid(
    raw: Collection[Document], data: st.DataObject
) -> None:
    declared = data.draw(declarations())
    documents = data.draw(declared.documents())
    assume(not clean(declared.entry, documents))
    update, array_filters = data.draw(updates(declared))
    plan = plan_update(declared.entry, update, filter={}, array_filters=array_filters)
    event("refused" if plan.violations else "proved" if plan.proved else "not proved")
    assume(plan.proved)
    found = outcome(raw, documents, plan.update, array_filters=array_filters)
    event("the server refuses" if found is None else "stored")
    assert clean(declared.entry, found or []) == []


@settings(GENERATED, max_examples=50)  # most of what is drawn is not refused, and let go
@given(data=st.data())
def test_what_a_plan_refuses_would_have_been_wrong(raw: Collection[Document], data: st.DataObject) -> None:
    """Nothing is refused that the server would have done and the model would have accepted.

    Except for an operand that is itself invalid, where the server happens not to use it, and for slips of the pen that
    happen to change nothing: an array that is not declared, arithmetic on an _id.
    """
    declared = data.draw(declarations())
    documents = data.draw(declared.documents())
    assume(not clean(declared.entry, documents))
    update, array_filters = data.draw(updates(declared))
    plan = plan_update(declared.entry, update, filter={}, array_filters=array_filters)
    assume(plan.violations and not UNUSED & set(update) and "_id" not in [each.path for each in plan.violations])
    # Where $[] and $[x] stand for no element, the server does not use the operand, and does the rest of the update.
    assume(not all("$[" in each.path for each in plan.violations))
    try:
        encode(update)
    except Exception:  # noqa: BLE001 - BSON has no type for it: nothing could be stored
        assume(condition=False)
    found = outcome(raw, documents, update, array_filters=array_filters)
    if found is not None and found != documents:
        note(str(plan))
        assert clean(declared.entry, found) != []


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "_id": st.integers(100, 103),
        "f0": st.one_of(
            st.none(), st.integers(-2, 12), st.sampled_from(["a", "", {"$gt": 1}, {"$eq": 5}, {"$in": [1]}])
        ),
        "f1": st.sampled_from([1, "a", {"$ne": 3}, {"$exists": False}, [1], {"city": "a"}, 1.5]),
        "f1.city": st.sampled_from(["a", 5]),
        "$and": st.lists(st.fixed_dictionaries({"f2": st.integers(0, 3)}), min_size=1, max_size=2),
        "f3": st.sampled_from([{"$not": {"$eq": 2}}, {"$in": [1]}, {"$elemMatch": {"$gt": 1}}]),
    },
)


@GENERATED
@given(data=st.data())
def test_the_document_that_an_upsert_inserts_is_foretold(raw: Collection[Document], data: st.DataObject) -> None:
    declared = data.draw(declarations())
    update, array_filters = data.draw(updates(declared))
    condition = data.draw(FILTERS)
    plan = plan_update(declared.entry, update, filter=condition, array_filters=array_filters, upsert=True)
    event("exact" if plan.upsert_document is not None else "unclear")
    assume(plan.upsert_document is not None)
    raw.delete_many({})
    try:
        raw.update_one(condition, plan.update, array_filters=array_filters, upsert=True)
    except OperationFailure as error:
        event("the server refuses")
        note(str(error))
        return
    (found,) = raw.find()
    wrong = clean(declared.entry, [found])
    foretold = dict(plan.upsert_document or {})
    if "_id" not in foretold:
        foretold["_id"] = found["_id"]
    dated = {each.path.split(".")[0] for each in plan.touched if each.operator == "$currentDate"}
    assert set(found) == set(foretold)
    assert [
        name for name in found if name not in dated and not same(ordered(found[name]), ordered(foretold[name]))
    ] == []
    assert Counter(each.code for each in wrong) == Counter(each.code for each in plan.upsert_violations)
