"""One fault of one stored or offered value, as data.

A `Violation` is what every refusal carries and every audit reports: which rule was broken, where, and what
to do about it. It knows nothing of MongoDB; its `id` is whatever the document's `_id` is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from bson import json_util
from bson.binary import UuidRepresentation

#: A UUID is subtype 4, as the stores read it; without a representation the driver refuses to write one.
_RELAXED = json_util.RELAXED_JSON_OPTIONS.with_options(uuid_representation=UuidRepresentation.STANDARD)

REDACTED = "<redacted>"
_SHOWN = 60
#: How much of an ``_id`` is shown: a compound key of two ObjectIds is to be found again.
IDENTITY = 200


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule at one path of one document.

    Args:
        code: The rule's stable code, such as ``"EMP001"``.
        rule: The rule's name, such as ``"empty-string"``.
        collection: The collection's name.
        id: The document's ``_id``; None when the document has none yet.
        path: The concrete path of the value, such as ``"items.2.qty"``; ``""`` is the whole document.
        message: One sentence that says what is wrong.
        hint: One sentence that says what to do next.
        values: The pieces of `message` and `hint` that quote a stored or offered value: what `redacted` takes out.
        field: The declared path, with ``[]`` for array elements and ``*`` for keys of a mapping, such as
            ``"items[].qty"``: what counts are kept by. Equal to `path` where nothing is repeated.
    """

    code: str
    rule: str
    collection: str
    id: Any
    path: str
    message: str
    hint: str
    values: tuple[str, ...] = ()
    field: str = ""

    def __post_init__(self) -> None:
        if not self.field:
            object.__setattr__(self, "field", self.path)

    def redacted(self) -> Violation:
        """Return the same violation without any value of the document in its message and its hint.

        Where it is stays: the collection, the ``_id`` and the path.
        """
        values = sorted(filter(None, self.values), key=len, reverse=True)
        if not values:
            return replace(self, values=())
        # In one pass: what has been put in is not looked through for the next value.
        pattern = re.compile("|".join(map(re.escape, values)))
        return replace(
            self, message=pattern.sub(REDACTED, self.message), hint=pattern.sub(REDACTED, self.hint), values=()
        )

    def to_json(self) -> dict[str, Any]:
        """Return the violation as a JSON-ready dict, the ``_id`` in relaxed extended JSON.

        The keys are ``code``, ``rule``, ``collection``, ``id``, ``path``, ``message`` and ``hint``.
        Source: https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/
        """
        return {
            "code": self.code,
            "rule": self.rule,
            "collection": self.collection,
            "id": extended_json(self.id),
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
        }

    def __str__(self) -> str:
        where = f"{self.collection}.{self.path}" if self.path else self.collection
        return f"{self.code} {where}: {self.message}"


def extended_json(value: Any) -> Any:
    """Return `value` as JSON-ready Python, in MongoDB's relaxed extended JSON."""
    return json_util._json_convert(value, _RELAXED)  # noqa: SLF001 - the public form is text


def quote(value: Any, limit: int = _SHOWN) -> str:
    """Return `value` as it is quoted in a message: one line, control characters escaped, shortened.

    A string of more characters than `limit` is cut, with its length; an array or object says how many it holds
    once its text is longer than that.
    """
    if isinstance(value, str):
        shown = ascii(value) if not value.isprintable() else repr(value)
        return shown if len(shown) <= limit else f"{shown[: limit - 1]}…' ({len(value)} characters)"
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    text = " ".join(repr(value).split())
    if len(text) <= limit:
        return text
    if isinstance(value, list | tuple | dict | set | frozenset):
        kind = "object with {} fields" if isinstance(value, dict) else "array of {} elements"
        return f"an {kind.format(len(value))}"
    return text[: limit - 1] + "…"
