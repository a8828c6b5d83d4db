"""Generated models, their valid documents, and updates of them that may be anything.

A model is put together from kinds of fields. Each kind has its annotation, its valid values as they are stored, and
the paths by which an update may reach it. Operands are drawn from the values of all kinds and from what is refused
everywhere.
"""

import datetime as dt
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal

from bson import Decimal128, ObjectId
from hypothesis import strategies as st
from pydantic import Field, create_model, field_validator, model_validator

from integrity.declare.constraint import Allow, Forbid
from integrity.declare.model import Model
from integrity.declare.registry import Entry, Registry
from integrity.rules.judge import Judge

Document = dict[str, Any]


class Item(Model):
    sku: str
    qty: Annotated[int, Field(ge=1)]
    note: str | None = None


class Place(Model):
    city: Annotated[str, Field(max_length=8)]
    street: str | None = None


class Loose(Model):
    first: int | None = None
    second: int | None = None


class Span(Model):
    low: int
    high: int

    @model_validator(mode="after")
    def ordered(self) -> "Span":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Even(Model):
    half: int

    @field_validator("half")
    @classmethod
    def even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("is odd")
        return value


@dataclass(frozen=True)
class Kind:
    """A kind of field."""

    annotation: Any
    values: st.SearchStrategy[Any]
    below: Mapping[str, st.SearchStrategy[Any]] = field(default_factory=dict)


words = st.sampled_from(["a", "bc", "def", "ghij"])
numbers = st.integers(-3, 30)
dates = st.integers(0, 2**41).map(lambda each: dt.datetime.fromtimestamp(each / 1000, dt.UTC).replace(tzinfo=None))
decimals = st.decimals(-100, 100, places=2).map(Decimal128)
items = st.fixed_dictionaries({"sku": words, "qty": st.integers(1, 5)}, optional={"note": st.none() | words})
addresses = st.fixed_dictionaries({"city": words}, optional={"street": st.none() | words})
loose = st.dictionaries(st.sampled_from(["first", "second"]), numbers, min_size=1)
spans = st.tuples(numbers, numbers).map(lambda pair: {"low": min(pair), "high": max(pair)})

KINDS: dict[str, Kind] = {
    "int": Kind(int, numbers),
    "count": Kind(Annotated[int, Field(ge=0, le=10)], st.integers(0, 10)),
    "above": Kind(Annotated[float, Field(gt=0)], st.floats(0.5, 100)),
    "float": Kind(float, st.floats(-1e300, 1e300) | numbers),
    "decimal": Kind(Decimal, decimals),
    "price": Kind(Annotated[Decimal, Field(ge=0, max_digits=6)], st.decimals(0, 100, places=2).map(Decimal128)),
    "str": Kind(str, words),
    "code": Kind(Annotated[str, Field(max_length=3)], st.sampled_from(["a", "bc", "def"])),
    "blank": Kind(Annotated[str, Allow("")], words | st.just("")),
    "forbidden": Kind(Annotated[int, Forbid(13)], numbers.filter(lambda each: each != 13)),
    "choice": Kind(Literal["new", "old"], st.sampled_from(["new", "old"])),
    "flag": Kind(bool, st.booleans()),
    "when": Kind(dt.datetime, dates),
    "oid": Kind(ObjectId, st.builds(ObjectId)),
    "maybe": Kind(int | None, st.none() | numbers),
    "either": Kind(int | str, numbers | words),
    "tags": Kind(
        list[str],
        st.lists(words, min_size=1, max_size=4),
        {"0": words, "1": words, "3": words, "$[]": words, "$[x]": words, "ghost": words},
    ),
    "few": Kind(
        Annotated[list[int], Field(max_length=3), Allow([])],
        st.lists(numbers, max_size=3),
        {"0": numbers, "1": numbers, "$[]": numbers, "$[x]": numbers},
    ),
    "some": Kind(
        Annotated[list[int], Field(min_length=2)],
        st.lists(numbers, min_size=2, max_size=4),
        {"0": numbers, "1": numbers, "2": numbers, "4": numbers},
    ),
    "holes": Kind(
        list[int | None],
        st.lists(st.none() | numbers, min_size=1, max_size=3),
        {"0": numbers, "2": numbers, "$[]": numbers},
    ),
    "items": Kind(
        list[Item],
        st.lists(items, min_size=1, max_size=3),
        {
            "0": items,
            "1": items,
            "0.qty": st.integers(1, 5),
            "4.qty": numbers,
            "$[].qty": st.integers(1, 5),
            "$[x].sku": words,
            "$[].note": words,
            "$[].ghost": words,
            "qty": numbers,
            "0.note.deep": words,
        },
    ),
    "place": Kind(Place, addresses, {"city": words, "street": words, "ghost": words, "city.deep": words}),
    "perhaps": Kind(Place | None, st.none() | addresses, {"city": words, "street": words, "0": words}),
    "loose": Kind(Loose, loose, {"first": numbers, "second": numbers}),
    "span": Kind(Span, spans, {"low": numbers, "high": numbers}),
    "even": Kind(Even, st.fixed_dictionaries({"half": numbers.map(lambda each: each * 2)}), {"half": numbers}),
    "scores": Kind(
        dict[str, int],
        st.dictionaries(st.sampled_from(["a", "b", "c"]), numbers, min_size=1),
        {"a": numbers, "z": numbers, "a.b": numbers},
    ),
    "places": Kind(
        dict[str, Place],
        st.dictionaries(st.sampled_from(["a", "b"]), addresses, min_size=1),
        {"a": addresses, "z.city": words, "a.street": words},
    ),
    "capped": Kind(
        Annotated[dict[str, int], Field(max_length=2)],
        st.dictionaries(st.sampled_from(["a", "b", "c"]), numbers, min_size=1, max_size=2),
        {"a": numbers, "z": numbers},
    ),
    "grid": Kind(
        list[list[int]],
        st.lists(st.lists(numbers, min_size=1, max_size=2), min_size=1, max_size=2),
        {"0.0": numbers, "$[].$[]": numbers, "0.3": numbers, "1": st.lists(numbers, min_size=1), "$[]": st.just([1])},
    ),
    "pair": Kind(tuple[int, str], st.tuples(numbers, words).map(list), {"0": numbers, "1": words, "2": words}),
    "set": Kind(set[int], st.sets(numbers, min_size=1, max_size=3).map(sorted), {"0": numbers}),
    "any": Kind(
        Any,
        numbers | words | st.just({"a": {"b": 1}}),
        {"a": numbers, "a.b": words | st.just(""), "x.y": numbers, "0": words},
    ),
}

#: What stands in for an optional field that an insert leaves out.
DEFAULTS: dict[str, Any] = {
    "int": 1, "count": 1, "above": 1.0, "float": 1.0, "decimal": Decimal(1), "price": Decimal(1), "str": "a",
    "code": "a", "blank": "", "forbidden": 1, "choice": "new", "flag": True,
    "when": dt.datetime(2026, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None), "oid": ObjectId(b"twelve bytes"),
    "maybe": None, "either": 1, "tags": ["a"], "few": [], "some": [1, 2], "holes": [None],
    "items": [{"sku": "a", "qty": 1}], "place": {"city": "a"}, "perhaps": None, "loose": {"first": 1},
    "span": {"low": 1, "high": 2}, "even": {"half": 2}, "scores": {"a": 1}, "places": {"a": {"city": "a"}},
    "capped": {"a": 1}, "grid": [[1]], "pair": (1, "a"), "set": {1}, "any": 1,
}  # fmt: skip

#: What is refused nearly everywhere, and what nearly fits.
JUNK: list[Any] = [
    None, "", "  ", "N/A", "\\N", -1, 0, 13, 10**12, 2**62, 2.5, 3.0, float("nan"), float("inf"), 1.7e308, [], {},
    [1], ["a"], {"a": 1}, {"city": "a"}, {"sku": "a", "qty": 0}, {"sku": "a", "qty": 2}, "5", True, Decimal("1.5"),
]  # fmt: skip

anything = st.one_of(st.sampled_from(JUNK), *(kind.values for kind in KINDS.values()))

_names = itertools.count()


@dataclass(frozen=True)
class Declared:
    """A generated model, and the kinds of its fields by name."""

    entry: Entry
    kinds: dict[str, str]
    optional: frozenset[str]

    @property
    def model(self) -> type[Model]:
        return self.entry.model

    def documents(self, size: int = 4) -> st.SearchStrategy[list[Document]]:
        """Valid documents as they are stored, ``_id`` from 0."""
        required = {name: KINDS[kind].values for name, kind in self.kinds.items() if name not in self.optional}
        optional = {name: KINDS[kind].values for name, kind in self.kinds.items() if name in self.optional}
        one = st.fixed_dictionaries(required, optional=optional)
        return st.lists(one, min_size=1, max_size=size).map(
            lambda found: [{"_id": number, **each} for number, each in enumerate(found)]
        )

    def paths(self) -> list[tuple[str, st.SearchStrategy[Any]]]:
        """Every path that an update may try, each with values that fit it."""
        found: list[tuple[str, st.SearchStrategy[Any]]] = []
        for name, kind in self.kinds.items():
            found.append((name, KINDS[kind].values))
            found += [(f"{name}.{below}", values) for below, values in KINDS[kind].below.items()]
        return found


def _ordered(self: Any) -> Any:
    """A rule across fields: a document whose "f0" is 3 has no "f1" of 3."""
    if getattr(self, "f0", None) == 3 and getattr(self, "f1", None) == 3:
        raise ValueError("f0 and f1 are both 3")
    return self


@st.composite
def declarations(draw: st.DrawFn, kinds: list[str] | None = None) -> Declared:
    """A model of one to five fields, some optional, some with a rule across fields."""
    chosen = draw(st.lists(st.sampled_from(kinds or sorted(KINDS)), min_size=1, max_size=5))
    named = {f"f{index}": kind for index, kind in enumerate(chosen)}
    optional = draw(st.sets(st.sampled_from(sorted(named))))
    ruled = draw(st.integers(0, 7)) == 7
    fields: dict[str, Any] = {"id": (int, ...)}
    for name, kind in named.items():
        annotation = KINDS[kind].annotation
        fields[name] = (annotation, Field(default=DEFAULTS[kind])) if name in optional else (annotation, ...)
    validators: Any = {"ordered": model_validator(mode="after")(_ordered)} if ruled else {}
    model = create_model(
        f"Generated{next(_names)}",
        __base__=Model,
        __cls_kwargs__={"collection": "generated"},
        __validators__=validators,
        **fields,
    )
    return Declared(Registry([model]).entry(model), named, frozenset(optional))


amounts = st.sampled_from([1, 1, -1, 2, 0, 0.5, -0.5, 1e305, 2**62, "1", None, True, Decimal("1.5"), float("nan")])

OPERATORS = (
    "$set", "$unset", "$inc", "$mul", "$min", "$max", "$currentDate", "$push", "$addToSet", "$pop", "$pull",
    "$pullAll", "$bit", "$rename", "$setOnInsert",
)  # fmt: skip


def _suited(value: Any, *, optional: bool) -> list[str]:
    """The operators that make sense where such a value stands."""
    found = ["$set", "$set", "$min", "$max", "$setOnInsert"]
    if optional:
        found += ["$unset", "$unset", "$rename"]
    if isinstance(value, list):
        found = ["$set", "$push", "$push", "$addToSet", "$addToSet", "$pop", "$pull", "$pullAll"]
    elif isinstance(value, int | float | Decimal128):
        found += ["$inc", "$inc", "$mul", "$bit"]
    elif isinstance(value, dt.datetime):
        found += ["$currentDate"]
    return found


def _operand(operator: str, fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    element = fitting.map(lambda each: each[0] if isinstance(each, list) and each else each)
    fixed: dict[str, st.SearchStrategy[Any]] = {
        "$inc": amounts,
        "$mul": amounts,
        "$currentDate": st.sampled_from([True, {"$type": "date"}, {"$type": "timestamp"}]),
        "$pop": st.sampled_from([1, -1]),
        "$pull": element,
        "$pullAll": st.lists(element, max_size=3),
        "$bit": st.fixed_dictionaries({"or": st.integers(0, 9)}),
        "$rename": st.sampled_from(["f0", "f1", "ghost", "f2"]),
    }
    match operator:
        case "$push":
            modifiers = {
                "$slice": st.integers(-4, 4),
                "$sort": st.sampled_from([1, -1]),
                "$position": st.integers(-2, 3),
            }
            several = {"$each": st.lists(element, max_size=3)}
            return element | st.fixed_dictionaries(several, optional=modifiers)
        case "$addToSet":
            return element | st.fixed_dictionaries({"$each": st.lists(element, max_size=3)})
    return fixed.get(operator, fitting)


@st.composite
def updates(draw: st.DrawFn, declared: Declared) -> tuple[Document, list[Document] | None]:
    """An update of one to three operations, most of them sensible, with the array filters that it needs."""
    made: Document = {}
    paths = declared.paths()
    for _ in range(draw(st.integers(1, 3))):
        path, fitting = draw(st.sampled_from(paths))
        if draw(st.integers(0, 7)) == 7:
            path = draw(st.sampled_from(["ghost", "_id", f"{path}.ghost", path]))
            operator = draw(st.sampled_from(OPERATORS))
            operand = draw(_operand(operator, st.one_of(fitting, anything)))
        else:
            operator = draw(st.sampled_from(_suited(draw(fitting), optional=path in declared.optional)))
            operand = draw(_operand(operator, fitting))
        made.setdefault(operator, {})[path] = operand
    named = any("$[x]" in path for operands in made.values() for path in operands)
    return made, [{"x": {"$exists": True}}] if named else None


def clean(entry: Entry, documents: list[Document]) -> list[Any]:
    """What is wrong with stored documents."""
    judge = Judge(entry)
    return [each for document in documents for each in judge.stored(document)]
