"""Less than everything: the documents that are new or changed since a time, an ``_id``, or the last audit.

A filter here may choose too many documents and never too few: of what has no time, nobody knows that it is old.
"""

from __future__ import annotations

import datetime as dt
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId, json_util
from bson.binary import UuidRepresentation
from bson.errors import BSONError

from integrity.declare.registry import Entry, Reference
from integrity.errors import AuditError

Clause = dict[str, Any]

#: Ids in one ``$in``: some 2 MB of strings.
_TOGETHER = 10_000
#: Ids that are asked for one by one, in one query.
_ONE_BY_ONE = 100
_JSON = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED, tz_aware=False, uuid_representation=UuidRepresentation.STANDARD
)
#: ``$type`` by the types that a command line can name.
_ALIASES: tuple[tuple[type, str], ...] = (
    (bool, "bool"), (int, "number"), (float, "number"), (str, "string"), (ObjectId, "objectId"), (dt.datetime, "date"),
)  # fmt: skip


@dataclass(frozen=True)
class Since(ABC):
    """What is new.

    Args:
        described: One sentence that says what was asked for.
    """

    described: str

    @abstractmethod
    def filters(self, entry: Entry) -> Iterator[Clause]:
        """Yield filters that together choose the documents of a collection; one may be chosen by several."""


@dataclass(frozen=True)
class SinceTime(Since):
    """What was written since a time, by its ObjectId, or changed, by a field that says when.

    Args:
        time: In UTC, without a zone.
        timestamp: The field that says when a document was changed, where a model declares one of this name.
    """

    time: dt.datetime
    timestamp: str | None = None

    def filters(self, entry: Entry) -> Iterator[Clause]:
        """Yield the filter; what has no time is chosen."""
        clauses: list[Clause] = [{"_id": {"$gte": ObjectId.from_datetime(self.time)}}]
        if self.timestamp is not None and self.timestamp in entry.document.fields:
            clauses += [{self.timestamp: {"$gte": self.time}}, {self.timestamp: {"$not": {"$type": "date"}}}]
        else:
            clauses.append({"_id": {"$not": {"$type": "objectId"}}})
        yield {"$or": clauses}


@dataclass(frozen=True)
class SinceId(Since):
    """What has a higher ``_id``.

    Args:
        identity: An ``_id``; those of other types are neither higher nor lower, and are chosen.
    """

    identity: Any

    def filters(self, entry: Entry) -> Iterator[Clause]:
        """Yield the filter."""
        del entry
        alias = next(name for kind, name in _ALIASES if isinstance(self.identity, kind))
        yield {"$or": [{"_id": {"$gt": self.identity}}, {"_id": {"$not": {"$type": alias}}}]}


@dataclass(frozen=True)
class SinceLast(Since):
    """What a change stream told of, and what refers to it.

    Args:
        written: The ids of the documents that were written, by collection.
        deleted: The ids of those that were deleted, by collection.
        changed: Queries for those of either kind whose ids the driver would write otherwise, by collection.
        silent: Views and time series, of which no change stream tells: all of them is chosen.
    """

    written: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    deleted: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    changed: Mapping[str, tuple[Clause, ...]] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()

    def filters(self, entry: Entry) -> Iterator[Clause]:
        """Yield the filters.

        Raises:
            AuditError: What refers to the changes cannot be asked for.
        """
        if entry.collection in self.silent:
            yield {}
            return
        yield from _within("_id", self.written.get(entry.collection, ()))
        changed = self.changed.get(entry.collection, ())
        for start in range(0, len(changed), _ONE_BY_ONE):
            yield {"$or": list(changed[start : start + _ONE_BY_ONE])}
        copied = {id(each.via) for each in entry.copies}
        for each in entry.references:
            target = each.target.collection
            gone = self.deleted.get(target, ())
            # Without its pre-image, a deleted or changed document's other fields are not known any more.
            touched = (*gone, *self.written.get(target, ())) if id(each) in copied or each.field != "_id" else gone
            odd = target in self.changed or target in self.silent
            if not touched and not odd:
                continue
            if odd or each.field != "_id" or "*" in each.place.steps:
                yield _everything(each)
            else:
                yield from _within(".".join(step for step in each.place.steps if step != "[]"), touched)


def _everything(reference: Reference) -> Clause:
    """Choose every document in which a reference may stand."""
    return {reference.place.steps[0]: {"$exists": True}}


def _within(name: str, values: tuple[Any, ...]) -> Iterator[Clause]:
    for start in range(0, len(values), _TOGETHER):
        yield {name: {"$in": list(values[start : start + _TOGETHER])}}


def parsed(text: str, timestamp: str | None = None) -> Since:
    """Return what a command line asks for.

    Args:
        text: A time as ISO 8601 (UTC where it names no zone), or an ``_id``: an ObjectId's 24 digits, a whole number,
            or relaxed extended JSON.
        timestamp: The field that says when a document was changed.

    Raises:
        AuditError: It is neither.
    """
    if re.fullmatch(r"[0-9a-fA-F]{24}", text):
        return _after(ObjectId(text), text)
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return _after(int(text), text)
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return since_time(time, timestamp)
    try:
        identity = json_util.loads(text, json_options=_JSON)
    except (ValueError, TypeError, KeyError, ArithmeticError, BSONError):  # as it is broken
        identity = None
    if not isinstance(identity, tuple(kind for kind, _ in _ALIASES)):
        raise AuditError(
            f"--since {text!r} is no time (2026-07-01 or 2026-07-01T12:00Z), no _id (an ObjectId's 24 digits, a whole "
            "number, or extended JSON), and not last."
        )
    return _after(identity, text)


def since_time(time: dt.datetime, timestamp: str | None = None) -> SinceTime:
    """Return what was written since a time, which is of UTC where it names no zone."""
    utc = time.replace(tzinfo=None) if time.tzinfo is None else time.astimezone(dt.UTC).replace(tzinfo=None)
    by = "the time in its ObjectId" if timestamp is None else f"its ObjectId's time or by {timestamp}"
    return SinceTime(f"Only what is new since {utc:%Y-%m-%d %H:%M:%S} UTC, by {by}, was asked for.", utc, timestamp)


def _after(identity: Any, text: str) -> SinceId:
    return SinceId(f"Only what has an _id beyond {text} was asked for.", identity)
