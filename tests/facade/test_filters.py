"""Filters: equality for values from outside; a filter on what is not declared is a mistake that is seen."""

import warnings
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson import Decimal128, ObjectId
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field
from pymongo import DeleteMany, InsertOne, MongoClient, ReplaceOne, UpdateOne
from pymongo.errors import ServerSelectionTimeoutError

import integrity
from integrity import InvalidDocument, Model, Policy, UndeclaredFilter


class Address(Model):
    city: str


class Order(Model, collection="orders"):
    email: str
    status: str | None = None
    total: Annotated[Decimal | None, Field(gt=0)] = None
    address: Address | None = None
    tags: list[str] = Field(default_factory=lambda: ["none"])
    lines: list[Address] = Field(default_factory=lambda: [Address(city="x")])
    extra: dict[str, int] = Field(default_factory=lambda: {"a": 1})
    anything: Any = None


@pytest.fixture(scope="module")
def orders() -> integrity.Collection[Order]:
    client = MongoClient[dict[str, Any]](connect=False)
    return integrity.Database(client["none"], models=[Order])[Order]


def test_values_become_an_equality_and_nothing_else(orders: integrity.Collection[Order]) -> None:
    made = orders.by({"address.city": "Lyon"}, email="a@b.c", status=None, total="1.50")
    assert made == {
        "address.city": {"$eq": "Lyon"},
        "email": {"$eq": "a@b.c"},
        "status": {"$eq": None},
        "total": {"$eq": Decimal128("1.50")},
    }


def test_an_id_is_coerced_as_a_write_would(orders: integrity.Collection[Order]) -> None:
    key = ObjectId()
    assert orders.by(id=key) == {"_id": {"$eq": key}}


def test_an_array_is_matched_by_one_of_its_elements(orders: integrity.Collection[Order]) -> None:
    assert orders.by(tags="new") == {"tags": {"$eq": "new"}}
    assert orders.by({"lines.city": "Lyon"}) == {"lines.city": {"$eq": "Lyon"}}


def test_a_set_is_matched_as_the_array_that_it_is_stored_as(orders: integrity.Collection[Order]) -> None:
    assert orders.by(tags={"new"}) == {"tags": {"$eq": ["new"]}}


class Beside(Model, collection="beside"):
    words: Annotated[set[str], AfterValidator(lambda each, info: each if info.data else set())]


def test_what_only_other_fields_tell_is_matched_as_it_is_encoded() -> None:
    client = MongoClient[dict[str, Any]](connect=False)
    beside = integrity.Database(client["none"], models=[Beside])[Beside]
    assert beside.by(words={"b", "a"}) == {"words": {"$eq": ["a", "b"]}}
    with pytest.raises(InvalidDocument, match=r"SCH003 words: is .*BSON has no type for object"):
        beside.by(words=[object()])


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"email": {"$ne": None}}, "SCH001"),
        ({"email": {"$gt": ""}}, "SCH001"),
        ({"email": None}, "EMP004"),
        ({"email": ["a"]}, "SCH001"),
        ({"email": 5}, "SCH001"),
        ({"total": -1}, "SCH003"),
        ({"ghost": 1}, "SCH004"),
        ({"$where": "true"}, "SCH004"),
        ({"address.ghost": 1}, "SCH004"),
    ],
)
def test_what_is_no_value_of_the_field_is_an_error(
    orders: integrity.Collection[Order], values: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidDocument) as refused:
        orders.by(values)
    assert [each.code for each in refused.value.violations] == [code]


OPERATORS = st.sampled_from(["$ne", "$gt", "$in", "$regex", "$exists"])


@given(
    st.sampled_from(["email", "status", "tags", "anything", "total"]),
    st.dictionaries(OPERATORS, st.none() | st.text(), min_size=1),
)
def test_no_operator_out_of_a_request_is_ever_one(name: str, value: dict[str, Any]) -> None:
    orders = integrity.Database(MongoClient[dict[str, Any]](connect=False)["none"], models=[Order])[Order]
    try:
        made = orders.by({name: value})
    except InvalidDocument:
        return
    assert made == {name: {"$eq": value}}


def test_a_filter_on_what_is_not_declared_warns_and_names_what_is(orders: integrity.Collection[Order]) -> None:
    with pytest.warns(UndeclaredFilter, match="declares no 'emial'.*email"):
        orders.find({"$or": [{"status": "new"}, {"emial": "x"}]})
    with pytest.warns(UndeclaredFilter, match="its stored name is '_id'"):
        orders.find({"id": 5})


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("address.ctiy", "the fields of 'address' are city"),
        ("lines.ctiy", "the fields of 'lines' are city"),
        ("lines.0.ctiy", "the fields of 'lines.0' are city"),
        ("address.city.name", "the fields of 'address' are city"),
        ("email.x", "the fields are _id, "),
    ],
)
def test_of_a_path_below_a_field_what_stands_there_is_named(
    orders: integrity.Collection[Order], path: str, told: str
) -> None:
    with pytest.warns(UndeclaredFilter, match=f"declares no '{path}'.*{told}"):
        orders.find({path: 1})


def test_a_filter_on_what_is_declared_does_not(orders: integrity.Collection[Order]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in ("_id", "email", "address.city", "lines.city", "lines.0.city", "tags.3", "extra.k", "anything.x"):
            orders.find({path: 1})
        orders.find({"$expr": {"$gt": ["$a", 1]}, "$comment": "x"})


@pytest.mark.parametrize(
    ("update", "array_filter", "told"),
    [
        (
            {"$set": {"lines.$[x].city": "Lyon"}},
            {"x.ctiy": "Bonn"},
            "declares no 'lines.ctiy'.*the array filter 'x.ctiy'",
        ),
        ({"$unset": {"lines.$[x].city": ""}}, {"$or": [{"x.city": 1}, {"x.b": 2}]}, "the array filter 'x.b'"),
        ({"$set": {"lines.$[x].city": "Lyon"}}, {"$and": [{"x.city": {"$ne": "Bonn"}}]}, None),
        ({"$set": {"tags.$[x]": "new"}}, {"x": "old"}, None),
        ({"$set": {"anything.$[x].a": 1}}, {"x.b": 1}, None),
        ({"$set": {"email": "x"}}, {"x.b": 1}, None),  # the server refuses what no path names
    ],
)
def test_array_filters_are_looked_at_as_filters_are(
    update: dict[str, Any], array_filter: dict[str, Any], told: str | None
) -> None:
    with MongoClient[dict[str, Any]]("127.0.0.1", 1, serverSelectionTimeoutMS=1) as client:  # nobody is there
        strict = integrity.Database(client["none"], models=[Order], policy=Policy(undeclared_filters="refuse"))[Order]
        for write in (
            lambda: strict.update_many({}, update, array_filters=[array_filter]),
            lambda: strict.find_one_and_update({}, update, array_filters=[array_filter]),
            lambda: strict.bulk_write([UpdateOne({}, update, array_filters=[array_filter])]),
        ):
            with pytest.raises(UndeclaredFilter if told else ServerSelectionTimeoutError, match=told or "refused"):
                write()


def test_a_policy_turns_the_warning_into_an_error_or_off() -> None:
    client = MongoClient[dict[str, Any]](connect=False)
    strict = integrity.Database(client["none"], models=[Order], policy=Policy(undeclared_filters="refuse"))[Order]
    with pytest.raises(UndeclaredFilter):
        strict.delete_many({"emial": "x"})
    wrong = {"emial": "x"}
    requests: list[Any] = [DeleteMany(wrong), ReplaceOne(wrong, {}), UpdateOne(wrong, {"$set": {}})]
    for request in requests:
        with pytest.raises(UndeclaredFilter):
            strict.bulk_write([InsertOne({}), request])
    silent = integrity.Database(client["none"], models=[Order], policy=Policy(undeclared_filters="ignore"))[Order]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silent.find({"emial": "x"})
