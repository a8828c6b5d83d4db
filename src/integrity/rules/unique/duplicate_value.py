"""A value that is declared unique is there more than once.

## What it finds

Every member of a group of documents with equal values at a `Unique()` field, or with equal values of all fields of
a compound `Unique("a", "b")`. Null and absent are not compared unless it says `nulls="equal"`.

## Why it matters

Two accounts with one e-mail address: each is found by chance. Without a unique index two writers that look first
and insert then make duplicates.

## Example

    class Customer(Model, collection="customers"):
        id: int
        email: Annotated[str, Unique()]

    customers  {"_id": 1, "email": "ada@shop.test"}
    customers  {"_id": 2, "email": "ada@shop.test"}

    UNQ001 customers.email: is 'ada@shop.test', which is there 2 times and is declared unique.
    UNQ001 customers.email: is 'ada@shop.test', which is there 2 times and is declared unique.

## On a write

Refused; nothing is stored. What holds under concurrency is the unique index.

## In an audit

The server groups, Python judges, and every member of a group counts once. Values that another rule has reported
already (empty, placeholder, wrong type) are not compared.

## Repair

Unsafe: which of the documents is the right one, or how they are merged, only the application knows.
"""

from __future__ import annotations

from typing import Any

from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule(
    "UNQ001",
    "duplicate-value",
    __name__,
    repair="unsafe",
    remedies=(remedy.KEEP_OLDEST, remedy.KEEP_NEWEST, remedy.QUARANTINE),
)

#: Of so many values each is shown, shortened: what is taken is the whole of them.
_FEW = 6


def fault(value: Any, others: int | None = None) -> Fault:
    """Return what is wrong with a value that others have too.

    Args:
        value: The value, or a dict of the values of a compound constraint.
        others: How many more there are; None when it is not known.
    """
    shown = quote(value)
    if isinstance(value, dict) and not shown.startswith("{") and len(value) <= _FEW:
        shown = f"{{{', '.join(f'{name!r}: {quote(each)}' for name, each in value.items())}}}"
    many = "is taken" if others is None else f"is there {others + 1} times"
    return Fault(
        f"is {shown}, which {many} and is declared unique.", "Choose another value, or merge the documents.", (shown,)
    )
