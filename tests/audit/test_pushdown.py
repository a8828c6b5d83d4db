"""What the server is asked finds every document with a fault: declaration by declaration, and value by value alone.

In a generated document one clause's faults are seldom alone, and another clause finds the document as well: what one
clause misses shows only where nothing else is declared, and nothing else stored.
"""

import datetime as dt
import enum
import random
import re
import uuid
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from bson import Decimal128, Int64, ObjectId, Regex
from bson.codec_options import CodecOptions
from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)
from pymongo.database import Database

from integrity.audit.pushdown import compiled
from integrity.audit.text import agreed
from integrity.declare.constraint import Allow, Forbid
from integrity.declare.model import Model
from integrity.declare.policy import Policy, visible
from integrity.declare.registry import Entry, Registry
from integrity.rules.judge import Judge
from integrity.store.blocking import BlockingStore
from integrity.store.codecs import CODEC
from tests.audit.conftest import audited
from tests.audit.generated import DAY, JUNK, MISSING


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Closed(Model):
    b: int
    c: str | None = None


class Full(Model):
    b: Annotated[list[int], Field(max_length=1)]
    c: Annotated[str, Forbid("abc")]


class Open(Model, extra="allow"):
    b: Annotated[int, Field(lt=3)] = 1


class Loose(Model):
    b: int = 1


class Whole(Model):
    b: int
    c: int = 1

    @model_validator(mode="after")
    def ordered(self) -> Self:
        if self.b > self.c:
            raise ValueError("b above c")
        return self


class Odd(Model):
    b: int | str
    c: int | None = None


class Odder(Model):
    b: dict[str, int] | None = None


class Extra(Model, extra="allow"):
    __pydantic_extra__: dict[str, int]
    b: int | None = None


class Deep(Model):
    b: Loose | None = None
    c: list[Closed] | None = None


BOUNDS = (Field(gt=1), Field(ge=1), Field(lt=1), Field(le=1))
#: What the server decides where it stands alone.
SCALARS: list[Any] = [
    int, float, str, bool, Decimal, dt.datetime, ObjectId, uuid.UUID, bytes, Decimal128, Colour, Any,
    Literal["a", "N/A", "c"], Literal[1, 2], Literal[True, "x"],
    *(Annotated[kind, each] for kind in (int, float, Decimal) for each in BOUNDS),
    Annotated[int, Field(multiple_of=5)], Annotated[float, Field(ge=-1, le=1.5)],
    Annotated[str, Field(min_length=3)], Annotated[str, Field(max_length=3)],
    Annotated[str, Field(pattern="^[A-Z]{3}$")], Annotated[str, Field(pattern="^(?:x|abc)$")],
    Annotated[str, Field(pattern="^x|c$")],
    Annotated[str, Allow("")], Annotated[str, Allow("-")],
    Annotated[str, Allow("\x00")], Annotated[str, Forbid("abc")], Annotated[int, Forbid(7)],
    Annotated[Any, Forbid("abc", 7)],
]  # fmt: skip
CONTAINERS: list[Any] = [
    list[int], list[str], list[float], list[Any], list[list[int]], list[Literal[1, 2]], list[uuid.UUID],
    list[int | None], list[str | None], list[Annotated[int, Field(ge=1, multiple_of=5)]],
    list[Annotated[float, Field(ge=0)] | None], list[Annotated[int, Forbid(7)]],
    Annotated[list[int], Field(min_length=2)], Annotated[list[str], Field(max_length=1)],
    Annotated[list[int], Allow([])], Closed, Full, Open, Loose, Annotated[Loose, Allow({})], Deep,
    list[Closed], list[Open], list[Loose | None], list[Deep],
]  # fmt: skip
#: What the server decides no more than a part of.
PARTLY: list[Any] = [
    int | str, dict[str, int], tuple[int, str], tuple[int, ...], set[int], list[int | str], list[dict[str, int]],
    list[Annotated[list[int], Field(max_length=1)]], Annotated[list[int], AfterValidator(sorted)],
    Annotated[int, AfterValidator(abs)], Annotated[int, Forbid(lambda value: value == 7)],
    Annotated[str, Forbid(re.compile("b"))], Annotated[Any, Forbid(1.5)], Annotated[int, Forbid(2**70)],
    Annotated[float, Field(lt=2**53 + 1)], Annotated[float, Field(multiple_of=0.5)],
    Annotated[float, Field(allow_inf_nan=True)], Annotated[str, Field(pattern="(?i)^abc$")],
    Annotated[list[int], Field(min_length=30)],
    Annotated[dt.datetime, Field(gt=DAY)], Annotated[bytes, Field(max_length=1)],
    Annotated[Decimal, Field(max_digits=1)], Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)],
    Whole, list[Whole], Odd, list[Odd], list[Odder], Extra, list[Extra],
]  # fmt: skip

MORE = [
    2,
    3,
    5,
    10,
    1.25,
    "c",
    "ab",
    "abcd",
    "red",
    "\x00\x00",
    "ABC",
    Decimal128("0.5"),
    Int64(5),
    b"xyz",
    Int64(2**53),
    "a\x07",
]
VALUES = [*JUNK, *MORE]
#: Each by itself, in an array, in an object, in an array's object: with something beside it and without.
HELD = [
    *VALUES,
    *([each] for each in VALUES), *([1, each] for each in VALUES), *({"b": each} for each in VALUES),
    *({"b": 1, "c": each} for each in VALUES), *({"b": [each], "c": "x"} for each in VALUES),
    *([{"b": each}] for each in VALUES),
    *([{"b": 1}, {"b": 1, "c": each}] for each in VALUES), {"b": [1, 2], "c": "x"}, {"b": [1], "c": "abc"},
    {"b": 1, "zzz": 1}, [{"b": 1, "zzz": 1}], {"b": 1, "c": "x", "zzz": 1}, {"b": {"zzz": 1}}, {"b": {"b": 2}},
    {"c": [{"b": 1}, {"b": ""}]}, {"c": [{"b": 1, "zzz": 1}]}, {"c": [{}]}, [[1], [1, ""]], [[1, 2], [3]],
    {"c": 1}, [{"c": 1}], {"b": 2, "c": 1}, [{"b": 2, "c": 1}],
]  # fmt: skip


#: Settings of a model that say more of a string, or of a number, than its field does.
SETTINGS: list[tuple[Any, dict[str, Any]]] = [
    *((kind, {"policy": Policy(allow_control_characters=False)}) for kind in (str, Any)),
    (str, {"policy": Policy(allow_white_space=True)}), (Any, {"policy": Policy(allow_white_space=True)}),
    (str, {"policy": Policy(allow_white_space=True, placeholders=frozenset())}),
    (str, {"policy": Policy(allow_empty_strings=True)}), (list[str], {"policy": Policy(allow_empty_containers=True)}),
    (float, {"policy": Policy(allow_nan=True)}), (str, {"str_max_length": 3}), (str, {"str_min_length": 2}),
    (float, {"allow_inf_nan": True}), (Decimal, {"allow_inf_nan": True}),
    (float, {"allow_inf_nan": False, "policy": Policy(allow_nan=True)}), (Closed, {"extra": "allow"}),
]  # fmt: skip


def declared() -> Iterator[tuple[str, type[Model]]]:
    """Yield models with one field that the server decides, each with the name of the documents for it."""
    for name, kinds in (("scalars", SCALARS), ("containers", CONTAINERS)):
        for kind in kinds:
            absent: Any = Field(default_factory=dict, validate_default=False)
            for each in ((kind, ...), (kind | None, ...), (kind, absent), (kind | None, absent)):
                yield name, model({"a": each})


def model(fields: dict[str, Any], id_: Any = Any, **class_line: Any) -> type[Model]:
    create: Any = create_model  # typed for fields that are known
    how = {"collection": "some", **class_line}
    return create("Some", __base__=Model, __cls_kwargs__=how, id=(id_, ...), **fields)  # type: ignore[no-any-return]  # as said


def documents(values: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield documents with these values, each alone."""
    whole = [{"a": each} for each in values if not any(one is MISSING for one in inside(each))]
    for at, each in enumerate([{}, {"zzz": 1}, {"a": 1, "zzz": 1}, *whole]):
        yield {"_id": at, **each}


def inside(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from inside(each)


def read(database: Database[dict[str, Any]], name: str, made: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Store documents, and return them as the library reads them."""
    database[name].insert_many(made)
    return list(database[name].with_options(codec_options=CodecOptions(**CODEC)).find())


def entry(made: type[Model]) -> Entry:
    return next(iter(Registry([made])))


def test_every_fault_is_suspected(database: Database[dict[str, Any]]) -> None:
    stored = {name: read(database, name, documents(some)) for name, some in (("scalars", VALUES), ("containers", HELD))}
    for name, made in declared():
        plan, judge = compiled(entry(made)), Judge(entry(made))
        assert plan.filter is not None
        assert not plan.undecided
        suspects = {each["_id"] for each in database[name].find(plan.filter, {"_id": 1})}
        missed = [each for each in stored[name] if each["_id"] not in suspects and judge.stored(each)]
        assert not missed, made.model_fields["a"]


PIECES = [
    "a", "b", "|", "|", "|", "(", "(?:", ")", ")", "?", "*", "+", "{2}", "{1,2}", "[ab]", "[a-z]", r"\|", r"\$", r"\(",
    "-",
]  # fmt: skip
STRINGS = [
    "", "a", "b", "ab", "ba", "aa", "aab", "xa", "xb", "ax", "xbz", "a\n", "b\n", "\na", "\nb", "a\nb", "ab\n", "\n",
    "|", "a|b", "(", "$", "a$", "$a", "-", "a\r\n", "\u00e9", "a\u00e9", "b\u2028", "AB", "a\x00", "\x00b",
]  # fmt: skip


def test_a_pattern_that_is_agreed_upon_is_one_to_pydantic_and_to_the_server(database: Database[dict[str, Any]]) -> None:
    """Also where an alternative stands beside the anchors, which then are each of one alternative."""
    database.some.insert_many({"_id": at, "a": each} for at, each in enumerate(STRINGS))
    chance, patterns = random.Random(1), dict[str, str]()
    while len(patterns) < 400:
        made = f"^{''.join(chance.choices(PIECES, k=chance.randint(0, 6)))}$"
        if (theirs := agreed(made)) is not None:
            patterns[made] = theirs
    assert sum("|" in each and "(" not in each for each in patterns) > 50
    for mine, theirs in patterns.items():
        valid = TypeAdapter(Annotated[str, Field(pattern=mine)])
        expected = [at for at, each in enumerate(STRINGS) if passes(valid, each)]
        assert sorted(each["_id"] for each in database.some.find({"a": Regex(theirs)}, {"_id": 1})) == expected, mine


def passes(valid: TypeAdapter[str], text: str) -> bool:
    try:
        return valid.validate_python(text) == text
    except ValidationError:
        return False


def test_every_string_that_draws_nothing_is_suspected(database: Database[dict[str, Any]]) -> None:
    """Of one character, for a string begins with one."""
    characters = map(chr, (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE1000)))
    blank = [each for each in characters if not visible(each)]
    database.some.insert_many({"_id": at, "a": each} for at, each in enumerate(blank))
    for kind in (str, str | None, Annotated[str, Allow("-")], Any):
        plan = compiled(entry(model({"a": (kind, ...)})))
        assert database.some.count_documents(plan.filter or {}) == len(blank)


def test_what_the_server_decides_in_part_is_found(database: Database[dict[str, Any]]) -> None:
    """By Python, which is asked for what is left; also beside a field and an ``_id`` that the server decides."""
    some = read(
        database,
        "some",
        [
            *documents([*VALUES, *HELD[len(VALUES) :: 25], *HELD[-15:]]),
            {"_id": "x", "a": 1},
            {"_id": "", "a": 1},
            {"_id": "b", "a": 1, "b": "x"},
        ],
    )
    models = [model({"a": (kind, ...)}) for kind in PARTLY] + [
        model({"a": (kind, ...)}, **how) for kind, how in SETTINGS
    ]
    for extra in ("allow", "forbid"):
        odd = (int | str, ...)
        models += [model({"a": odd}, id_=int, extra=extra), model({"a": odd, "b": (int, 1)}, extra=extra)]
    for made in models:
        judge = Judge(entry(made))
        expected = {repr(each["_id"]) for each in some if judge.stored(each)}
        found = audited(BlockingStore(database), [made])
        assert found.failure is None
        assert {repr(each.id) for each in found.violations} == expected, made.model_fields["a"]
