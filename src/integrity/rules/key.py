"""What MongoDB refuses as an ``_id``, whatever is declared: an array, a regular expression, a name with a dollar.

A view may have such an ``_id``, as what ``$group`` makes: it is nothing to audit.
Source: https://www.mongodb.com/docs/manual/core/document/#the-_id-field
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bson import DBRef

from integrity.declare import bson_type
from integrity.rules.rule import Fault
from integrity.rules.schema import constraint_not_met, wrong_type
from integrity.rules.walk import Found, Path
from integrity.violation import quote

_NEVER = frozenset({"array", "regex"})
#: The names of a DBRef, and the one that each stands behind.
_BEHIND = {"$id": "$ref", "$db": "$id"}


def faults(id: Any) -> Iterator[Found]:
    """Yield what is wrong with an ``_id`` that is to be stored."""
    kind = bson_type.alias(id)
    if kind in _NEVER:
        shown = quote(id)
        hint = "Give a value of another type, such as an object that holds it."
        fault = Fault(f"is {bson_type.NAMES[kind]}, {shown}; MongoDB refuses it as an _id.", hint, (shown,))
        yield wrong_type.RULE, fault, ("_id",), ("_id",)
    else:
        yield from _names(id, ("_id",))


def _names(value: Any, path: Path) -> Iterator[Found]:
    if isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _names(each, (*path, index))
    elif isinstance(value, Mapping) and not isinstance(value, DBRef):
        names = list(value)
        for before, name, after in zip(["", *names], names, [*names[1:], ""], strict=False):
            if name.startswith("$") and _BEHIND.get(name) != before and (name, after) != ("$ref", "$id"):
                shown = quote(name)
                text = f"is called {shown}; inside an _id MongoDB refuses names that begin with a dollar."
                fault = Fault(text, "Give it another name.", (shown,))
                at = (*path, name)
                yield constraint_not_met.RULE, fault, at, tuple("[]" if isinstance(each, int) else each for each in at)
            else:
                yield from _names(value[name], (*path, name))
