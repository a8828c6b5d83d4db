"""``insert_many``: every document is judged, a chunk at a time, and the valid ones are stored as PyMongo would.

Documents are judged in small pieces with a pause after each, so that an event loop is not held up, and sent in
chunks, so that encoding one does not hold it up either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import bson
from bson.codec_options import CodecOptions
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.results import InsertManyResult

from integrity.errors import ENCODING_ERRORS
from integrity.rules.judge import Verdict
from integrity.store.codecs import CODEC
from integrity.store.port import Document, Store
from integrity.violation import Violation
from integrity.writes import oversized
from integrity.writes.batch import Batch
from integrity.writes.candidate import Offered, all_clean, candidates, named, settled
from integrity.writes.copies import current
from integrity.writes.guard import refuse_bypass, sendable
from integrity.writes.insert_plain import insert_plain
from integrity.writes.outcome import Outcome
from integrity.writes.references import Faults
from integrity.writes.refusal import refusal, too_large, unencodable
from integrity.writes.staging import tolerated
from integrity.writes.transaction import joins

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

#: Documents in one command.
CHUNK = 1000

#: Documents in one transaction, where references are to be kept: what they name is looked up once for all of them.
REFERRING = 10_000

#: Bytes in one transaction, by the size of a few of its documents.
BYTES = 32_000_000

_OPTIONS: CodecOptions[Any] = CodecOptions(**CODEC)

#: Documents that are judged without a pause.
PIECE = 100

#: Write errors that are no document's: WriteConflict, NoSuchTransaction, TransactionTooLargeForCache.
_OF_THE_TRANSACTION = frozenset({112, 251, 388})


async def insert_many(
    guard: Guard,
    documents: Iterable[Offered],
    *,
    ordered: bool = True,
    bypass: object = None,
    session: Any = None,
    comment: Any = None,
) -> InsertManyResult:
    """Insert documents.

    Args:
        guard: The model's guard.
        documents: Mappings, which are given their generated ``_id``, or instances of the model.
        ordered: Whether the first failure ends it: what stands before it is stored. Otherwise all that are valid
            are stored.
        bypass: PyMongo's ``bypass_document_validation``; refused when true.
        session: PyMongo's session.
        comment: PyMongo's comment.

    Raises:
        InvalidBulkWrite: Some break rules; its ``details`` name each by index.
        UnguardedWrite: The validation was to be bypassed.
    """
    refuse_bypass(bypass)
    if not isinstance(documents, Iterable) or isinstance(documents, Mapping | str) or not documents:
        raise TypeError("documents must be a non-empty list")  # PyMongo's words
    requests = list(documents)
    if not requests:
        raise TypeError("documents must be a non-empty list")
    await guard.indexes.ensure(guard.store, guard.entry, session)
    outcome = Outcome(guard.entry, ordered, joins(session))
    if guard.simple:
        ids, acknowledged = await insert_plain(guard, requests, outcome, session, comment)
        outcome.raise_failures()
        return InsertManyResult(ids, acknowledged)
    options = sendable(session, comment)
    options.pop("session", None)
    ids, acknowledged, start = [], True, 0
    size = _judged_at_once(guard)
    while start < len(requests) and not outcome.over:
        batch = await _judged(guard, requests, range(start, start + size), session)
        for piece in _pieces(guard, requests, batch, outcome, options):
            await _store(guard, piece, session)
            ids += piece.ids
            acknowledged = acknowledged and piece.acknowledged
            start = piece.until
            if outcome.over:
                break
    outcome.raise_failures()
    return InsertManyResult(ids, acknowledged)


def _judged_at_once(guard: Guard) -> int:
    """Return how many documents are judged before any of them is sent."""
    entry = guard.entry
    if not entry.references:
        return CHUNK
    # Those that may refer to later ones are looked at together, and so are those that need the server to be judged.
    ahead = guard.judged and all(each.target is not entry for each in entry.references)
    return guard.store.portion if ahead else REFERRING


async def _judged(guard: Guard, requests: Sequence[Offered], span: range, session: Any) -> Batch:
    documents: list[Document] = []
    found: dict[int, tuple[Violation, ...]] = {}
    indexes = range(len(requests))[span.start : span.stop]
    for start in indexes[::PIECE]:
        piece = requests[start : min(start + PIECE, indexes.stop)]
        clean = all_clean(guard, piece)
        if clean is None:
            verdicts = await candidates(guard, piece, session)
            found.update((index, each.violations) for index, each in enumerate(verdicts, start) if each.violations)
            clean = [each.document for each in verdicts]
        documents += clean
        await guard.store.sleep(0)
    return Batch(indexes, documents, found)


def _pieces(
    guard: Guard, requests: list[Offered], batch: Batch, outcome: Outcome, options: dict[str, Any]
) -> Iterator[_Piece]:
    """Yield what is stored in one transaction each; more than was judged so far, where there is room for more."""
    width = _width(batch) if guard.entry.references else CHUNK
    for at in range(0, len(batch), width):
        first = batch.part(at, at + width)
        until = first.indexes[0] + (width if width > len(batch) else len(first))
        yield _Piece(guard, requests, first, min(until, len(requests)), outcome, options)


def _width(batch: Batch) -> int:
    """Return how many documents one transaction holds, were all as long as these."""
    return max(min(BYTES // max(_bytes(batch) // max(len(batch), 1), 1), REFERRING), 1)


def _bytes(batch: Batch) -> int:
    """Return about how many bytes documents have: a few of them are measured."""
    places = range(0, len(batch), max(len(batch) // 20, 1))
    sample = [batch.documents[place] for place in places if batch.indexes[place] not in batch.found]
    try:
        measured = [len(bson.encode(each, codec_options=_OPTIONS)) for each in sample]
    except ENCODING_ERRORS:  # it is said where they are sent
        return 0
    return sum(measured) * len(batch) // max(len(sample), 1)


async def _store(guard: Guard, piece: _Piece, session: Any) -> None:
    while piece.left:
        piece.mark()
        if not guard.entry.references:
            await piece.act([()] * len(piece.left), session)
            continue
        try:
            await guard.references.store(
                guard, piece.documents, piece.act, session, ordered=piece.outcome.ordered, work=piece
            )
        except _RejectedError:  # the server refused a document: all of them again, without it
            piece.restart()


class _RejectedError(Exception):
    """The server refused a document in a transaction, which is thereby aborted."""


class _Piece:
    """A chunk on its way: judged, and stored in one act or, where its documents refer to one another, in several.

    It is the `Work` of the references' protocols: it can begin again, and can be told what was taken back.
    """

    def __init__(
        self,
        guard: Guard,
        requests: list[Offered],
        left: Batch,
        until: int,
        outcome: Outcome,
        options: dict[str, Any],
    ) -> None:
        self.guard = guard
        self.requests = requests
        self.left = left
        self.until = until
        self.outcome = outcome
        self.options = options
        self.ids: list[Any] = []
        self.acknowledged = True
        self._taken = left.indexes[-1] + 1
        self._ahead: dict[int, Batch | None] = {}
        self._room = BYTES - _bytes(left)
        self.mark()
        self._transaction = False
        self._sent: tuple[list[int], list[Document]] = ([], [])
        self._rejected: dict[int, dict[str, Any]] = {}

    @property
    def documents(self) -> Sequence[Document]:
        """What is left, of what is judged."""
        return self.left.documents

    @property
    def more(self) -> bool:
        """Whether something is left for the same transaction."""
        return bool(self.left)

    async def complete(self) -> None:
        """Judge the rest."""
        while self._taken < self.until and (following := await self._next()):
            self.left = self.left.joined(following)
            self._taken = following.indexes[-1] + 1
        self.mark()

    def mark(self) -> None:
        """Begin: `restart` comes back to here."""
        self._marked = (self.left, list(self.ids), self.outcome.mark())
        self._marked_at = self._taken

    def restart(self) -> None:
        """Forget what was done since the mark: it was in a transaction, which begins again."""
        self._transaction = True
        self.left, ids, outcome = self._marked
        self._taken = self._marked_at
        self.ids = list(ids)
        self.outcome.reset(outcome)

    def inserted(self, outcome: None) -> list[Document]:  # noqa: ARG002 - the seam's
        """Return what the last act has stored."""
        return self._sent[1]

    def take_back(self, documents: Sequence[Document]) -> None:
        """Count documents as left."""
        gone = {id(each) for each in documents}
        sent = list(zip(*self._sent, strict=True))
        taken = {index for index, each in sent if id(each) in gone}
        kept = {index: each for index, each in sent if index not in taken}
        before, ids, outcome = self._marked
        if self.outcome.ordered:
            # What came after the first of them was not to be tried yet, whatever became of it.
            self.outcome.reset(outcome)
            self.outcome.counts["nInserted"] += len(kept)
            self.left = before.only({*before.indexes} - kept.keys())
        else:
            self.outcome.counts["nInserted"] -= len(taken)
            self.left = before.only({*taken, *self.left.indexes})
        self.ids = [*ids, *(each["_id"] for each in kept.values())]
        self._sent = ([], [])
        self.mark()

    async def act(self, faults: Faults, session: Any, store: Store | None = None, /) -> None:
        """Store what is valid, and note what is not; judge the next ones meanwhile."""
        store = store or self.guard.store
        if self._taken == self.until:
            await self._act(faults, session, store)
            return
        # Half of what a bulk takes is the server's time.
        _, following = await store.overlapped(self._act(faults, session, store), self._next())
        if following and not self.left and not self.outcome.over:
            self.left = following
            self._taken = following.indexes[-1] + 1

    async def _next(self) -> Batch | None:
        """Judge the next ones, once: a transaction that begins again comes by again.

        None where they are so much longer than the first that they do not fit in: then this piece ends before them.
        """
        start, portion = self._taken, self.guard.store.portion
        if start not in self._ahead:
            span = range(start, min(start + portion, self.until))
            batch = await _judged(self.guard, self.requests, span, None)
            self._room -= _bytes(batch)
            self._ahead[start] = batch if self._room >= 0 else None
        if self._ahead[start] is None:
            self.until = start
        return self._ahead[start]

    async def _act(self, faults: Faults, session: Any, store: Store) -> None:
        outcome, guard = self.outcome, self.guard
        self._sent = ([], [])
        clean = not (self.left.found or any(faults)) and self._rejected.keys().isdisjoint(self.left.indexes)
        if guard.judged and clean:
            await self._act_on_all(session, store)
            return
        indexes, documents, refused = [], [], []
        rejected: list[tuple[int, Document]] = []
        now = await current(guard, self.left.verdicts(), session)
        for index, verdict, faulty in zip(self.left.indexes, now, faults, strict=True):
            found = await tolerated(guard, settled(guard, verdict, faulty))
            if found.violations:
                refused.append((index, found))
            elif index in self._rejected:
                rejected.append((index, found.document))
            else:
                named(self.requests[index], found.document)
                indexes.append(index)
                documents.append(found.document)
                continue
            if outcome.ordered:
                break
        before = outcome.counts["nInserted"]
        await self._send(indexes, documents, session, store)
        if not outcome.over:
            for index, document in rejected:
                outcome.failed(BulkWriteError({"writeErrors": [self._rejected[index]]}), [index], [document])
        self.left = self._again(refused) if outcome.counts["nInserted"] > before else Batch()
        again = {*self.left.indexes}
        refused = [each for each in refused if each[0] not in again]
        if not outcome.over:
            for index, found in refused:
                outcome.refused(index, refusal(found.violations, model=guard.entry.name), found.document)

    async def _act_on_all(self, session: Any, store: Store) -> None:
        """Store all that is left: nothing is wrong with any of it."""
        for index, document in zip(self.left.indexes, self.left.documents, strict=True):
            request = self.requests[index]
            if type(request) is not dict or "_id" not in request:
                named(request, document)
        await self._send(self.left.indexes, self.left.documents, session, store)
        # After it was sent, and not before: what the server refuses in a transaction aborts it, and the others are
        # left to be stored without it.
        self.left = Batch()

    def _again(self, refused: list[tuple[int, Verdict]]) -> Batch:
        """Return what is to be tried again: unordered documents that may refer to those just stored."""
        entry = self.guard.entry
        if self.outcome.ordered or self.outcome.aborted or not any(each.target is entry for each in entry.references):
            return Batch()
        waiting = {index for index, found in refused if {each.code[:3] for each in found.violations} == {"REF"}}
        return self.left.only(waiting)

    async def _send(self, indexes: Sequence[int], documents: Sequence[Document], session: Any, store: Store) -> None:
        """Send documents, a portion at a time; up to the first that the server refuses, where they are ordered."""
        portion = max(len(documents), 1) if store.patient else store.portion
        for start in range(0, len(documents), portion):
            until = start + portion
            if not await self._portion(indexes[start:until], documents[start:until], session, store):
                break

    async def _portion(self, indexes: Sequence[int], documents: Sequence[Document], session: Any, store: Store) -> bool:
        """Send a command; return whether the next one is to be sent."""
        guard, outcome = self.guard, self.outcome
        try:
            ids, acknowledged = await self._inserted(documents, session, store)
        except BulkWriteError as error:
            failed = {each["index"]: each for each in error.details.get("writeErrors", ())}
            if self._transaction:
                if not failed or any(each.get("code") in _OF_THE_TRANSACTION for each in failed.values()):
                    raise
                self._rejected.update((indexes[at], {**each, "index": 0}) for at, each in failed.items())
                raise _RejectedError from error
            last = min(failed, default=len(documents)) if outcome.ordered else len(documents)
            stored = [at for at in range(len(documents)) if at < last and at not in failed]
            self._sent[0].extend(indexes[at] for at in stored)
            self._sent[1].extend(documents[at] for at in stored)
            outcome.failed(error, indexes, documents)
            return not outcome.over
        except OperationFailure as error:
            at = oversized.among(error, documents)
            if at is None:
                raise
            if not self._transaction:  # what the driver sent before it, in a command of its own, is stored
                raise too_large(guard.entry, error, documents[at]) from error
            self._rejected[indexes[at]] = {**(error.details or {}), "op": documents[at], "index": 0}
            raise _RejectedError from error
        except ENCODING_ERRORS as error:
            raise unencodable(guard.entry, error) from error
        else:
            outcome.counts["nInserted"] += len(documents)
            self._sent[0].extend(indexes)
            self._sent[1].extend(documents)
            self.ids += ids
            self.acknowledged = acknowledged
        return True

    async def _inserted(self, documents: Sequence[Document], session: Any, store: Store) -> tuple[Sequence[Any], bool]:
        """Insert documents; return their ``_id``s, and whether the server acknowledged them."""
        collection = self.guard.collection
        # The protocol's own transaction, in which it has looked before: the first command of one begins it.
        inside = self._transaction and joins(session)
        if inside and not self.options and all("_id" in each for each in documents):
            if errors := await store.inserted(collection, documents, session):
                raise BulkWriteError({"writeErrors": [*errors]})
            return [each["_id"] for each in documents], True
        options = {**self.options, **sendable(session)}
        result = await store.insert_many(collection, documents, ordered=self.outcome.ordered, **options)
        return result.inserted_ids, result.acknowledged
