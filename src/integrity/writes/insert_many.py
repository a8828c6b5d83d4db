"""``insert_many``: every document is judged, a chunk at a time, and the valid ones are stored as PyMongo would.

Documents are judged in small pieces with a pause after each, so that an event loop is not held up, and sent in
chunks, so that encoding one does not hold it up either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import bson
from bson.codec_options import CodecOptions
from pymongo.errors import BulkWriteError
from pymongo.results import InsertManyResult

from integrity.rules.judge import Verdict
from integrity.store.port import CODEC, Document, Store
from integrity.writes.candidate import Offered, candidates, named, settled
from integrity.writes.copies import current
from integrity.writes.guard import refuse_bypass, sendable
from integrity.writes.insert_plain import insert_plain
from integrity.writes.outcome import Outcome
from integrity.writes.references import Faults
from integrity.writes.refusal import ENCODING_ERRORS, refusal, unencodable
from integrity.writes.staging import tolerated

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
    outcome = Outcome(guard.entry, ordered)
    if guard.simple:
        ids, acknowledged = await insert_plain(guard, requests, outcome, session, comment)
        outcome.raise_failures()
        return InsertManyResult(ids, acknowledged)
    options = sendable(session, comment)
    options.pop("session", None)
    ids, acknowledged = [], True
    size = REFERRING if guard.entry.references else CHUNK
    verdicts = await _judged(guard, requests[:size], session)
    for start in range(0, len(requests), size):
        numbered = list(enumerate(verdicts, start))
        width = _width(verdicts) if guard.entry.references else size
        pieces = [
            _Piece(guard, requests, numbered[at : at + width], outcome, options)
            for at in range(0, len(numbered), width)
        ]
        storing, until = _stored(guard, pieces, session), start + size
        if guard.judged and until < len(requests):
            # The next ones are judged while the server stores these: half of what a bulk takes is its time.
            _, verdicts = await guard.store.overlapped(storing, _judged(guard, requests[until : until + size], None))
        else:
            await storing
        for piece in pieces:
            ids += piece.ids
            acknowledged = acknowledged and piece.acknowledged
        if outcome.over:
            break
        if not guard.judged:
            verdicts = await _judged(guard, requests[until : until + size], session)
    outcome.raise_failures()
    return InsertManyResult(ids, acknowledged)


async def _judged(guard: Guard, documents: Sequence[Offered], session: Any) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for start in range(0, len(documents), PIECE):
        verdicts += await candidates(guard, documents[start : start + PIECE], session)
        await guard.store.sleep(0)
    return verdicts


def _width(verdicts: Sequence[Verdict]) -> int:
    """Return how many documents one transaction holds."""
    sample = [each.document for each in verdicts[:: max(len(verdicts) // 20, 1)] if not each.violations]
    try:
        size = sum(len(bson.encode(each, codec_options=_OPTIONS)) for each in sample) // max(len(sample), 1)
    except ENCODING_ERRORS:  # it is said where they are sent
        return len(verdicts)
    return max(min(BYTES // max(size, 1), REFERRING), 1)


async def _stored(guard: Guard, pieces: Sequence[_Piece], session: Any) -> None:
    """Store what is valid of pieces, one after the other."""
    for piece in pieces:
        if piece.outcome.over:
            return
        await _store(guard, piece, session)


async def _store(guard: Guard, piece: _Piece, session: Any) -> None:
    while piece.left:
        piece.mark()
        if not guard.entry.references:
            await piece.act([()] * len(piece.left), session)
            continue
        with suppress(_RejectedError):  # the server refused a document: again, without it
            await guard.references.store(
                guard, piece.documents, piece.act, session, ordered=piece.outcome.ordered, work=piece
            )


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
        left: list[tuple[int, Verdict]],
        outcome: Outcome,
        options: dict[str, Any],
    ) -> None:
        self.guard = guard
        self.requests = requests
        self.left = left
        self.outcome = outcome
        self.options = options
        self.ids: list[Any] = []
        self.acknowledged = True
        self.mark()
        self._transaction = False
        self._sent: list[tuple[int, Document]] = []
        self._rejected: dict[int, dict[str, Any]] = {}

    @property
    def documents(self) -> list[Document]:
        """What is left."""
        return [each.document for _, each in self.left]

    def mark(self) -> None:
        """Begin: `restart` comes back to here."""
        self._marked = (self.left, list(self.ids), self.outcome.mark())

    def restart(self) -> None:
        """Forget what was done since the mark: it was in a transaction, which begins again."""
        self._transaction = True
        self.left, ids, outcome = self._marked
        self.ids = list(ids)
        self.outcome.reset(outcome)

    def inserted(self, outcome: None) -> list[Document]:  # noqa: ARG002 - the seam's
        """Return what the last act has stored."""
        return [document for _, document in self._sent]

    def take_back(self, documents: Sequence[Document]) -> None:
        """Count documents as left."""
        gone = {id(each) for each in documents}
        taken = [index for index, each in self._sent if id(each) in gone]
        kept = [(index, each) for index, each in self._sent if id(each) not in gone]
        before, ids, outcome = self._marked
        if self.outcome.ordered:
            # What came after the first of them was not to be tried yet, whatever became of it.
            self.outcome.reset(outcome)
            self.outcome.counts["nInserted"] += len(kept)
            stay = {index for index, _ in kept}
            self.left = [each for each in before if each[0] not in stay]
        else:
            self.outcome.counts["nInserted"] -= len(taken)
            again = {*taken, *(index for index, _ in self.left)}
            self.left = [each for each in before if each[0] in again]
        self.ids = [*ids, *(each["_id"] for _, each in kept)]
        self._sent = []
        self.mark()

    async def act(self, faults: Faults, session: Any, store: Store | None = None, /) -> None:
        """Store what is valid; note what is not."""
        outcome, guard = self.outcome, self.guard
        self._sent = []
        clean = not (self._rejected or any(faults) or any(each.violations for _, each in self.left))
        if guard.judged and clean:
            await self._act_on_all(session, store or guard.store)
            return
        indexes, documents, refused, rejected = [], [], [], []
        now = await current(guard, [verdict for _, verdict in self.left], session)
        for (index, _), verdict, faulty in zip(self.left, now, faults, strict=True):
            found = await tolerated(guard, settled(guard, verdict, faulty))
            if found.violations:
                refused.append((index, found))
            elif index in self._rejected:
                rejected.append(index)
            else:
                named(self.requests[index], found.document)
                indexes.append(index)
                documents.append(found.document)
                continue
            if outcome.ordered:
                break
        before = outcome.counts["nInserted"]
        await self._send(indexes, documents, session, store or guard.store)
        if not outcome.over:
            for index in rejected:
                outcome.failed(BulkWriteError({"writeErrors": [self._rejected[index]]}), [index], self.requests)
        self.left = self._again(refused) if outcome.counts["nInserted"] > before else []
        again = {index for index, _ in self.left}
        refused = [each for each in refused if each[0] not in again]
        if not outcome.over:
            for index, found in refused:
                outcome.refused(index, refusal(found.violations, model=guard.entry.name), found.document)

    async def _act_on_all(self, session: Any, store: Store) -> None:
        """Store all that is left: nothing is wrong with any of it."""
        indexes, documents = [], []
        for index, verdict in self.left:
            request, document = self.requests[index], verdict.document
            if type(request) is not dict or "_id" not in request:
                named(request, document)
            indexes.append(index)
            documents.append(document)
        await self._send(indexes, documents, session, store)
        # After it was sent, and not before: what the server refuses in a transaction aborts it, and the others are
        # left to be stored without it.
        self.left = []

    def _again(self, refused: list[tuple[int, Verdict]]) -> list[tuple[int, Verdict]]:
        """Return what is to be tried again: unordered documents that may refer to those just stored."""
        entry = self.guard.entry
        if self.outcome.ordered or not any(each.target is entry for each in entry.references):
            return []
        waiting = {index for index, found in refused if {each.code[:3] for each in found.violations} == {"REF"}}
        return [each for each in self.left if each[0] in waiting]

    async def _send(self, indexes: list[int], documents: list[Document], session: Any, store: Store) -> None:
        """Send documents, a portion at a time; up to the first that the server refuses, where they are ordered."""
        portion = store.portion
        for start in range(0, len(documents), portion):
            until = start + portion
            if not await self._portion(indexes[start:until], documents[start:until], session, store):
                break

    async def _portion(self, indexes: list[int], documents: list[Document], session: Any, store: Store) -> bool:
        """Send a command; return whether the next one is to be sent."""
        guard, outcome = self.guard, self.outcome
        options = {**self.options, **sendable(session)}
        try:
            result = await store.insert_many(guard.collection, documents, ordered=outcome.ordered, **options)
        except BulkWriteError as error:
            failed = {each["index"]: each for each in error.details.get("writeErrors", ())}
            if self._transaction:
                if not failed or any(each.get("code") in _OF_THE_TRANSACTION for each in failed.values()):
                    raise
                self._rejected.update((indexes[at], {**each, "index": 0}) for at, each in failed.items())
                raise _RejectedError from error
            last = min(failed, default=len(documents)) if outcome.ordered else len(documents)
            self._sent += [(indexes[at], each) for at, each in enumerate(documents) if at < last and at not in failed]
            outcome.failed(error, indexes, self.requests)
            return not outcome.ordered
        except ENCODING_ERRORS as error:
            raise unencodable(guard.entry, error) from error
        else:
            outcome.counts["nInserted"] += len(documents)
            self._sent += zip(indexes, documents, strict=True)
            self.ids += result.inserted_ids
            self.acknowledged = result.acknowledged
        return True
