"""What stands at one path of a collection's documents, counted. Pure: documents go in, counts come out.

A value that the default policy refuses is dirty: it says nothing of what the field is meant to be, and is counted
apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrity.declare import bson_type
from integrity.declare.equality import key
from integrity.declare.node import Node
from integrity.declare.policy import DEFAULT
from integrity.declare.reading import nameable
from integrity.rules.walk import policy_fault

#: Distinct values that are kept of one path.
KEPT = 20_000
#: Keys of an object from which on it may be a mapping.
_MANY_KEYS = 30
#: How often a key of a mapping is there on average, at most.
_RARE = 0.2
#: Objects inside of objects that are looked into.
_DEEPEST = 8

#: Forms of text that are certain once every value has them.
FORMS: dict[str, re.Pattern[str]] = {
    "ObjectId": re.compile(r"[0-9a-f]{24}"),
    "UUID": re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"),
    "e-mail": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "date and time": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9.]+)?(Z|[+-][0-9:]+)?"),
    "URL": re.compile(r"https?://\S+"),
}

_ANY = Node(anything=True)


@dataclass
class Profile:
    """Counts of one path.

    Args:
        present: How often something stands there, null and dirty values included.
        nulls: How often null.
        types: The clean values by BSON type.
        dirty: The dirty values, as they are shown.
        values: The distinct clean scalars and how often each stands there; by `equality.key`.
        shown: One value for each key of `values`.
        overflow: Whether there were more distinct values than are kept.
        integral: How many of the doubles are whole numbers.
        forms: How many of the strings have each of `FORMS`.
        longest: The length of the longest string.
        objects: How many objects stand there.
        fields: What stands at the fields of those.
        items: What stands in the arrays.
    """

    present: int = 0
    nulls: int = 0
    types: Counter[str] = field(default_factory=Counter)
    dirty: Counter[str] = field(default_factory=Counter)
    values: Counter[Hashable] = field(default_factory=Counter)
    shown: dict[Hashable, Any] = field(default_factory=dict)
    overflow: bool = False
    integral: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    longest: int = 0
    objects: int = 0
    fields: dict[str, Profile] = field(default_factory=dict)
    items: Profile | None = None

    def add(self, value: Any, depth: int = 0) -> None:
        """Count a value."""
        self.present += 1
        if value is None:
            self.nulls += 1
            return
        if not clean(value):
            self.dirty[_shown(value)] += 1
            return
        kind = bson_type.alias(value)
        self.types[kind] += 1
        if kind == "object" and isinstance(value, Mapping):
            self.objects += 1
            if depth < _DEEPEST:
                for name, each in value.items():
                    self.fields.setdefault(name, Profile()).add(each, depth + 1)
        elif kind == "array":
            self.items = self.items or Profile()
            for each in value:
                self.items.add(each, depth + 1)
        else:
            self._scalar(value)

    def _scalar(self, value: Any) -> None:
        if isinstance(value, float) and value.is_integer():
            self.integral += 1
        if isinstance(value, str):
            self.longest = max(self.longest, len(value))
            # A form that one value does not have is not looked for any more.
            for name, form in FORMS.items():
                if self.forms[name] == self.types["string"] - 1 and form.fullmatch(value):
                    self.forms[name] += 1
        at = key(value)
        if at in self.values or len(self.values) < KEPT:
            self.values[at] += 1
            self.shown.setdefault(at, value)
        else:
            self.overflow = True

    @property
    def valid(self) -> int:
        """How many values are neither null nor dirty."""
        return self.types.total()

    @property
    def scalars(self) -> int:
        """How many clean scalars stand there."""
        return self.valid - self.types["object"] - self.types["array"]

    @property
    def distinct(self) -> float:
        """The share of distinct values among the scalars that were kept; 1.0 when none is there twice."""
        kept = self.values.total()
        return len(self.values) / kept if kept else 0.0

    @property
    def mapping(self) -> bool:
        """Whether the objects are mappings: many keys, each rare, of the same kind of value; or keys no model names."""
        if not all(map(nameable, self.fields)):
            return True
        if len(self.fields) < _MANY_KEYS or not self.objects:
            return False
        share = sum(each.present for each in self.fields.values()) / (len(self.fields) * self.objects)
        kinds = Counter(kind for each in self.fields.values() for kind in each.types)
        return share < _RARE and len(kinds) <= 2  # noqa: PLR2004 - a type and its neighbour, such as int and double

    def merged(self) -> Profile:
        """Return the profile of all values of a mapping together."""
        whole = Profile()
        for each in self.fields.values():
            whole.take(each)
        return whole

    def take(self, other: Profile) -> None:
        """Add another profile's counts."""
        self.present += other.present
        self.nulls += other.nulls
        self.integral += other.integral
        self.objects += other.objects
        self.longest = max(self.longest, other.longest)
        self.overflow = self.overflow or other.overflow
        for mine, theirs in (
            (self.types, other.types), (self.dirty, other.dirty), (self.forms, other.forms),
        ):  # fmt: skip
            mine.update(theirs)
        for at, count in other.values.items():
            if at in self.values or len(self.values) < KEPT:
                self.values[at] += count
                self.shown.setdefault(at, other.shown[at])
            else:
                self.overflow = True
        for name, each in other.fields.items():
            self.fields.setdefault(name, Profile()).take(each)
        if other.items is not None:
            self.items = self.items or Profile()
            self.items.take(other.items)


def scalars(profile: Profile, steps: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Profile]]:
    """Yield every place below a profile where scalars stand, with its declared path's steps."""
    for name, each in profile.fields.items():
        yield from _scalars(each, (*steps, name))


def _scalars(profile: Profile, steps: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Profile]]:
    if profile.scalars:
        yield steps, profile
    if profile.objects and not profile.mapping:
        yield from scalars(profile, steps)
    if profile.items is not None:
        yield from _scalars(profile.items, (*steps, "[]"))


def clean(value: Any) -> bool:
    """Whether the default policy lets a value that is not null through."""
    return policy_fault(value, _ANY, DEFAULT) is None


def _shown(value: Any) -> str:
    text = ascii(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 30 else f"{text[:29]}…"  # noqa: PLR2004 - what fits a comment
