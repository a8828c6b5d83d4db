"""The judge as DESIGN tells it, path by path and code by code: slow, plain, and independent of pydantic.

A declaration is a tree of these classes. Each knows its annotation for a model, what a stored value of it must be
(`judge`), and how hypothesis draws a valid value (`valid`). `generated` draws the declarations.
"""

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Optional, Union

from bson import Decimal128, Int64
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from integrity.declare.constraint import Allow, Forbid
from integrity.declare.model import Model

Fault = tuple[str, str]

#: Strings that mean nothing, and the code of each.
NOTHING = {
    "": "EMP001",
    " ": "EMP002",
    "\t\n": "EMP002",
    "\u00a0": "EMP002",
    "\u200b\u200d": "EMP002",
    "\u3164": "EMP002",
    "\u2800 ": "EMP002",
    "\ufe0f": "EMP002",
    **dict.fromkeys(
        ["\\N", "N/A", "n/a", "#N/A", "null", "NULL", "undefined", "None", "nan", "NaN", "-", "--", "?",
         "[object Object]"],
        "FRB001",
    ),
}  # fmt: skip

#: Strings that look like those and are values.
NAMES = ["Null", "none", "N/A ", " x", "n", "NaNa", "---", "a", "Zoë", "Émile", "東京", "\u0301a", "5", "0", "?!", "-1"]


TEXTS = st.one_of(st.sampled_from(NAMES), st.text("abcXYZé 1-", min_size=1, max_size=8).map(lambda each: "x" + each))


def nothing(value: Any) -> str | None:
    """The code of what the default policy refuses in a value that is not null."""
    if type(value) is str:  # JavaScript code is a string to Python
        return NOTHING.get(value)
    if isinstance(value, list | dict):
        return None if value else "EMP003"
    if isinstance(value, Decimal128):
        return None if value.to_decimal().is_finite() else "EMP005"
    if isinstance(value, float):
        return None if math.isfinite(value) else "EMP005"
    return None


def alike(first: Any, second: Any) -> bool:
    """Whether two values are equal and of one BSON type; Python calls True 1 and NaN nothing."""
    if isinstance(first, int) and isinstance(second, int):
        return isinstance(first, bool) is isinstance(second, bool) and first == second
    return type(first) is type(second) and (first == second or (first != first and second != second))  # noqa: PLR0124 - NaN


def at(path: str, step: object) -> str:
    return f"{path}.{step}" if path else str(step)


class Type:
    """A declared type."""

    annotation: Any
    #: The values that the declaration itself names.
    named: tuple[Any, ...] = ()
    nullable = False

    def judge(self, value: Any, path: str) -> Iterator[Fault]:
        if value is None:
            if not self.nullable:
                yield "EMP004", path
        elif not any(alike(each, value) for each in self.names()) and (code := nothing(value)):
            yield code, path
        elif self.forbidden(value):
            yield "FRB002", path
        else:
            yield from self.typed(value, path)

    def names(self) -> tuple[Any, ...]:
        return self.named

    def forbidden(self, value: Any) -> bool:  # noqa: ARG002 - some say more
        return False

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        raise NotImplementedError

    def holds(self, value: Any) -> bool:
        """Whether `value` is of the BSON types that are declared."""
        raise NotImplementedError

    def valid(self) -> st.SearchStrategy[Any]:
        raise NotImplementedError


@dataclass
class Scalar(Type):
    """A scalar: its annotation, its Python types after decoding, what it must meet, what is valid."""

    annotation: Any
    types: tuple[type, ...]
    values: st.SearchStrategy[Any]
    meets: Any = lambda _: True
    fails: str = "SCH003"

    def holds(self, value: Any) -> bool:
        return type(value) in self.types

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        if not self.holds(value):
            yield "SCH001", path
        elif not self.meets(value):
            yield self.fails, path

    def valid(self) -> st.SearchStrategy[Any]:
        return self.values


@dataclass
class Choice(Type):
    """A Literal or an enum."""

    annotation: Any
    choices: tuple[Any, ...]

    def names(self) -> tuple[Any, ...]:
        return self.choices

    def holds(self, value: Any) -> bool:
        return any(type(each) is type(value) or {type(each), type(value)} == {int, Int64} for each in self.choices)

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        if not self.holds(value):
            yield "SCH001", path
        elif not any(alike(each, value) for each in self.choices):
            yield "SCH003", path

    def valid(self) -> st.SearchStrategy[Any]:
        return st.sampled_from(self.choices)


@dataclass
class AnyType(Type):
    """A field that says nothing."""

    annotation: Any = Any
    nullable = True

    def holds(self, value: Any) -> bool:  # noqa: ARG002 - anything
        return True

    def typed(self, value: Any, path: str) -> Iterator[Fault]:  # noqa: ARG002 - anything
        return iter(())

    def valid(self) -> st.SearchStrategy[Any]:
        return st.one_of(st.integers(0, 9), TEXTS, st.just([[], {"a": ""}]), st.none())


@dataclass
class Sequence(Type):
    """A list or a set, with or without a least and a greatest length."""

    item: Type
    least: int = 0
    most: int = 99
    distinct: bool = False

    def __post_init__(self) -> None:
        kind: Any = set if self.distinct else list
        bounds: dict[str, Any] = {"min_length": self.least or None, "max_length": self.most if self.most < 99 else None}
        plain = kind[self.item.annotation]
        self.annotation = Annotated[plain, Field(**bounds)] if any(bounds.values()) else plain

    def holds(self, value: Any) -> bool:
        return isinstance(value, list)

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        if not self.holds(value):
            yield "SCH001", path
            return
        many = len(value)
        if self.distinct:
            many = sum(not any(_equal(each, other) for other in value[:index]) for index, each in enumerate(value))
        if not self.least <= many <= self.most:
            yield "SCH003", path
        for index, each in enumerate(value):
            yield from self.item.judge(each, at(path, index))

    def valid(self) -> st.SearchStrategy[Any]:
        least, most = max(1, self.least), min(3, self.most)
        return st.lists(self.item.valid(), min_size=least, max_size=most, unique_by=repr if self.distinct else None)


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, Decimal128) and isinstance(second, Decimal128):
        return first.to_decimal() == second.to_decimal()
    return bool(isinstance(first, bool) is isinstance(second, bool) and first == second)


@dataclass
class Fixed(Type):
    """A tuple."""

    items: tuple[Type, ...]

    def __post_init__(self) -> None:
        self.annotation = tuple[tuple(each.annotation for each in self.items)]  # type: ignore[misc]  # built at run time

    def holds(self, value: Any) -> bool:
        return isinstance(value, list)

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        if not self.holds(value):
            yield "SCH001", path
            return
        if len(value) != len(self.items):
            yield "SCH003", path
        for index, (item, each) in enumerate(zip(self.items, value, strict=False)):
            yield from item.judge(each, at(path, index))
        for index, each in enumerate(value[len(self.items) :], len(self.items)):
            yield from AnyType().judge(each, at(path, index))

    def valid(self) -> st.SearchStrategy[Any]:
        return st.tuples(*(each.valid() for each in self.items)).map(list)


@dataclass
class Mapping(Type):
    """A dict."""

    item: Type

    def __post_init__(self) -> None:
        self.annotation = dict[str, self.item.annotation]  # type: ignore[name-defined]  # built at run time

    def holds(self, value: Any) -> bool:
        return isinstance(value, dict)

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        if not self.holds(value):
            yield "SCH001", path
            return
        for name, each in value.items():
            yield from self.item.judge(each, at(path, name))

    def valid(self) -> st.SearchStrategy[Any]:
        return st.dictionaries(st.sampled_from(["k", "l m", "0", "a.b"]), self.item.valid(), min_size=1, max_size=3)


_numbers = itertools.count()


@dataclass
class Record(Type):
    """An embedded model; `kind` says how it is declared."""

    fields: dict[str, tuple[Type, bool]]
    kind: str = "model"
    extra: bool = False
    tag: str | None = None
    name: str = field(default_factory=lambda: f"Record{next(_numbers)}")

    def __post_init__(self) -> None:
        annotations: dict[str, Any] = {} if self.tag is None else {"kind": Literal[self.tag]}
        body: dict[str, Any] = {}
        for name, (each, required) in self.fields.items():
            annotations[name] = each.annotation
            if not required:
                annotations[name] = Optional[each.annotation]  # noqa: UP045 - a value, not an annotation
                body[name] = None
        body |= {"__annotations__": annotations, "__module__": __name__}
        body["model_config"] = ConfigDict(arbitrary_types_allowed=True)
        if self.extra:
            body["model_config"] |= ConfigDict(extra="allow")
        if self.kind == "instance":  # what a model with a hook of its own is validated as
            body["model_post_init"] = lambda _self, _context: None
        base: Any = BaseModel if self.kind == "pydantic" else Model
        self.annotation = type(base)(self.name, (base,), body)

    def holds(self, value: Any) -> bool:
        return isinstance(value, dict)

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        if not self.holds(value):
            yield "SCH001", path
            return
        if self.tag is not None:
            yield from (
                Choice(None, (self.tag,)).judge(value["kind"], at(path, "kind"))
                if "kind" in value
                else [("SCH002", at(path, "kind"))]
            )
        for name, (each, required) in self.fields.items():
            if name not in value:
                if required:
                    yield "SCH002", at(path, name)
            elif required or value[name] is not None:
                yield from each.judge(value[name], at(path, name))
        for name in value:
            if name not in self.fields and not (name == "kind" and self.tag) and not self.extra:
                yield "SCH004", at(path, name)

    def valid(self) -> st.SearchStrategy[Any]:
        needed: dict[str, Any] = {} if self.tag is None else {"kind": st.just(self.tag)}
        needed |= {name: each.valid() for name, (each, required) in self.fields.items() if required}
        optional = {name: each.valid() for name, (each, required) in self.fields.items() if not required}
        return st.fixed_dictionaries(needed, optional=optional).filter(bool)


@dataclass
class Null(Type):
    """``... | None``."""

    inner: Type
    nullable = True

    def __post_init__(self) -> None:
        self.annotation = Optional[self.inner.annotation]  # noqa: UP045 - a value, not an annotation

    def names(self) -> tuple[Any, ...]:
        return self.inner.names()

    def forbidden(self, value: Any) -> bool:
        return self.inner.forbidden(value)

    def holds(self, value: Any) -> bool:
        return value is None or self.inner.holds(value)

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        return self.inner.typed(value, path)

    def valid(self) -> st.SearchStrategy[Any]:
        return st.one_of(st.none(), self.inner.valid())


@dataclass
class Either(Type):
    """A union of types that BSON tells apart, or of models that a tag tells apart."""

    options: tuple[Type, ...]

    def __post_init__(self) -> None:
        plain = Union[tuple(each.annotation for each in self.options)]  # type: ignore[valid-type]  # noqa: UP007 - built at run time
        tagged = all(isinstance(each, Record) and each.tag for each in self.options)
        self.tagged = tagged
        self.annotation = Annotated[plain, Field(discriminator="kind")] if tagged else plain

    def names(self) -> tuple[Any, ...]:
        return tuple(value for each in self.options for value in each.names())

    def holds(self, value: Any) -> bool:
        return any(each.holds(value) for each in self.options)

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        if not self.holds(value):
            yield "SCH001", path
        elif not self.tagged:
            found = next(each for each in self.options if each.holds(value))
            yield from found.typed(value, path)
        else:
            tags = tuple(each.tag for each in self.options if isinstance(each, Record))
            if "kind" not in value:
                yield "SCH002", at(path, "kind")
            elif value["kind"] not in tags or not isinstance(value["kind"], str):
                yield from Choice(None, tags).judge(value["kind"], at(path, "kind"))
            else:
                yield from self.options[tags.index(value["kind"])].typed(value, path)

    def valid(self) -> st.SearchStrategy[Any]:
        return st.one_of(*(each.valid() for each in self.options))


@dataclass
class Marked(Type):
    """A type with ``Allow`` or ``Forbid``."""

    inner: Type
    allowed: tuple[Any, ...] = ()
    refused: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        markers: list[Any] = [Allow(*self.allowed)] if self.allowed else []
        markers += [Forbid(*self.refused)] if self.refused else []
        self.annotation = Annotated[self.inner.annotation, *markers]
        self.nullable = self.inner.nullable

    def names(self) -> tuple[Any, ...]:
        return (*self.inner.names(), *self.allowed)

    def forbidden(self, value: Any) -> bool:
        return any(
            (isinstance(value, str) and each.search(value) is not None)
            if isinstance(each, re.Pattern)
            else alike(each, value)
            for each in self.refused
        )

    def holds(self, value: Any) -> bool:
        return self.inner.holds(value)

    def typed(self, value: Any, path: str) -> Iterator[Fault]:
        return self.inner.typed(value, path)

    def valid(self) -> st.SearchStrategy[Any]:
        return self.inner.valid().filter(lambda each: not self.forbidden(each))


@dataclass
class Document(Record):
    """A model with a collection; the reference's verdict is `faults`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inner = self.annotation
        body = {"__module__": __name__, "__annotations__": {"id": int}}
        metaclass: Any = type(Model)
        self.model = metaclass(f"{self.name}Document", (inner,), body, collection=self.name.lower())

    def faults(self, document: dict[str, Any]) -> set[Fault]:
        key = Scalar(int, (int, Int64), st.integers())
        fields = {name: each for name, each in document.items() if name != "_id"}
        return {*key.judge(document["_id"], "_id"), *self.typed(fields, "")}
