"""Releasing a document from quarantine: it is judged like any other that is inserted, and goes back where it was.

With transactions, both of it or neither: of two that release one document, the later one finds no record. Without, it
is inserted and then its record removed, and a crash in between leaves it in both places. So who releases one *claims*
the record first, and others wait for what becomes of it: who removes the record has released the document, and nobody
else has. The claim of a process that was killed ends with its time, by the server's clock; whoever comes then finishes
what it finds. Nothing is removed from where it was before it is known to be in the other place: who was held up for
longer than its time, and finds that another has finished, leaves it at that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from integrity.declare.equality import equal, same
from integrity.declare.extract import values_at
from integrity.declare.registry import Entry, Registry, UniqueKey
from integrity.errors import IntegrityError, InvalidDocument
from integrity.repair.journal import LEASE
from integrity.repair.quarantine import Held
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
from integrity.violation import Violation
from integrity.writes.guard import EVERYBODY, Guard
from integrity.writes.insert_one import insert_one
from integrity.writes.references import protocol
from integrity.writes.refusal import refusal
from integrity.writes.transaction import transact
from integrity.writes.unique import Indexes

#: The field of a record that says who releases its document, and since when.
CLAIM = "releasing"
#: Seconds after which it is looked again what became of another's claim.
_POLL = 0.1

ALREADY = "it was released already, or its repair was undone"
_CHANGED = "it was changed since it was read"
_MENDED = "it was mended in quarantine while it was released as it had been: delete one of the two"


@dataclass(frozen=True)
class Released:
    """What became of a document that was to be released.

    Args:
        held: The document.
        reason: Why this call has not released it; empty when it has.
        violations: What it breaks still.
    """

    held: Held
    reason: str = ""
    violations: tuple[Violation, ...] = ()

    @property
    def stays(self) -> bool:
        """Whether it is in quarantine still."""
        return self.reason not in {"", ALREADY}


async def release(store: Store, registry: Registry, one: Held) -> Released:
    """Insert a document where it was, through the guard, and take it out of quarantine; both or neither.

    Of several that release one document at the same time, one does; the others wait for it, and say so.

    Args:
        store: The database.
        registry: The declarations.
        one: The document, as `held` yields it.
    """
    entry = next(each for each in registry if each.collection == one.collection)
    references = protocol("auto", registry)
    guard = Guard(store, registry, entry, Judge(entry), EVERYBODY, references, Indexes("trust"))
    if entry.references:
        await references.prepare(store)
    releasing = _Releasing(guard, one)
    alone = not await references.transactional(store)
    try:
        reason = await (releasing.claimed() if alone else transact(store, releasing.within))
    except InvalidDocument as error:
        codes = ", ".join(sorted({f"{each.code} {each.path}".strip() for each in error.violations}))
        found = Released(one, f"it breaks {codes}", error.violations)
    except (IntegrityError, OperationFailure) as error:
        found = Released(one, refused(error))
    else:
        found = Released(one, reason)
    if found.reason and alone:
        await releasing.let_go()
    # What is in the way of one that is released may be the document itself, which another has released.
    return Released(one, ALREADY) if found.reason and await releasing.gone() else found


class _Releasing:
    """One release of a document.

    Args:
        guard: The model's guard.
        one: The document.
    """

    def __init__(self, guard: Guard, one: Held) -> None:
        self._guard = guard
        self._store = guard.store
        self._bytes = guard.store.for_bytes()
        self._one = one
        self._aside = collection_of(one.collection)
        self._token = ObjectId()

    async def within(self, session: Any) -> str:
        """Release it in a transaction; return why not, or an empty text."""
        record: Any = await self._bytes.find_one(self._aside, {"_id": self._one.record}, session=session)
        if record is None:
            return ALREADY
        if reason := await self._inserted(record, session):
            return reason
        await self._store.delete_one(self._aside, {"_id": self._one.record}, session=session)
        return ""

    async def claimed(self) -> str:
        """Release it under a claim; return why not, or an empty text."""
        while True:
            read: Any = await self._bytes.find_one(self._aside, {"_id": self._one.record})
            if read is None:
                return ALREADY
            record = await self._claim(bytes(read.raw))
            if record is not None:
                break
            await self._store.sleep(_POLL)
        # A claim that stood there has ended with its time: who had it may have come as far as the insert.
        if reason := await self._inserted(record, None, begun=CLAIM in read):
            return reason
        done = await self._store.delete_one(self._aside, {"_id": self._one.record, **as_it_is(bytes(record.raw))})
        if done.deleted_count:
            return ""
        return ALREADY if await self.gone() else _MENDED

    async def _claim(self, record: bytes) -> Any:
        """Claim a record that is as it was read; return it as it is then, or None where it is claimed or changed."""
        # Longer than an insert waits for what it refers to to be deleted, or not to be.
        seconds = LEASE + (self._guard.references.timing.patience if self._guard.entry.references else 0)
        over = {"$add": [f"${CLAIM}.at", int(seconds * 1000)]}
        free = {"$expr": {"$not": [{"$gt": [over, "$$NOW"]}]}}
        return await self._bytes.find_one_and_update(
            self._aside,
            {"$and": [{"_id": self._one.record}, as_it_is(record), free]},
            # No pipeline: it would write the document anew, and not all that is BSON comes through one.
            {"$set": {f"{CLAIM}.by": self._token}, "$currentDate": {f"{CLAIM}.at": True}},
            return_document=True,  # as it is after the update
        )

    async def let_go(self) -> None:
        """Take the claim off the record, which has its bytes again."""
        mine = {"_id": self._one.record, f"{CLAIM}.by": self._token}
        await self._store.update_one(self._aside, mine, {"$unset": {CLAIM: ""}})

    async def gone(self) -> bool:
        """Whether there is no record any more."""
        return await self._store.find_one(self._aside, {"_id": self._one.record}, {"_id": 1}) is None

    async def _inserted(self, record: Any, session: Any, *, begun: bool = False) -> str:
        """See that the document is where it was; return why not, or an empty text.

        Args:
            record: Its record.
            session: The session of the transaction, or None.
            begun: Whether another has begun to release it, and was killed.
        """
        entry, one = self._guard.entry, self._one
        options = {} if session is None else {"session": session}
        document: Any = raw_document(record.raw).get("document")
        if not isinstance(document, RawBSONDocument) or not equal(decoded(document), one.document):
            return _CHANGED
        data = bytes(document.raw)
        if not writes_back(decoded(data), data):
            return f"{NO_WAY_BACK}, such as a name that is there twice: mend that in its record"
        there: Any = await self._bytes.find_one(entry.collection, {"_id": {"$eq": one.id}}, **options)
        if there is not None and there.raw == data:
            return ""  # whoever set it aside was killed, or whoever released it
        if there is not None and not (begun and _came_of(decoded(there), decoded(data))):
            return (
                f"{entry.collection} has a document with its _id: it was never taken away, or came since; delete one "
                "of the two"
            )
        if there is None:
            # No index may be there yet: the duplicates of which this is one are in its way.
            double = await taken(self._store, entry, decoded(data), self._store.exact, session)
            if double is not None:
                raise refusal([_double(entry, double, one.document)], model=entry.name)
            await insert_one(self._guard, decoded(data), session=session)
        made: Any = await self._bytes.find_one(entry.collection, {"_id": {"$eq": one.id}}, **options)
        if made is not None and made.raw != data and same(decoded(made), decoded(data)):
            # Nothing was changed but the type of whole numbers, which Python does not tell apart.
            as_made = {"_id": one.id, **as_it_is(bytes(made.raw))}
            await self._bytes.replace_one(entry.collection, as_made, document, **options)  # type: ignore[arg-type]  # a document too
        return ""


def _came_of(there: Document, document: Document) -> bool:
    """Whether one document is another one with what its model adds."""
    return all(name in there and same(there[name], value) for name, value in document.items())


def _double(entry: Entry, unique: UniqueKey, document: Document) -> Violation:
    at = At(entry.collection, document.get("_id"), unique.path, unique.path)
    values = {".".join(each.steps): [value for _, value in values_at(document, each.steps)] for each in unique.places}
    alone = {name: each[0] if len(each) == 1 else each or None for name, each in values.items()}
    value = alone if len(alone) > 1 else next(iter(alone.values()))
    return duplicate_value.RULE.violation(at, duplicate_value.fault(value))
