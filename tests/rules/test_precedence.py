"""One value at one path is reported once, under the first that applies; all faults of a document at once."""

# ruff: noqa: DTZ001 - stored dates are read without a zone, and are UTC
import datetime as dt
import re
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from integrity.declare.constraint import Allow, Forbid
from integrity.declare.misfit import _refusal
from integrity.declare.model import Model
from integrity.declare.node import Node
from integrity.declare.policy import DEFAULT, PLACEHOLDERS, Policy
from integrity.rules.judge import policy_fault
from tests.declare.models import of_field

ABSENT = object()


def found(annotation: Any, value: Any, **keywords: Any) -> list[tuple[str, str]]:
    stored = {"_id": 1} if value is ABSENT else {"_id": 1, "f": value}
    return [(each.code, each.path) for each in of_field(annotation, **keywords).stored(stored)]


def code(annotation: Any, value: Any, **keywords: Any) -> str | None:
    """The one code that is reported at ``f``; None when the value is clean."""
    each = found(annotation, value, **keywords)
    assert len(each) <= 1, each
    assert all(path == "f" for _, path in each)
    return each[0][0] if each else None


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        # An int is int or long, and nothing else that Python calls a number.
        (int, 5, None), (int, Int64(5), None), (int, 5.0, "SCH001"), (int, True, "SCH001"), (int, "5", "SCH001"),
        (int, Decimal128("5"), "SCH001"),
        # A float is double, int or long.
        (float, 5.5, None), (float, 5, None), (float, Int64(5), None), (float, True, "SCH001"),
        (float, Decimal128("5"), "SCH001"),
        # The others are one BSON type each.
        (Decimal, Decimal128("5"), None), (Decimal, 5, "SCH001"), (Decimal, 5.5, "SCH001"), (Decimal, "5", "SCH001"),
        (bool, True, None), (bool, 1, "SCH001"), (str, "a", None), (str, 5, "SCH001"), (str, b"a", "SCH001"),
        (str, ObjectId(), "SCH001"), (ObjectId, "0123456789abcdef01234567", "SCH001"),
        (dt.datetime, dt.datetime(2026, 1, 1), None), (dt.datetime, "2026-01-01", "SCH001"),
        (dt.datetime, 5, "SCH001"), (dt.date, dt.datetime(2026, 1, 1), None),
        (dt.date, dt.datetime(2026, 1, 1, 1), "SCH003"),
        (uuid.UUID, uuid.UUID(int=1), None), (uuid.UUID, str(uuid.UUID(int=1)), "SCH001"),
        (uuid.UUID, b"1234567890123456", "SCH001"), (bytes, b"", None), (bytes, uuid.UUID(int=1), None),
        (bytes, "a", "SCH001"), (Literal[1], 1, None), (Literal[1], True, "SCH001"), (Literal[1], 1.0, "SCH001"),
        (Literal[1], 2, "SCH003"), (Literal[True], 1, "SCH001"), (Literal["a"], "b", "SCH003"),
        # Arrays where scalars are declared, and the other way about.
        (int, [5], "SCH001"), (str, ["a"], "SCH001"), (str, {"a": 1}, "SCH001"), (list[int], 5, "SCH001"),
        (list[int], {"0": 5}, "SCH001"), (dict[str, int], [5], "SCH001"), (dict[str, int], "a", "SCH001"),
        # What the policy refuses comes before the type.
        (int, "", "EMP001"), (int, " ", "EMP002"), (int, "\\N", "FRB001"), (int, [], "EMP003"), (str, {}, "EMP003"),
        (int, float("nan"), "EMP005"), (str, float("inf"), "EMP005"), (int, Decimal128("NaN"), "EMP005"),
        (Decimal, Decimal128("-Infinity"), "EMP005"), (Decimal128, Decimal128("5"), None),
        (Decimal128, Decimal128("NaN"), "EMP005"), (Decimal128 | None, Decimal128("Infinity"), "EMP005"),
        (int, None, "EMP004"), (list[int], None, "EMP004"),
        (int, ABSENT, "SCH002"), (int | None, None, None), (int | None, ABSENT, "SCH002"),
        (Annotated[str, Field(min_length=2)], "", "EMP001"), (Annotated[str, Field(min_length=2)], "a", "SCH003"),
        (Annotated[list[int], Field(min_length=2)], [], "EMP003"),
        (Annotated[list[int], Field(min_length=2)], [1], "SCH003"),
        # Placeholders are exact, whole and case-sensitive.
        *((str, each, "FRB001") for each in sorted(PLACEHOLDERS)),
        *((str, each, None) for each in ("Null", "none", "NONE", "N/A ", " -", "n.a.", "NAN", "Undefined", "null?")),
        # A string without a visible character is empty, whatever it consists of.
        *((str, each, "EMP002") for each in (
            " ", "\t", "\u00a0", "\u200b", "\ufeff", "\u3164", "\uffa0", "\u115f\u1160", "\u2800", "\u00ad", "\u2028",
            "\x00", "\u034f", "\ufe0f", "\U000e0100", "\u200d", "\u061c", "\U000e0041", "\x7f", "\u180e",
            "\u0301", "\u0903 \u0301", "\u20dd",
        )),
        *((str, each, None) for each in (
            "a\u0301", "\u0301a", "a\u200b", "\u200b.", "\U0001f468\u200d\U0001f469", "\u0378", "\ue000",
        )),
    ],
)  # fmt: skip
def test_a_stored_value_is_judged_strictly_and_once(annotation: Any, value: Any, expected: str | None) -> None:
    assert code(annotation, value) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Annotated[str, Allow("")], "", None),
        (Annotated[str, Allow("")], " ", "EMP002"),
        (Annotated[str, Allow("-")], "-", None),
        (Annotated[str | None, Allow("")], "", None),
        (Annotated[str, Allow("")] | None, "", None),
        (Annotated[str, Allow(""), Field(min_length=1)], "", "SCH003"),
        (Annotated[float, Allow(float("nan"))], float("nan"), None),
        (Annotated[float, Allow(float("nan"))], float("inf"), "EMP005"),
        (Annotated[float, Field(allow_inf_nan=True)], float("nan"), None),
        (Annotated[Decimal, Allow(Decimal("NaN")), Field(allow_inf_nan=True)], Decimal128("NaN"), None),
        (Annotated[list[str], Allow([])], [], None),
        (Annotated[dict[str, int], Allow({})], {}, None),
        (Annotated[str, Forbid("root")], "root", "FRB002"),
        (Annotated[str, Forbid("root")], "Root", None),
        (Annotated[str, Forbid(re.compile("^x"))], "xy", "FRB002"),
        (Annotated[str, Forbid(str.isupper)], "AB", "FRB002"),
        (Annotated[str, Forbid("")], "", "EMP001"),
        (Annotated[str, Allow(""), Forbid("")], "", "FRB002"),
        (Annotated[int, Forbid(0)], 0, "FRB002"),
        (Annotated[int, Forbid(1)], True, "SCH001"),
        (Annotated[list[int], Forbid(lambda each: len(each) > 1)], [1, 2], "FRB002"),
        (Literal["", "N/A"], "", None),
        (Literal["", "N/A"], "N/A", None),
        (Literal["", "N/A"], "null", "FRB001"),
    ],
)  # fmt: skip
def test_allow_forbid_and_choices_say_what_the_policy_lets_through(
    annotation: Any, value: Any, expected: str | None
) -> None:
    assert code(annotation, value) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (list[Annotated[str, Allow("")]], ["", "-", "a"], [("FRB001", "f.1")]),
        (dict[str, Annotated[str, Allow("")]], {"a": "", "b": "-"}, [("FRB001", "f.b")]),
        (list[Annotated[int, Forbid(3)]], [1, 3], [("FRB002", "f.1")]),
        (list[list[int]], [[1, "a"], [], None, 3],
         [("SCH001", "f.0.1"), ("EMP003", "f.1"), ("EMP004", "f.2"), ("SCH001", "f.3")]),
        (list[Any], ["", None, [[]], 3], [("EMP001", "f.0")]),
        (dict[str, dict[str, int]], {"a": {"b": "x"}, "c": {}}, [("SCH001", "f.a.b"), ("EMP003", "f.c")]),
        (tuple[int, str], [1, "a", 3], [("SCH003", "f")]),
        (tuple[int, str], ["a", ""], [("SCH001", "f.0"), ("EMP001", "f.1")]),
        (tuple[Any, Any], ["", 1], [("EMP001", "f.0")]),
        (tuple[Any, ...], [1, ""], [("EMP001", "f.1")]),
        (tuple[Annotated[int, Field(gt=0)], int], [-1], [("SCH003", "f"), ("SCH003", "f.0")]),
        (tuple[Annotated[int, Field(gt=0)], int], [-1, 1, 1], [("SCH003", "f"), ("SCH003", "f.0")]),
        (set[int], [1, "a"], [("SCH001", "f.1")]),
        (Annotated[list[Annotated[int, Field(gt=0)]], Field(max_length=2)], [-1, "a", 3],
         [("SCH003", "f"), ("SCH003", "f.0"), ("SCH001", "f.1")]),
        (list[int | str], [1, "a", 2.5, ""], [("SCH001", "f.2"), ("EMP001", "f.3")]),
    ],
)  # fmt: skip
def test_elements_and_values_are_judged_where_they_stand(
    annotation: Any, value: Any, expected: list[tuple[str, str]]
) -> None:
    assert sorted(found(annotation, value)) == sorted(expected)


class Item(Model):
    sku: str
    qty: Annotated[int, Field(gt=0)]


class Basket(Model, collection="baskets", policy=Policy(allow_empty_strings=True)):
    id: int
    note: str
    items: list[Item]
    by_name: dict[str, Item]


def test_every_fault_is_reported_at_once_with_its_path_and_its_declared_path() -> None:
    from integrity.declare.registry import Registry  # noqa: PLC0415 - only here
    from integrity.rules.judge import Judge  # noqa: PLC0415 - only here

    judge = Judge(Registry([Basket]).entry(Basket))
    document = {
        "_id": 7,
        "note": "",
        "items": [{"sku": "a", "qty": 1}, {"sku": " ", "qty": 0, "zz": 1}, 5, {"qty": 1.0}],
        "by_name": {"x": {"sku": "N/A", "qty": "1"}},
        "total": 3,
    }
    violations = judge.stored(document)
    assert {(each.code, each.path, each.field) for each in violations} == {
        ("EMP002", "items.1.sku", "items[].sku"),
        ("SCH003", "items.1.qty", "items[].qty"),
        ("SCH004", "items.1.zz", "items[].zz"),
        ("SCH001", "items.2", "items[]"),
        ("SCH002", "items.3.sku", "items[].sku"),
        ("SCH001", "items.3.qty", "items[].qty"),
        ("FRB001", "by_name.x.sku", "by_name.*.sku"),
        ("SCH001", "by_name.x.qty", "by_name.*.qty"),
        ("SCH004", "total", "total"),
    }
    assert {(each.collection, each.id) for each in violations} == {("baskets", 7)}
    assert len(violations) == 9


def test_a_large_document_is_judged_whole() -> None:
    stored = {"_id": 1, "f": [{"sku": "a", "qty": 1}] * 20_000 + [{"sku": "a", "qty": 0}]}
    (violation,) = of_field(list[Item]).stored(stored)
    assert (violation.code, violation.path) == ("SCH003", "f.20000.qty")


def test_an_embedded_model_may_have_a_policy_of_its_own() -> None:
    lenient = type("Lenient", (Model,), {"__annotations__": {"s": str}, "__module__": __name__}, policy=Policy(
        allow_empty_strings=True, placeholders=frozenset({"x"}),
    ))  # fmt: skip
    assert found(lenient, {"s": ""}) == []
    assert found(lenient, {"s": "N/A"}) == []
    assert found(lenient, {"s": "x"}) == [("FRB001", "f.s")]


CONTROLS = Policy(allow_control_characters=False)


@pytest.mark.parametrize(("text", "expected"), [("a\tb\r\n", None), ("a\x00", "FRB003"), ("a\u0378", "FRB003"),
                                                ("é\u200d", None), ("東京", None), ("a\x85", "FRB003")])  # fmt: skip
def test_control_characters_are_refused_where_the_policy_says_so(text: str, expected: str | None) -> None:
    assert code(str, text) is None
    assert code(str, text, policy=CONTROLS) == expected


POLICIES = st.builds(
    Policy,
    placeholders=st.frozensets(st.sampled_from(["", "a", "ab", "abc", "b", "é", "[x]", "\\", "^", "-"]), max_size=6),
    allow_empty_strings=st.booleans(),
    allow_white_space=st.booleans(),
    allow_control_characters=st.booleans(),
)
TEXTS = st.one_of(st.text(max_size=4), st.text("abcé[x]\\^- \u200b\x00", max_size=4))


@given(POLICIES, TEXTS)
def test_any_policy_is_the_same_in_rust_as_in_python(policy: Policy, text: str) -> None:
    judge = of_field(str, policy=policy)
    wanted = policy_fault(text, Node(scalars=frozenset({"string"})), policy)
    for violations in (judge.stored({"_id": 1, "f": text}), judge.offered({"_id": 1, "f": text}).violations):
        assert [each.code for each in violations] == ([wanted[0].code] if wanted else [])


@given(st.one_of(TEXTS, st.sampled_from(sorted(PLACEHOLDERS)), st.floats(), st.integers(), st.decimals().map(str)))
def test_a_default_is_refused_exactly_where_the_rules_refuse_the_value(value: Any) -> None:
    node = Node(scalars=frozenset({"string", "double", "int"}))
    assert (_refusal(value, node, DEFAULT) is None) is (policy_fault(value, node, DEFAULT) is None)
