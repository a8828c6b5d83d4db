"""What an audit finds, and what it lets be, on a real server."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, encode
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pydantic import Field, field_validator, model_validator
from pymongo.database import Database

from integrity.audit import Options
from integrity.audit.since import parsed
from integrity.declare.constraint import Allow, CopyOf, Forbid, Ref, Unique
from integrity.declare.model import Model
from integrity.errors import AuditError
from integrity.store.blocking import BlockingStore
from tests.audit.conftest import Audit, audited


class Line(Model):
    sku: str
    qty: Annotated[int, Field(gt=0)]
    tags: list[str] | None = None


class Order(Model, collection="orders"):
    id: Any
    number: int
    price: Decimal | None = None
    at: dt.datetime | None = None
    note: Annotated[str | None, Allow("")] = None
    lines: list[Line] = Field(default=[], validate_default=False)
    grid: list[list[int]] | None = None


def test_a_clean_collection_is_clean(check: Audit, database: Database[dict[str, Any]]) -> None:
    database.orders.insert_many([
        {"_id": 1, "number": 1, "lines": [{"sku": "a", "qty": 1}], "grid": [[1], [2]]},
        {"_id": ObjectId(), "number": Int64(2), "price": Decimal128("1.5"), "at": DatetimeMS(10**15), "lines": None},
    ])  # fmt: skip
    database.orders.delete_one({"number": 2})
    found = check([Order])
    assert (found.complete, found.failure, found.places, found.scanned) == (True, None, [], {"orders": 1})


def test_an_empty_collection_is_clean(check: Audit) -> None:
    found = check([Order])
    assert (found.complete, found.places, found.documents) == (True, [], {"orders": 0})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, [("SCH002", "number")]),
        ({"number": None}, [("EMP004", "number")]),
        ({"number": 1.0}, [("SCH001", "number")]),
        ({"number": True}, [("SCH001", "number")]),
        ({"number": "1"}, [("SCH001", "number")]),
        ({"number": "\\N"}, [("FRB001", "number")]),
        ({"number": ""}, [("EMP001", "number")]),
        ({"number": float("nan")}, [("EMP005", "number")]),
        ({"number": [1]}, [("SCH001", "number")]),
        ({"number": []}, [("EMP003", "number")]),
        ({"number": {}}, [("EMP003", "number")]),
        ({"number": Decimal128("1")}, [("SCH001", "number")]),
        ({"number": 1, "price": 1.5}, [("SCH001", "price")]),
        ({"number": 1, "price": Decimal128("NaN")}, [("EMP005", "price")]),
        ({"number": 1, "at": "2026-01-01"}, [("SCH001", "at")]),
        ({"number": 1, "note": ""}, []),
        ({"number": 1, "note": "\u200b"}, [("EMP002", "note")]),
        ({"number": 1, "lines": []}, [("EMP003", "lines")]),
        ({"number": 1, "lines": {}}, [("EMP003", "lines")]),
        ({"number": 1, "lines": {"sku": "a", "qty": 1}}, [("SCH001", "lines")]),
        ({"number": 1, "lines": [5, None]}, [("EMP004", "lines.1"), ("SCH001", "lines.0")]),
        (
            {"number": 1, "lines": [{"sku": "ok", "qty": 1}, {"sku": " ", "qty": 0, "tags": ["x", "-", "y", ""]}]},
            [
                ("EMP001", "lines.1.tags.3"),
                ("EMP002", "lines.1.sku"),
                ("FRB001", "lines.1.tags.1"),
                ("SCH003", "lines.1.qty"),
            ],
        ),
        ({"number": 1, "lines": [[{"sku": "a", "qty": 1}]]}, [("SCH001", "lines.0")]),
        ({"number": 1, "lines": [{"sku": ["a"], "qty": [1]}]}, [("SCH001", "lines.0.qty"), ("SCH001", "lines.0.sku")]),
        ({"number": 1, "grid": [[1], [1, "x"], []]}, [("EMP003", "grid.2"), ("SCH001", "grid.1.1")]),
        ({"number": 1, "colour": 1, "lines": [{"sku": "a", "qty": 1, "q": 2}]},
         [("SCH004", "colour"), ("SCH004", "lines.0.q")]),
    ],
)  # fmt: skip
def test_every_fault_of_a_document_once(
    check: Audit, database: Database[dict[str, Any]], document: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    base: dict[str, Any] = {"lines": [{"sku": "a", "qty": 1}]} if "lines" not in document else {}
    database.orders.insert_one({"_id": 7, **base, **document})
    assert check([Order]).places == [(code, 7, path) for code, path in expected]


def test_ids_of_every_type_are_read_and_named(check: Audit, database: Database[dict[str, Any]]) -> None:
    ids = [
        1, Int64(2**40), 2.5, "one", "", ObjectId(), {"a": 1}, {"b": {"c": [1]}}, True, None,
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC), Decimal128("7.25"), b"bytes", Binary.from_uuid(uuid.uuid4()),
        DatetimeMS(10**15), float("nan"),
    ]  # fmt: skip
    for id_ in ids:
        database.orders.insert_one({"_id": id_, "number": "wrong"})
    found = check([Order])
    assert found.complete
    # The ids "" and NaN are faults of their own.
    assert found.counts == {"orders": {"SCH001": 16, "EMP001": 1, "EMP005": 1}}
    assert len({repr(each.id) for each in found.violations}) == len(ids)


def test_the_declared_path_counts_and_the_concrete_path_is_reported(
    check: Audit, database: Database[dict[str, Any]]
) -> None:
    database.orders.insert_one({"_id": 1, "number": 1, "lines": [{"sku": "", "qty": 1}, {"sku": "", "qty": 1}]})
    found = check([Order])
    assert found.paths == {"orders": {"EMP001 lines[].sku": 2}}
    assert [each.path for each in found.violations] == ["lines.0.sku", "lines.1.sku"]


def test_counts_are_never_capped(check: Audit, database: Database[dict[str, Any]]) -> None:
    database.orders.insert_many({"_id": i, "number": "x"} for i in range(3456))
    found = check([Order])
    assert found.counts == {"orders": {"SCH001": 3456}}
    assert len(found.violations) == 3456


class Judged(Model, collection="judged"):
    id: int
    even: int | None = None
    low: int | None = None
    high: int | None = None
    name: Annotated[str | None, Forbid("root", lambda value: str(value).startswith("~"))] = None
    either: int | str | None = None

    @field_validator("even")
    @classmethod
    def must_be_even(cls, value: int | None) -> int | None:
        if value is not None and value % 2:
            raise ValueError("odd")
        return value

    @model_validator(mode="after")
    def ordered(self) -> "Judged":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low above high")
        return self


def test_the_models_own_validators_judge_too(check: Audit, database: Database[dict[str, Any]]) -> None:
    database.judged.insert_many([
        {"_id": 1, "even": 3}, {"_id": 2, "low": 3, "high": 2}, {"_id": 3, "name": "root"}, {"_id": 4, "name": "~x"},
        {"_id": 5, "either": 1.5}, {"_id": 6, "either": "N/A"}, {"_id": 7, "even": 2, "low": 1, "high": 1},
    ])  # fmt: skip
    assert [(code, id_) for code, id_, _ in check([Judged]).places] == [
        ("FRB001", 6), ("FRB002", 3), ("FRB002", 4), ("SCH001", 5), ("SCH005", 1), ("SCH005", 2),
    ]  # fmt: skip


class Person(Model, collection="people"):
    id: int
    name: str
    code: Annotated[str | None, Unique()] = None
    home: Annotated[dict[str, Any] | None, Allow({})] = None


class Seat(Model):
    person: Annotated[int | None, Ref(Person)] = None
    name: Annotated[str | None, CopyOf(Person, "name", via="person")] = None


class Party(Model, collection="parties"):
    id: int
    host: Annotated[Any, Ref(Person)] = None
    guests: list[Annotated[Any, Ref(Person)]] | None = None
    code: Annotated[str | None, Ref(Person, field="code")] = None
    seat: Seat | None = None
    table: list[Seat] | None = None


def fill(database: Database[dict[str, Any]]) -> None:
    database.people.insert_many([{"_id": 1, "name": "Ann", "code": "A"}, {"_id": 2, "name": "Bob", "code": "B"}])


@pytest.mark.parametrize(
    ("party", "expected"),
    [
        ({"host": 1, "guests": [1, 2, 1]}, []),
        ({"host": None}, []),
        ({"host": 3}, [("REF001", "host")]),
        ({"host": "1"}, [("REF002", "host")]),
        ({"host": "9"}, [("REF001", "host")]),
        ({"host": 1.0}, []),
        ({"host": Int64(1)}, []),
        ({"host": True}, [("REF001", "host")]),
        ({"host": {"a": 1}}, [("REF001", "host")]),
        ({"host": [1]}, [("REF001", "host")]),
        ({"guests": [1, 7, "2", None]}, [("REF001", "guests.1"), ("REF002", "guests.2")]),
        ({"code": "A"}, []),
        ({"code": "a"}, [("REF001", "code")]),
        ({"code": "N/A"}, [("FRB001", "code")]),
        ({"seat": {"person": 1, "name": "Ann"}}, []),
        ({"seat": {"person": 1, "name": "Bob"}}, [("OWN001", "seat.name")]),
        ({"seat": {"person": 1}}, [("OWN001", "seat.name")]),
        ({"seat": {"person": 9, "name": "Zoe"}}, [("REF001", "seat.person")]),
        ({"seat": {"name": "Zoe"}}, []),
        (
            {"table": [{"person": 1, "name": "Ann"}, {"person": 2, "name": "Ann"}, {"person": 5, "name": "Eve"}]},
            [("OWN001", "table.1.name"), ("REF001", "table.2.person")],
        ),
    ],
)
def test_references_and_copies(
    check: Audit, database: Database[dict[str, Any]], party: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    fill(database)
    database.parties.insert_one({"_id": 1, **party})
    database.parties.insert_one({"_id": 2, "host": 1})
    found = check([Person, Party])
    assert found.complete
    assert found.places == [(code, 1, path) for code, path in expected]


class Account(Model, collection="accounts", constraints=[Unique("country", "number")]):
    id: Any
    mail: Annotated[str | None, Unique(case_insensitive=True)] = None
    vat: Annotated[str | None, Unique(nulls="equal")] = None
    country: str | None = None
    number: int | None = None
    phones: list[Annotated[str, Unique()]] | None = None


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([{"mail": "a@x"}, {"mail": "A@X"}, {"mail": "b@x"}], [(0, "mail"), (1, "mail")]),
        ([{"mail": "stra\u00dfe"}, {"mail": "STRASSE"}], []),
        ([{"mail": "stra\u00dfe"}, {"mail": "STRA\u00dfE"}, {"mail": "strasse"}], [(0, "mail"), (1, "mail")]),
        ([{"mail": "\uff21"}, {"mail": "a"}, {"mail": "b"}], [(0, "mail"), (1, "mail")]),
        ([{"mail": "\ufb01"}, {"mail": "FI"}, {"mail": "f i"}], [(0, "mail"), (1, "mail")]),
        ([{"mail": "a\u0001b"}, {"mail": "AB"}, {"mail": "ab"}], [(0, "mail"), (1, "mail"), (2, "mail")]),
        ([{"mail": "\u00e9"}, {"mail": "e\u0301"}, {"mail": "e"}], [(0, "mail"), (1, "mail")]),
        ([{"mail": "N/A"}, {"mail": "N/A"}], "FRB001"),
        ([{}, {}, {"mail": None}], []),
        ([{"vat": None}, {"vat": "x"}], []),
        ([{"country": "de", "number": 1}, {"country": "de", "number": 1}, {"country": "at", "number": 1}],
         [(0, "country, number"), (1, "country, number")]),
        ([{"country": "de", "number": Int64(1)}, {"country": "de", "number": 1}],
         [(0, "country, number"), (1, "country, number")]),
        ([{"country": "de"}, {"country": "de"}], []),
        ([{"phones": ["1", "2"]}, {"phones": ["3", "1"]}], [(0, "phones.0"), (1, "phones.1")]),
        ([{"phones": ["1", "1"]}], [(0, "phones.0"), (0, "phones.1")]),
    ],
)  # fmt: skip
def test_duplicates(
    check: Audit, database: Database[dict[str, Any]], documents: list[dict[str, Any]], expected: Any
) -> None:
    database.accounts.insert_many([{"_id": i, "vat": f"v{i}", **each} for i, each in enumerate(documents)])
    found = check([Account])
    assert found.complete
    if expected == "FRB001":
        assert set(found.codes) == {"FRB001"}
    else:
        assert found.places == [("UNQ001", id_, path) for id_, path in expected]


class Essay(Model, collection="essays"):
    id: int
    text: Annotated[str | None, Unique()] = None
    title: Annotated[str | None, Unique(case_insensitive=True)] = None
    query: Annotated[Any, Unique()] = None


def test_duplicates_of_what_fits_no_query_are_found(check: Audit, database: Database[dict[str, Any]]) -> None:
    """Together they are longer than a command may be; and what begins with a dollar cannot stand in every operator."""
    long = "x" * 2_900_000
    for n in range(12):
        database.essays.insert_one({"_id": n, "text": f"{n // 2}{long}"})
    for n in range(6):
        database.essays.insert_one({"_id": 20 + n, "title": f"{'éÉ'[n % 2]}{n // 2}{long}"})
    database.essays.insert_many([{"_id": 30 + n, "query": {"$gt": 1}} for n in range(2)])
    found = check([Essay])
    assert (found.complete, found.failure, found.codes) == (True, None, {"UNQ001": 20})


class Snippet(Model, collection="snippets"):
    id: int
    source: Annotated[Any, Unique(case_insensitive=True)] = None
    title: Annotated[str | None, Unique(case_insensitive=True)] = None


@pytest.mark.parametrize("options", [Options(), Options(since=parsed("0"))])
def test_code_is_no_text_whose_case_is_ignored(database: Database[dict[str, Any]], options: Options) -> None:
    """To Python a Code is a str, which has no hash."""
    sources = [Code("a"), Code("a"), Code("A"), Code("b", {"c": 1}), "a", "A", Code("ä")]
    database.snippets.insert_many({"_id": n, "source": each, "title": each} for n, each in enumerate(sources, 1))
    found = audited(BlockingStore(database), [Snippet], options)
    assert found.failure is None
    twice = [("UNQ001", n, "source") for n in (1, 2, 5, 6)] + [("UNQ001", n, "title") for n in (5, 6)]
    assert found.places == sorted(twice + [("SCH001", n, "title") for n in (1, 2, 3, 4, 7)], key=repr)


def test_nulls_may_be_equal(check: Audit, database: Database[dict[str, Any]]) -> None:
    database.accounts.insert_many([{"_id": 0, "vat": None}, {"_id": 1}, {"_id": 2, "vat": "x"}])
    assert check([Account]).places == [("UNQ001", 0, "vat"), ("UNQ001", 1, "vat")]


def test_a_collection_that_folds_case_hides_no_duplicate(check: Audit, database: Database[dict[str, Any]]) -> None:
    """The collection's own collation groups "a" with "A"; the declaration does not."""
    database.create_collection("people", collation={"locale": "en", "strength": 2})
    database.people.insert_many(
        [{"_id": i, "name": "x", "code": code} for i, code in enumerate(["a", "A", "A", "b", "B"])]
    )
    assert check([Person]).places == [("UNQ001", 1, "code"), ("UNQ001", 2, "code")]


def test_a_reference_into_a_collection_that_folds_case_is_exact(
    check: Audit, database: Database[dict[str, Any]]
) -> None:
    database.create_collection("people", collation={"locale": "en", "strength": 2})
    fill(database)
    database.parties.insert_many([{"_id": 1, "code": "a"}, {"_id": 2, "code": "A"}])
    assert check([Person, Party]).places == [("REF001", 1, "code")]


def test_select_and_ignore_narrow_what_is_reported(check: Audit, database: Database[dict[str, Any]]) -> None:
    database.orders.insert_many([{"_id": 1, "number": ""}, {"_id": 2, "number": "x"}, {"_id": 3}])
    assert set(check([Order]).codes) == {"EMP001", "SCH001", "SCH002"}
    assert set(check([Order], Options(select=("SCH",))).codes) == {"SCH001", "SCH002"}
    assert set(check([Order], Options(ignore=("SCH001",))).codes) == {"EMP001", "SCH002"}
    assert set(check([Order], Options(select=("SCH",), ignore=("SCH001",))).codes) == {"SCH002"}


def test_a_fault_that_is_not_selected_still_takes_precedence(check: Audit, database: Database[dict[str, Any]]) -> None:
    """A placeholder in a reference is no reference that dangles."""
    fill(database)
    database.parties.insert_many([{"_id": 1, "code": "N/A"}, {"_id": 2, "host": "N/A"}])
    assert check([Person, Party], Options(select=("REF",))).places == []


def test_an_unknown_code_or_collection_is_refused(check: Audit) -> None:
    with pytest.raises(AuditError, match="No rule has the code 'XYZ'"):
        Options(select=("XYZ",))
    with pytest.raises(AuditError, match="No model declares the collection 'nowhere'"):
        check([Order], Options(collections=("nowhere",)))


def test_one_collection_of_several(check: Audit, database: Database[dict[str, Any]]) -> None:
    fill(database)
    database.parties.insert_one({"_id": 1, "host": 9})
    database.people.insert_one({"_id": 3, "name": ""})
    found = check([Person, Party], Options(collections=("parties",)))
    assert found.places == [("REF001", 1, "host")]
    assert list(found.scanned) == ["parties"]


class Weighed(Model, collection="weighed"):
    id: int
    weight: Decimal128
    others: list[Decimal128] | None = None
    price: Decimal | None = None


@pytest.mark.parametrize("pushdown", [True, False])
def test_a_decimal128_that_is_no_number(check: Audit, database: Database[dict[str, Any]], pushdown: bool) -> None:
    weights = [Decimal128(each) for each in ("1", "NaN", "Infinity", "-Infinity", "9.99E+6144", "sNaN")]
    database.weighed.insert_many({"_id": at, "weight": each} for at, each in enumerate(weights))
    database.weighed.insert_one({"_id": 9, "weight": weights[0], "others": [weights[0], weights[1]]})
    expected = [("EMP005", each, "weight") for each in (1, 2, 3, 5)] + [("EMP005", 9, "others.1")]
    assert check([Weighed], Options(pushdown=pushdown)).places == expected


def test_a_string_that_is_no_utf8_where_a_decimal_is_declared(check: Audit, database: Database[dict[str, Any]]) -> None:
    raw = encode({"_id": 1, "weight": Decimal128("1"), "price": "a##"}).replace(b"##", b"\xff\xfe")
    database.weighed.insert_one(RawBSONDocument(raw))
    database.weighed.insert_one({"_id": 2, "weight": Decimal128("1"), "price": 5})
    found = check([Weighed])
    assert found.complete
    assert found.places == [("SCH001", 2, "price"), ("SCH003", 1, "price")]


class Noted(Model):
    text: str
    by: str | None = None


class Paper(Model, collection="papers"):
    id: int
    size: int
    title: str | None = None
    note: Noted | None = None


@pytest.mark.parametrize("pushdown", [True, False])
def test_a_name_that_is_there_twice_beside_all_others(
    check: Audit, database: Database[dict[str, Any]], pushdown: bool
) -> None:
    """Queries see the first of its values and the drivers the last; by their number such fields are suspects."""
    first = encode({"_id": 1, "size": 1, "title": "a", "note": None, "sizE": "x"}).replace(b"sizE", b"size")
    inner = {"_id": 2, "size": 1, "note": {"text": "a", "by": "b", "texT": 5}}
    database.papers.insert_many([RawBSONDocument(first), RawBSONDocument(encode(inner).replace(b"texT", b"text"))])
    database.papers.insert_one({"_id": 3, "size": 1, "title": "a", "note": {"text": "a", "by": "b"}})
    expected = [("SCH001", 1, "size"), ("SCH001", 2, "note.text")]
    assert check([Paper], Options(pushdown=pushdown)).places == expected
