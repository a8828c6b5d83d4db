"""A write of an older revision of a document than the one that is stored.

## What it finds

A replacement of a document with a `Revision()` field that was made from an older revision than the stored one, or
from a document that was deleted since, or that names no revision.

## Why it matters

Two people open one form; the second save undoes the first (a lost update), or brings back what was deleted.

## Example

    class Page(Model, collection="pages"):
        id: int
        text: str
        revision: Annotated[int, Revision()] = 0

    db = integrity.Database(database, models=[Page])
    db[Page].insert_one({"_id": 1, "text": "first"})
    db[Page].replace_one({"_id": 1}, {"_id": 1, "text": "second", "revision": 0})
    db[Page].replace_one({"_id": 1}, {"_id": 1, "text": "third", "revision": 0})

    OWN005 pages.revision: is revision 0, and the stored one is 1.

## On a write

Refused as `StaleDocument`; nothing is stored. An update counts the revision up.

## In an audit

Not judged: nothing in a stored document tells.

## Repair

None is needed: nothing was stored.
"""

from __future__ import annotations

from typing import Any

from integrity.rules.rule import Fault, Rule

RULE = Rule("OWN005", "stale-revision", __name__, audited=False, repair="none")


def fault(revision: Any, stored: Any, *, deleted: bool) -> Fault:
    """Return what is wrong with a write.

    Args:
        revision: The revision that was read.
        stored: The revision that is stored.
        deleted: Whether there is no such document any more.
    """
    now = "the document was deleted since" if deleted else f"the stored one is {stored}"
    return Fault(
        f"is revision {revision}, and {now}.",
        "Read the document again, apply the change to what it is now, and write that.",
    )


def missing() -> Fault:
    """Return what is wrong with a replacement that does not say which revision it was made from."""
    return Fault(
        "says no revision, and would overwrite whatever was written since it was read.",
        "Replace the document that was read, with its revision, or name the revision in the filter.",
    )


def kept() -> Fault:
    """Return what is wrong with an update that sets the revision by hand."""
    return Fault(
        "counts the document's writes and is kept by the library.",
        "Leave it out of the update; name the revision that was read in the filter.",
    )
