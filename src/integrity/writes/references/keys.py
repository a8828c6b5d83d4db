"""The keys that references go by: one value of one field of one collection, under a name that every process agrees on.

MongoDB calls 1, 1.0 and Decimal128("1") equal, so they have one name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from integrity.declare.equality import key
from integrity.declare.extract import ABSENT, value_at, values_at
from integrity.declare.registry import Entry, Reference
from integrity.store.lookup import PLAIN
from integrity.store.port import Document


class Key:
    """What a reference names.

    Args:
        collection: The target's collection.
        field: The stored name of the target's field.
        value: Its value.
        at: What two equal keys are equal by, when it is known.
    """

    __slots__ = ("_name", "at", "collection", "field", "value")

    def __init__(self, collection: str, field: str, value: Any, at: Hashable = None) -> None:
        self.collection = collection
        self.field = field
        self.value = value
        self.at = (collection, field, key(value)) if at is None else at
        self._name = ""

    @property
    def name(self) -> str:
        """32 hexadecimal digits, the same in every process for equal values."""
        if not self._name:
            text = f"{self.collection}\0{self.field}\0{_text(key(self.value))}"
            self._name = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return self._name

    def __repr__(self) -> str:
        return f"Key({self.collection!r}, {self.field!r}, {self.value!r})"


#: Whether a reference is kept from dangling. Asked at every insert, and no function of Python's.
protected: Callable[[Reference], bool] = attrgetter("protected")


def by_field(keys: Iterable[Key]) -> dict[tuple[str, str], list[Key]]:
    """Return keys by what one look-up asks: a collection and a field of it."""
    found: dict[tuple[str, str], list[Key]] = {}
    for each in keys:
        found.setdefault((each.collection, each.field), []).append(each)
    return found


def named(entry: Entry, documents: Sequence[Document]) -> dict[Hashable, Key]:
    """Return the distinct keys that documents name, by references that are protected or that copies follow."""
    found: dict[Hashable, Key] = {}
    for reference in entry.kept:
        collection, field = reference.target.collection, reference.field
        for at, value in distinct(reference, documents).items():
            name = (collection, field, at)
            if name not in found:
                found[name] = _KNOWN.get(name) or _known(name, value)
    return found


def adds(entry: Entry, before: Document, after: Document) -> bool:
    """Whether a changed document refers to something by a reference that it did not refer to it by.

    By another reference is another thing: who deletes what it names has looked for each of them by itself.
    """
    return any(bool(distinct(each, [after]).keys() - distinct(each, [before]).keys()) for each in entry.kept)


#: Keys that were named lately: making a name takes longer than an insert's other work in this process.
_KNOWN: dict[Hashable, Key] = {}
_REMEMBERED = 20_000


def _known(at: tuple[str, str, Hashable], value: Any) -> Key:
    if len(_KNOWN) >= _REMEMBERED:
        _KNOWN.clear()
    found = _KNOWN[at] = Key(at[0], at[1], value, at)
    return found


def distinct(reference: Reference, documents: Sequence[Mapping[str, Any]]) -> dict[Hashable, Any]:
    """Return the distinct values of a reference in documents, by their equality key."""
    found: dict[Hashable, Any] = {}
    steps = reference.place.steps
    if len(steps) == 1:
        (name,) = steps
        held = [document.get(name) for document in documents]
        if PLAIN.issuperset(map(type, held)):  # what most are: told apart as Python does, of two types too
            return {each: each for each in dict.fromkeys(held)}
        for value in held:
            if type(value) in PLAIN:
                found[value] = value
            elif value is not None:
                found[key(value)] = value
        return found
    for document in documents:
        for value in values(reference, document):
            found.setdefault(key(value), value)
    return found


def values(reference: Reference, document: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the values of a reference in a document; null refers to nothing."""
    for _, value in values_at(document, reference.place.steps):
        if value is not None:
            yield value


def held(entry: Entry, documents: Iterable[Document]) -> dict[Hashable, Key]:
    """Return the distinct keys by which documents may be referred to."""
    found: dict[Hashable, Key] = {}
    for field in fields(entry):
        steps = tuple(field.split("."))
        for document in documents:
            value = value_at(document, steps)
            if value is not ABSENT and value is not None:
                each = Key(entry.collection, field, value)
                found.setdefault(each.at, each)
    return found


def fields(entry: Entry) -> list[str]:
    """Return the stored names of the fields that protected references to a model go by."""
    return list(dict.fromkeys(each.field for each in entry.referrers if protected(each)))


def _text(value: Hashable) -> str:
    """Return a text that is the same for two values that MongoDB calls equal, and for no others."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _number(value)
    if isinstance(value, tuple):
        return f"({','.join(map(_text, value))})"
    return f"{type(value).__name__}:{value!r}"


def _number(value: float | Decimal) -> str:
    if isinstance(value, float | Decimal):
        if math.isinf(value):
            return "number:inf" if value > 0 else "number:-inf"
        top, bottom = value.as_integer_ratio()
        return f"number:{top:x}" if bottom == 1 else f"number:{top:x}/{bottom:x}"
    return f"number:{value:x}"
