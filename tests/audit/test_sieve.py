"""The columns find every document with a fault: declaration by declaration, whatever is stored there.

They may find others, which Python then finds clean. Of what programs store they find none that is clean: each such
document is decoded for nothing.
"""

import datetime as dt
import enum
import random
import re
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, Optional

import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BeforeValidator, Field, RootModel, StringConstraints, create_model, field_validator
from typing_extensions import TypedDict

from integrity.audit.sieve.compile import compiled
from integrity.declare.constraint import Allow, Forbid
from integrity.declare.model import Model
from integrity.declare.policy import DEFAULT, Policy
from integrity.declare.registry import Registry
from tests.audit import generated, stored
from tests.audit.stored import INT, ODD, ONE, STRING, VALUES, Sifted, document, text, value


class Colour(enum.Enum):
    RED = "red"
    NONE = "-"
    LONG = "a" * 17


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


class Mixed(enum.Enum):
    A = 1
    B = "abc"


class Halves(enum.Enum):
    A = 1.5
    B = "abc"


class Inner(Model):
    a: int
    b: str | None = None
    c: list[str] = Field(default_factory=list)


class Open(Model, extra="allow"):
    a: int = 0
    s: str = "abc"


class Deep(Model):
    inner: Inner
    items: list[Inner] = Field(default_factory=list)
    maybe: Inner | None = None


class Tree(Model):
    a: int
    kids: "list[Tree] | None" = None


class Checked(Model):
    a: int

    @field_validator("a")
    @classmethod
    def _no_seven(cls, a: int) -> int:
        assert a != 7
        return a


class Typed(TypedDict):
    a: int
    b: NotRequired[str]


class Root(RootModel[list[int]]):
    pass


class Lenient(
    Model,
    policy=Policy(allow_empty_strings=True, allow_empty_containers=True, allow_nan=True, allow_white_space=True),
):
    a: Any = None
    s: str = "abc"
    b: float = 1.0
    c: list[str] = Field(default_factory=list)
    d: Decimal = Decimal(1)


def unchanged(given: Any) -> Any:
    """A validator that lets everything through."""
    return given


TRUE = True

DECLARED: dict[str, Any] = {
    "int": int, "int-bounds": Annotated[int, Field(ge=-1, lt=5)], "int-from": Annotated[int, Field(gt=2**53)],
    "int-to": Annotated[int, Field(le=2**62)], "int-least": Annotated[int, Field(ge=-(2**63))],
    "int-float": Annotated[int, Field(le=2.0**60)],
    "int-most": Annotated[int, Field(lt=2**63 - 1)], "int-threes": Annotated[int, Field(multiple_of=3)],
    "int-twos": Annotated[int, Field(multiple_of=2, ge=-10)], "int-forbid": Annotated[int, Forbid(5, TRUE)],
    "int-forbid-large": Annotated[int, Forbid(1, 2**53 + 1)],
    "float": float, "float-bounds": Annotated[float, Field(ge=-0.5, lt=3)],
    "float-half": Annotated[float, Field(gt=0.5, le=2.5)], "float-above": Annotated[float, Field(ge=0.5, lt=2.5)],
    "float-gt": Annotated[float, Field(gt=0)], "float-le": Annotated[float, Field(le=4)],
    "float-nan": Annotated[float, Field(allow_inf_nan=True)],
    "float-nan-gt": Annotated[float, Field(allow_inf_nan=True, gt=0)],
    "float-forbid-half": Annotated[float, Forbid(1.5)],
    "float-forbid": Annotated[float, Forbid(5, 2**53 + 1)],
    "decimal": Decimal, "decimal-bounds": Annotated[Decimal, Field(ge=0, lt=5)],
    "decimal-gt": Annotated[Decimal, Field(gt=Decimal(-1))], "decimal-digits": Annotated[Decimal, Field(max_digits=3)],
    "decimal-nan": Annotated[Decimal, Field(allow_inf_nan=True)], "decimal128": Decimal128,
    "str": str, "str-lengths": Annotated[str, Field(min_length=2, max_length=9)],
    "str-least": Annotated[str, Field(min_length=1)], "str-most": Annotated[str, Field(max_length=3)],
    "str-word": Annotated[str, Field(max_length=8)], "str-pattern": Annotated[str, Field(pattern="^[A-Z]+$")],
    "str-allow": Annotated[str, Allow("-", "")], "str-allow-space": Annotated[str, Allow(" ", "N/A")],
    "str-allow-least": Annotated[str, Allow(""), Field(min_length=1)], "str-forbid": Annotated[str, Forbid("abc", "x")],
    "str-forbid-pattern": Annotated[str, Forbid(re.compile("a"))],
    "str-forbid-long": Annotated[str, Forbid("\u00e9", "a" * 16, "")],
    "str-strip": Annotated[str, StringConstraints(strip_whitespace=True)],
    "str-lower": Annotated[str, StringConstraints(to_lower=True)],
    "str-asked": Annotated[str, Forbid(lambda each: each == "x")],
    "bool": bool, "bool-forbid": Annotated[bool, Forbid(1)], "bool-forbid-true": Annotated[bool, Forbid(TRUE)],
    "datetime": dt.datetime, "date": dt.date, "milliseconds": DatetimeMS, "oid": ObjectId, "uuid": uuid.UUID,
    "bytes": bytes,
    "bytes-least": Annotated[bytes, Field(min_length=1)], "binary": Binary, "timestamp": Timestamp,
    "code": Code, "long": Int64, "regex": Regex,
    "choice": Literal["a", "N/A", "c"], "choice-numbers": Literal[1, 2], "choice-true": Literal[True],
    "choice-false": Literal[False, "x"], "choice-mixed": Literal[1, "x", True],
    "choice-null": Literal["a", None],  # noqa: PYI061 - it is not the same to pydantic
    "choice-empty": Literal["", "b"], "choice-long": Literal["aaaaaaaa", "aaaaaaaaaaaaaaaa", "\u00e9"],
    "choice-large": Literal[9223372036854775807, -9223372036854775808],
    "choice-forbid": Annotated[Literal["a", "c"], Forbid("a")], "enum": Colour, "enum-int": Number, "enum-mixed": Mixed,
    "enum-half": Halves,
    "any": Any, "any-forbid": Annotated[Any, Forbid("abc", TRUE)],
    "any-forbid-number": Annotated[Any, Forbid("x", 0, 5)], "any-allow": Annotated[Any, Allow("", [])],
    "list": list[int], "list-str": list[str], "list-any": list[Any], "list-bare": list, "list-list": list[list[int]],
    "list-lengths": Annotated[list[int], Field(min_length=2, max_length=3)],
    "list-most": Annotated[list[str], Field(max_length=10)], "list-none": Annotated[list[int], Field(max_length=0)],
    "list-long": Annotated[list[int], Field(min_length=10)], "list-allow": Annotated[list[int], Allow([])],
    "list-maybe": list[int | None], "list-models": list[Inner], "list-lenient": list[Lenient],
    "list-forbid": Annotated[list[str], Forbid("x")], "list-forbid-inside": list[Annotated[int, Forbid(1)]],
    "set": set[int], "tuple": tuple[int, str], "tuple-long": tuple[int, ...],
    "mapping": dict[str, int], "mapping-any": dict[str, Any],
    "model": Inner, "model-open": Open, "model-deep": Deep, "model-tree": Tree, "model-checked": Checked,
    "model-lenient": Lenient, "model-allow": Annotated[Open, Allow({})], "model-forbid": Annotated[Inner, Forbid(1)],
    "typed-dict": Typed, "root-model": Root, "union": int | str, "union-null": int | str | None,
    "union-list": int | list[str],
    "union-models": Inner | Open, "after": Annotated[int, AfterValidator(unchanged)],
    "before": Annotated[int, BeforeValidator(unchanged)],
}  # fmt: skip
#: Declared in a way that is rare, and not looked into by columns as far as that it would tell.
DEARER = {"any-allow", "code", "regex", "model-lenient", "list-lenient"}
#: Bytes of a document with an array that only few documents have as long, so that Python looks at it.
LONG = 200

POLICIES = {
    "empty-strings": replace(DEFAULT, allow_empty_strings=True),
    "white-space": replace(DEFAULT, allow_white_space=True),
    "empty-containers": replace(DEFAULT, allow_empty_containers=True),
    "nan": replace(DEFAULT, allow_nan=True),
    "control": replace(DEFAULT, allow_control_characters=False),
    "no-placeholders": replace(DEFAULT, placeholders=frozenset()),
    "other-placeholders": replace(
        DEFAULT, placeholders=frozenset({"\u00e9", "abcdefgh", "a" * 9, "a" * 16, "a" * 17, "x", " ", "\u00e9" * 8})
    ),
}
#: What a policy says something of.
JUDGED = ["str", "str-lengths", "str-allow", "any", "list-str", "list-any", "list", "float", "decimal"]


def model_of(declared: Any, *, maybe: bool = False, **line: Any) -> type[Model]:
    """A model with one field."""
    field = (Optional[declared], Field(default=None)) if maybe else (declared, Field())  # noqa: UP045 - for Any too
    fields: dict[str, Any] = {"v": field, "id": (int, Field(default=0))}
    create: Any = create_model
    return create("One", __base__=Model, __cls_kwargs__={"collection": "ones", **line}, **fields)  # type: ignore[no-any-return]


def alone(values: list[stored.Value]) -> list[bytes]:
    """Documents with one value each, and one with none."""
    key = (INT, b"_id", ONE)
    return [document([key, (kind, b"v", data)]) for kind, data in values] + [document([key])]


@pytest.mark.parametrize("name", DECLARED)
def test_every_value_with_a_fault_is_found(name: str) -> None:
    """Whatever is declared, and whatever stands there; of what programs store, nothing else is found."""
    sifted = Sifted(model_of(DECLARED[name]))
    usual = alone(VALUES)
    assert sifted.missed([*usual, *alone(ODD)]) == []
    if name not in DEARER:
        assert [each for each in sifted.more(usual) if len(each) < LONG] == []


@pytest.mark.parametrize("name", sorted({*JUDGED, "choice", "enum", "int", "model", "bytes", "uuid", "datetime"}))
def test_every_value_with_a_fault_is_found_where_null_is_let_in(name: str) -> None:
    sifted = Sifted(model_of(DECLARED[name], maybe=True))
    usual = alone(VALUES)
    assert sifted.missed([*usual, *alone(ODD)]) == []
    assert [each for each in sifted.more(usual) if len(each) < LONG] == []
    assert sifted.suspects([usual[-1], document([(INT, b"_id", ONE), (stored.NULL, b"v", b"")])]) == [False, False]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", JUDGED)
def test_every_value_that_a_policy_refuses_is_found(name: str, policy: str) -> None:
    sifted = Sifted(model_of(DECLARED[name], policy=POLICIES[policy]))
    assert sifted.missed([*alone(VALUES), *alone(ODD)]) == []


def test_a_fault_is_found_whatever_stands_in_the_other_documents() -> None:
    """A column of one type is looked at in another way than one of several, and one value in another than many."""
    draw = random.Random(1)
    for name in ("str", "str-lengths", "int-bounds", "any", "list-str", "choice-mixed", "model", "float"):
        sifted = Sifted(model_of(DECLARED[name]))
        each = alone([*VALUES, *ODD])
        assert [one for one in draw.sample(each, 150) if sifted.missed([one])] == []
        by_type = sorted(each, key=lambda one: (len(one) > 10 and one[13], len(one)))
        for start in range(0, len(each), 40):
            assert sifted.missed(by_type[start : start + 40]) == []


def test_what_is_no_utf_8_is_found_wherever_strings_stand() -> None:
    """At every place in every length of a string: the words of a page do not begin where strings do."""
    key = (INT, b"_id", ONE)
    strings = [
        (b"a" * shift, broken)
        for shift in range(8)
        for size in (1, 7, 8, 9, 15, 16, 17, 25)
        for at in range(size)
        for broken in [b"a" * at + b"\xff" + b"a" * (size - 1 - at)]
    ]
    bad = [
        document([key, (STRING, b"x" + before, text("b")[1]), (STRING, b"v", text(each)[1])])
        for before, each in strings
    ]
    good = [each.replace(b"\xff", b"a") for each in bad]
    sifted = Sifted(model_of(str, extra="allow"))
    for start in range(0, len(bad), 25):  # undeclared names of eight kinds are as many as are told apart
        assert all(sifted.suspects(bad[start : start + 25]))
    assert not any(sifted.suspects(good))
    # What is ASCII is clean beside what is not, in the documents around it.
    assert sifted.suspects([*good, *bad, *good]) == [False] * len(good) + [True] * len(bad) + [False] * len(good)


def test_code_that_is_no_utf_8_is_found_wherever_code_may_stand() -> None:
    """Python tells it where it looks at all of a document, which depends on what else stands there."""
    code = [text(each, stored.CODE) for each in ("a", "", "a" * 30, b"\xff", b"a" * 30 + b"\xff")]
    for declared in (Code, Any):
        assert Sifted(model_of(declared)).suspects(alone(code)[:-1]) == [False, False, False, True, True]


def test_what_cannot_be_decoded_is_found_where_a_validator_is_asked() -> None:
    """The one who decodes the document says it."""
    broken: list[stored.Value] = [(stored.BOOL, b"\2"), (stored.BINARY, b"\4\0\0\0\2\1\0\0\0")]
    sifted = Sifted(model_of(int | bytes | bool))
    assert sifted.suspects(alone([(INT, ONE), *broken, (INT, ONE)])[:-1]) == [False, True, True, False]


SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(data=st.data())
def test_generated_documents_of_generated_models(data: st.DataObject) -> None:
    """Page by page, by one sieve: what it has learned of one page holds for the next."""
    spec = data.draw(generated.roots())
    documents = data.draw(st.lists(generated.documents(spec), min_size=1, max_size=20))
    seed = data.draw(st.integers(0, 2**32))
    model = generated.model("Generated", spec, collection="generated")
    entry = next(iter(Registry([model])))
    if compiled(entry) is None:
        return
    raws = [_encoded({"_id": index, **each}) for index, each in enumerate(documents)]
    draw, sifted = random.Random(seed), Sifted(model)
    for share in (0, 0.3, 0.9, 0):
        page = [
            stored.changed(draw, each) if draw.random() < share else each
            for each in draw.choices(raws, k=draw.choice([1, 12, 40]))
        ]
        assert sifted.missed(page, reply=draw.random() < 0.6) == []


def _encoded(of: dict[str, Any]) -> bytes:
    return value(of)[1]


def test_random_models_of_many_kinds() -> None:
    """Fields of every kind beside one another, in several orders, and with something wrong in some of the documents."""
    draw = random.Random(2)
    valid = {name: _valid(name, draw) for name in DECLARED}
    for _ in range(40):
        kinds = draw.sample(sorted(valid), draw.choice([1, 3, 6]))
        extra = draw.choice(["forbid", "allow"])
        model = _several(kinds, extra, draw)
        sifted = Sifted(model, names=True)
        declared = list(sifted.entry.document.fields.items())
        orders = [draw.sample(declared, len(declared)) for _ in range(draw.choice([1, 2, 12]))]
        for share in (0, 0.1, 0.8):
            page = []
            for _ in range(draw.choice([1, 11, 60])):
                parts = [
                    (kind, name.encode(), data)
                    for name, field in draw.choice(orders)
                    if field.required or draw.random() < 0.6
                    for kind, data in [draw.choice(valid[kinds[int(name[1:])]] if name != "_id" else [(INT, ONE)])]
                ]
                raw = document(parts)
                page.append(stored.changed(draw, raw) if draw.random() < share else raw)
            assert sifted.missed(page, reply=draw.random() < 0.6) == []


def _valid(name: str, draw: random.Random) -> list[stored.Value]:
    sifted = Sifted(model_of(DECLARED[name]))
    some = draw.sample([*VALUES, *ODD], 250)
    found = [each for each, raw in zip(some, alone(some), strict=False) if sifted.faulty(raw) is False]
    return found or [(stored.NULL, b"")]


def _several(kinds: list[str], extra: str, draw: random.Random) -> type[Model]:
    fields: dict[str, Any] = {
        f"f{at}": (
            DECLARED[each],
            Field() if draw.random() < 0.6 else Field(default_factory=dict, validate_default=False),
        )
        for at, each in enumerate(kinds)
    }
    fields["id"] = (int, Field(default=0))
    create: Any = create_model
    line = {"collection": "several", "extra": extra}
    return create("Several", __base__=Model, __cls_kwargs__=line, **fields)  # type: ignore[no-any-return]


def test_a_model_with_a_function_over_the_whole_has_no_sieve() -> None:
    """Nothing short of the whole document decides it."""

    class Whole(Model, collection="wholes"):
        id: int

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return AfterValidator(unchanged).__get_pydantic_core_schema__(source, handler)

    assert compiled(next(iter(Registry([Whole])))) is None
