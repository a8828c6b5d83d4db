r"""The faults that are planted into the shop: of every family, and each known by its place.

They are what programs without a guard leave behind: an import that wrote ``\N``, a form that sent spaces, a delete
that came too early. No document gets two, so that an audit must find exactly these.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from integrity.demo.shop import CUSTOMERS, Documents

_ABSENT: Any = object()
#: Documents between two faults: each has one at most.
_APART = 7


@dataclass(frozen=True, order=True)
class Planted:
    """One planted fault.

    Args:
        collection: The collection.
        code: The rule that must find it.
        path: The concrete path.
        id: The document's ``_id``.
    """

    collection: str
    code: str
    path: str
    id: Any


@dataclass(frozen=True)
class _Kind:
    collection: str
    code: str
    path: str
    count: int
    value: Any | Callable[[Any], Any]


_KINDS = (
    _Kind("customers", "EMP001", "name", 9, ""),
    _Kind("customers", "EMP002", "address.street", 6, "  \u00a0"),
    _Kind("customers", "EMP003", "interests", 7, []),
    _Kind("customers", "EMP004", "address.city", 4, None),
    _Kind("customers", "FRB001", "phone", 14, "N/A"),
    _Kind("customers", "FRB001", "address.city", 5, "\\N"),
    _Kind("customers", "FRB002", "email", 1, "test@test.com"),
    _Kind("customers", "SCH003", "address.country", 3, "Germany"),
    _Kind("customers", "SCH004", "emial", 2, "ada@shop.test"),
    _Kind("products", "EMP005", "weight", 3, float("nan")),
    _Kind("products", "SCH001", "stock", 5, "12"),
    _Kind("products", "SCH002", "price", 2, _ABSENT),
    _Kind("products", "SCH003", "stock", 4, -1),
    _Kind("orders", "REF001", "customer_id", 12, lambda old: old + CUSTOMERS),
    _Kind("orders", "REF001", "items.0.product_id", 8, "OLD-999"),
    _Kind("orders", "OWN001", "items.0.name", 11, lambda old: f"{old} (new)"),
    _Kind("orders", "SCH005", "shipped", 3, dt.datetime(2025, 12, 24)),  # noqa: DTZ001 - as in shop
    _Kind("orders", "EMP003", "items", 2, []),
    _Kind("reviews", "REF002", "customer_id", 10, str),
    _Kind("reviews", "SCH003", "stars", 3, 6),
    _Kind("reviews", "FRB001", "text", 8, "[object Object]"),
)

#: Pairs of documents that are given one value: both of a pair are found.
_TWINS = (
    ("customers", ("email",), 4),
    ("reviews", ("product_id", "customer_id"), 3),
)


def plant(documents: Documents) -> list[Planted]:
    """Plant the faults into the documents, in place.

    Args:
        documents: The shop's documents by collection.

    Returns:
        Every planted fault, sorted.
    """
    planted: list[Planted] = []
    free = {name: iter(range(5, len(many), _APART)) for name, many in documents.items()}
    for kind in _KINDS:
        for _ in range(kind.count):
            document = documents[kind.collection][next(free[kind.collection])]
            _set(document, kind.path.split("."), kind.value)
            # A validator of the whole document names no path.
            path = "" if kind.code == "SCH005" else kind.path
            planted.append(Planted(kind.collection, kind.code, path, document["_id"]))
    for collection, fields, pairs in _TWINS:
        for _ in range(pairs):
            first, second = (documents[collection][next(free[collection])] for _ in range(2))
            for name in fields:
                second[name] = first[name]
            path = ", ".join(fields)
            planted += [Planted(collection, "UNQ001", path, each["_id"]) for each in (first, second)]
    return sorted(planted, key=lambda each: (each.collection, each.code, each.path, str(each.id)))


def _set(document: dict[str, Any], steps: list[str], value: Any) -> None:
    at: Any = document
    for step in steps[:-1]:
        at = at[int(step)] if isinstance(at, list) else at[step]
    last = steps[-1]
    if value is _ABSENT:
        del at[last]
    else:
        at[last] = value(at[last]) if callable(value) else value
