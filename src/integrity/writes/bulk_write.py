"""``bulk_write``: each request is guarded as the operation that it is, and what needs no looking up goes together.

Requests that are proved are collected and sent as one bulk of PyMongo's; one that needs more (references, a
transaction, a look at what is stored) is done on its own. An ordered bulk sends what it has collected first.
"""

# ruff: noqa: SLF001 - what PyMongo's requests say, they say in private fields only

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    WriteConcernError,
    WriteError,
)
from pymongo.operations import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.results import BulkWriteResult, DeleteResult, InsertOneResult, UpdateResult

from integrity.errors import DUPLICATE_KEY, ENCODING_ERRORS, InvalidDocument, TransactionRequired, UnguardedWrite
from integrity.store.port import Document
from integrity.writes import oversized
from integrity.writes.candidate import candidates, named, offerable
from integrity.writes.delete import delete_many, delete_one, refuse_trespass
from integrity.writes.guard import refuse_bypass, sendable
from integrity.writes.insert_one import insert_one
from integrity.writes.no_filter import refuse_no_filter
from integrity.writes.outcome import Outcome
from integrity.writes.references import Deleted
from integrity.writes.refusal import refusal, too_large, unencodable
from integrity.writes.replace import Swap, refuse_operators, replace
from integrity.writes.staging import tolerated
from integrity.writes.transaction import committed, joins
from integrity.writes.update import Wish, alone, planned, update, written
from integrity.writes.update_plan import OPERATORS, plan_update

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

Request = InsertOne[Any] | ReplaceOne[Any] | UpdateOne | UpdateMany | DeleteOne | DeleteMany


async def bulk_write(
    guard: Guard,
    requests: Sequence[Request],
    *,
    ordered: bool = True,
    bypass: object = None,
    session: Any = None,
    **options: Any,
) -> BulkWriteResult:
    """Do several writes.

    Args:
        guard: The model's guard.
        requests: PyMongo's request objects.
        ordered: Whether the first failure ends it.
        bypass: PyMongo's ``bypass_document_validation``; refused when true.
        session: PyMongo's session.
        options: PyMongo's ``comment`` and ``let``.

    Raises:
        InvalidBulkWrite: Some break rules; its ``details`` name each by index.
        UnguardedWrite: A request cannot be guarded.
    """
    refuse_bypass(bypass)
    if not isinstance(requests, list | tuple):
        raise TypeError("requests must be a list")  # PyMongo's words
    if not requests:
        raise InvalidOperation("No operations to execute")  # PyMongo's words
    for each in requests:
        if not isinstance(each, InsertOne | ReplaceOne | UpdateOne | UpdateMany | DeleteOne | DeleteMany):
            raise TypeError(f"{each!r} is not a valid request")
        if getattr(each, "_namespace", None) is not None:
            raise UnguardedWrite(f"{each!r} names a collection of its own; write it through that model's collection.")
        _refuse_malformed(guard, each)
    await guard.indexes.ensure(guard.store, guard.entry, session)
    bulk = _Bulk(guard, requests, Outcome(guard.entry, ordered, joins(session)), session, options)
    for index, request in enumerate(requests):
        if not await bulk.collect(index, request):
            if ordered:
                await bulk.flush()
            if not bulk.outcome.over:
                await bulk.alone(index, request)
        if bulk.outcome.over:
            break
    else:
        await bulk.flush()
    bulk.outcome.raise_failures()
    return BulkWriteResult(bulk.outcome.details, acknowledged=True)


def _refuse_malformed(guard: Guard, request: Request) -> None:
    """Refuse what no collection could do, before any request is sent.

    Raises:
        TypeError: A document or a filter is none.
        ValueError: A replacement is an update, or the other way round.
        UnguardedWrite: An operator or a stage is not known.
    """
    if isinstance(request, InsertOne | ReplaceOne):
        offerable(guard, request._doc)
    if not isinstance(request, InsertOne):
        refuse_no_filter(request._filter)
    if isinstance(request, ReplaceOne):
        refuse_operators(request._doc)
    if isinstance(request, UpdateOne | UpdateMany):
        update = request._doc
        if not (type(update) is dict and update and update.keys() <= OPERATORS.keys()):
            plan_update(guard.entry, update)


class _Bulk:
    """A bulk on its way."""

    def __init__(
        self, guard: Guard, requests: Sequence[Request], outcome: Outcome, session: Any, options: dict[str, Any]
    ) -> None:
        self.guard = guard
        self.requests = requests
        self.outcome = outcome
        self.session = session
        self.options = options
        self.indexes: list[int] = []
        self.proved: list[Any] = []
        self.written: list[Document | None] = []

    async def collect(self, index: int, request: Request) -> bool:
        """Take a request that is proved into the collection; refuse one that is certainly wrong.

        Returns:
            Whether that was all there was to do about it.
        """
        try:
            proved = await self._proved(request)
        except InvalidDocument as error:
            if self.outcome.ordered:
                await self.flush()  # what stands before it comes first, and may fail first
            if not self.outcome.over:
                self.outcome.refused(index, error, _operation(request))
            return True
        if proved is None:
            return False
        self.indexes.append(index)
        self.proved.append(proved[0])
        self.written.append(proved[1])
        return True

    async def _proved(self, request: Request) -> tuple[Any, Document | None] | None:
        """Return what is to be sent for a request that is proved, and what it writes, as far as that is known."""
        guard = self.guard
        if isinstance(request, InsertOne) and guard.simple:
            (verdict,) = await candidates(guard, [request._doc], self.session)
            verdict = await tolerated(guard, verdict)
            if verdict.violations:
                raise refusal(verdict.violations, model=guard.entry.name)
            named(request._doc, verdict.document)
            return InsertOne(verdict.document), verdict.document
        if isinstance(request, UpdateOne | UpdateMany):
            wish = _wish(request, self.options)
            plan = await planned(guard, wish, self.session)
            if not alone(guard, wish, plan):
                return _updating(request, plan.update), written(plan)
        if isinstance(request, DeleteOne | DeleteMany) and not guard.references.guards(guard):
            refuse_trespass(guard)
            return request, None
        return None

    async def flush(self) -> None:
        """Send what has been collected."""
        indexes, proved, documents = self.indexes, self.proved, self.written
        self.indexes, self.proved, self.written = [], [], []
        if not proved:
            return
        options = {"ordered": self.outcome.ordered, **sendable(self.session, **self.options)}
        try:
            result = await self.guard.store.bulk_write(self.guard.collection, proved, **options)
        except BulkWriteError as error:
            self.outcome.failed(error, indexes, documents)
        except OperationFailure as error:
            if (at := oversized.among(error, documents)) is None:
                raise
            raise too_large(self.guard.entry, error, documents[at]) from error
        except ENCODING_ERRORS as error:
            raise unencodable(self.guard.entry, error) from error
        else:
            self.outcome.add(result.bulk_api_result, indexes)

    async def alone(self, index: int, request: Request) -> None:
        """Do one request as the operation that it is."""
        try:
            result = await self._done(request)
        except InvalidDocument as error:
            self.outcome.refused(index, error, _operation(request))
        except TransactionRequired as error:
            if not self.outcome.begun:
                raise
            # What stands before it is stored: the caller has to learn that, and which one it was.
            self.outcome.unguarded(index, error, _operation(request))
        except OperationFailure as error:
            if joins(self.session):
                raise
            if isinstance(error, WriteConcernError) and self._unconfirmed(index, error, request):
                return
            self.outcome.errors.append({
                "index": index, "code": error.code, "errmsg": str(error), "op": _operation(request)
            })  # fmt: skip
        else:
            self._count(index, result)

    def _unconfirmed(self, index: int, error: WriteConcernError, request: Request) -> bool:
        """Count what is done, and what too few members have confirmed: PyMongo goes on.

        Returns:
            False where it is not known to be done: where there are references, what is not confirmed may be what the
            library wrote before.
        """
        result, guard = committed(error), self.guard
        if result is None and (guard.entry.references or guard.references.guards(guard)):
            return False
        self.outcome.concern.append(dict(error.details or {"code": error.code, "errmsg": str(error)}))
        self._count(index, InsertOneResult(None, acknowledged=True) if isinstance(request, InsertOne) else result)
        return True

    async def _done(self, request: Request) -> Any:
        guard, session, comment = self.guard, self.session, self.options.get("comment")
        if isinstance(request, InsertOne):
            return await insert_one(guard, request._doc, session=session, comment=comment)
        if isinstance(request, UpdateOne | UpdateMany):
            return await update(guard, _wish(request, self.options), session=session)
        chosen = sendable(None, **self.options, collation=request._collation, hint=request._hint)
        if isinstance(request, DeleteOne):
            return await delete_one(guard, request._filter, session=session, **chosen)
        if isinstance(request, DeleteMany):
            return await delete_many(guard, request._filter, session=session, **chosen)
        return await replace(guard, self._swap(request, chosen), session=session)

    def _swap(self, request: ReplaceOne[Any], chosen: dict[str, Any]) -> Swap:
        guard = self.guard
        if request._sort is not None:
            chosen = {**chosen, "sort": request._sort}

        async def act(filter: Any, document: Any, session: Any, *, upsert: bool) -> Any:
            if joins(session) or guard.store.write_concern.is_server_default:
                options = {**chosen, **sendable(session, upsert=upsert or None)}
                return await guard.store.replace_one(guard.collection, filter, document, **options)
            # A bulk of one: where its write concern is not met, the error of a single operation has no counts.
            one = ReplaceOne(filter, document, upsert, request._collation, request._hint, sort=request._sort)
            options = sendable(session, **self.options)
            try:
                done = await guard.store.bulk_write(guard.collection, [one], **options)
            except BulkWriteError as error:
                for failed in error.details["writeErrors"]:
                    kind = DuplicateKeyError if failed["code"] == DUPLICATE_KEY else WriteError
                    raise kind(failed["errmsg"], failed["code"], failed) from error
                self.outcome.concern += error.details["writeConcernErrors"]
                done = BulkWriteResult(dict(error.details), acknowledged=True)
            counts = {"n": done.matched_count + done.upserted_count, "nModified": done.modified_count}
            return UpdateResult({**counts, **_upserted(done)}, acknowledged=True)

        return Swap(request._filter, request._doc, act, bool(request._upsert), chosen)

    def _count(self, index: int, result: Any) -> None:
        counts = self.outcome.counts
        if isinstance(result, InsertOneResult):
            counts["nInserted"] += 1
        elif isinstance(result, Deleted):
            counts["nRemoved"] += result.count
        elif isinstance(result, DeleteResult):
            counts["nRemoved"] += result.deleted_count
        elif isinstance(result, UpdateResult):
            counts["nMatched"] += result.matched_count
            counts["nModified"] += result.modified_count
            if result.did_upsert:
                counts["nUpserted"] += 1
                self.outcome.upserted.append({"index": index, "_id": result.upserted_id})


def _wish(request: UpdateOne | UpdateMany, options: dict[str, Any]) -> Wish:
    found = {
        "array_filters": request._array_filters,
        "collation": request._collation,
        "hint": request._hint,
        "sort": getattr(request, "_sort", None),
        **options,
    }
    many = isinstance(request, UpdateMany)
    return Wish(request._filter, request._doc, bool(request._upsert), many, sendable(None, **found))


def _updating(request: UpdateOne | UpdateMany, update: Any) -> UpdateOne | UpdateMany:
    """Return the request with the plan's update."""
    options: dict[str, Any] = {
        "collation": request._collation,
        "array_filters": request._array_filters,
        "hint": request._hint,
    }
    if isinstance(request, UpdateMany):
        return UpdateMany(request._filter, update, request._upsert, **options)
    return UpdateOne(request._filter, update, request._upsert, sort=request._sort, **options)


def _upserted(done: BulkWriteResult) -> dict[str, Any]:
    """Return what a bulk of one has inserted, as a single operation's answer has it."""
    return {"upserted": each["_id"] for each in done.bulk_api_result["upserted"]}  # noqa: B035 - one at most


def _operation(request: Request) -> Any:
    """Return a request as ``op`` shows it."""
    if isinstance(request, InsertOne):
        return request._doc
    found: dict[str, Any] = {"q": request._filter}
    if not isinstance(request, DeleteOne | DeleteMany):
        found |= {"u": request._doc, "multi": isinstance(request, UpdateMany), "upsert": bool(request._upsert)}
    return found
