"""Quarantine: a document that breaks rules is moved to ``COLLECTION.quarantine``, and can be released from there.

What is moved, byte for byte, stands in the field ``document`` of its record, with what was wrong with it beside it.
It can be mended there, by hand, and released: it is then judged like any other document that is inserted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from integrity.declare.equality import equal, same
from integrity.declare.extract import values_at
from integrity.declare.registry import Entry, Registry, UniqueKey
from integrity.errors import IntegrityError, InvalidDocument, RepairError
from integrity.repair.record import collection_of
from integrity.repair.swap import refused
from integrity.repair.taken import taken
from integrity.repair.verbatim import NO_WAY_BACK, as_it_is, writes_back
from integrity.rules.judge import Judge
from integrity.rules.rule import At
from integrity.rules.unique import duplicate_value
from integrity.store.codecs import raw_document
from integrity.store.forgiving import decoded
from integrity.store.port import Document, Store
from integrity.violation import Violation, extended_json
from integrity.writes.guard import EVERYBODY, Guard
from integrity.writes.insert_one import insert_one
from integrity.writes.references import protocol
from integrity.writes.refusal import refusal
from integrity.writes.transaction import transact
from integrity.writes.unique import Indexes

_PAGE = 100


@dataclass(frozen=True)
class Held:
    """A document in quarantine.

    Args:
        collection: Where it was.
        record: The ``_id`` of its record.
        id: Its own ``_id``.
        at: Since when, in UTC.
        codes: What was wrong with it.
        document: The document.
    """

    collection: str
    record: Any
    id: Any
    at: dt.datetime
    codes: tuple[str, ...]
    document: Document


@dataclass(frozen=True)
class Released:
    """What became of a document that was to be released.

    Args:
        held: The document.
        reason: Why it stays; empty when it was released.
        violations: What it breaks still.
    """

    held: Held
    reason: str = ""
    violations: tuple[Violation, ...] = ()


async def held(store: Store, entry: Entry, id: Any = None, *, every: bool = True) -> AsyncIterator[Held]:
    """Yield the documents of a model in quarantine.

    Args:
        store: The database.
        entry: The model's entry.
        id: The ``_id`` of one of them.
        every: Whether all of them are meant, and not the one.

    Raises:
        RepairError: There is a record that no repair has made.
    """
    filter_ = {} if every else {"document._id": {"$eq": id}}
    batches = store.find(collection_of(entry.collection), filter_, sort=[("_id", 1)], batch_size=_PAGE)
    try:
        while batch := await batches.next(_PAGE):
            for each in batch:
                yield _held(entry, each)
    finally:
        await batches.close()


def _held(entry: Entry, record: Document) -> Held:
    at, document, violations = (record.get(name) for name in ("at", "document", "violations"))
    known = isinstance(violations, list) and all(isinstance(each, dict) for each in violations)
    if not (known and isinstance(document, dict) and isinstance(at, dt.datetime)):
        raise RepairError(
            f"{collection_of(entry.collection)} holds a record that no repair has made, with the _id "
            f"{extended_json(record['_id'])!r}: move it elsewhere first."
        )
    codes = tuple(str(each.get("code", "")) for each in violations or ())
    return Held(entry.collection, record["_id"], document.get("_id"), at, codes, document)


async def release(store: Store, registry: Registry, one: Held) -> Released:
    """Insert a document where it was, through the guard, and take it out of quarantine; both or neither.

    On a server without transactions it is inserted first: a crash in between leaves it in both places, and releasing
    it again ends it.
    """
    entry = next(each for each in registry if each.collection == one.collection)
    references = protocol("auto", registry)
    guard = Guard(store, registry, entry, Judge(entry), EVERYBODY, references, Indexes("trust"))
    if entry.references:
        await references.prepare(store)

    stored = store.for_bytes()

    async def body(session: Any) -> str:
        options = {} if session is None else {"session": session}
        record: Any = await stored.find_one(collection_of(entry.collection), {"_id": one.record}, **options)
        document: Any = None if record is None else raw_document(record.raw).get("document")
        if not isinstance(document, RawBSONDocument) or not equal(decoded(document), one.document):
            return "it was changed, or released, since it was read"
        data = bytes(document.raw)
        if not writes_back(decoded(data), data):
            return f"{NO_WAY_BACK}, such as a name that is there twice: mend that in its record"
        there = await store.find_one(entry.collection, {"_id": one.id}, **options) if session is None else None
        if there is None or not equal(there, one.document):
            # No index may be there yet: the duplicates of which this is one are in its way.
            double = await taken(store, entry, decoded(data), store.exact, session)
            if double is not None:
                raise refusal([_double(entry, double, one.document)], model=entry.name)
            await insert_one(guard, decoded(data), session=session)
        made: Any = await stored.find_one(entry.collection, {"_id": one.id}, **options)
        if made is not None and made.raw != data and same(decoded(made), decoded(data)):
            # Nothing was changed but the type of whole numbers, which Python does not tell apart.
            as_made = {"_id": one.id, **as_it_is(made.raw)}
            await store.replace_one(entry.collection, as_made, document, **options)  # type: ignore[arg-type]  # a document too
        await store.delete_one(collection_of(entry.collection), {"_id": one.record}, **options)
        return ""

    try:
        reason = await (transact(store, body) if await references.transactional(store) else body(None))
    except InvalidDocument as error:
        codes = ", ".join(sorted({f"{each.code} {each.path}".strip() for each in error.violations}))
        return Released(one, f"it breaks {codes}", error.violations)
    except (IntegrityError, OperationFailure) as error:
        return Released(one, refused(error))
    return Released(one, reason)


def _double(entry: Entry, unique: UniqueKey, document: Document) -> Violation:
    at = At(entry.collection, document.get("_id"), unique.path, unique.path)
    values = {".".join(each.steps): [value for _, value in values_at(document, each.steps)] for each in unique.places}
    alone = {name: each[0] if len(each) == 1 else each or None for name, each in values.items()}
    value = alone if len(alone) > 1 else next(iter(alone.values()))
    return duplicate_value.RULE.violation(at, duplicate_value.fault(value))
