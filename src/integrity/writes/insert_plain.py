"""``insert_many`` for a model that its judge alone decides about: one call of the judge a document, and no more.

This is where ten thousand documents go through, so that nothing is done for each of them that can be done for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError

from integrity.store.port import Document
from integrity.writes.candidate import Offered, named, offerable
from integrity.writes.guard import sendable
from integrity.writes.outcome import Outcome
from integrity.writes.refusal import ENCODING_ERRORS, refusal, unencodable
from integrity.writes.staging import tolerated

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

#: Documents that are judged without a pause: what an event loop waits for at most.
PIECE = 100


async def insert_plain(
    guard: Guard, requests: Sequence[Offered], outcome: Outcome, session: Any, comment: Any
) -> tuple[list[Any], bool]:
    """Insert documents, and note in `outcome` what failed.

    Args:
        guard: The model's guard, a `simple` one.
        requests: What is offered.
        outcome: What has happened so far: nothing.
        session: PyMongo's session.
        comment: PyMongo's comment.

    Returns:
        The ``_id``s of what was stored, and whether the server acknowledged it.
    """
    options = {"ordered": outcome.ordered, **sendable(session, comment)}
    ids: list[Any] = []
    acknowledged = True
    for start in range(0, len(requests), guard.store.portion):
        chunk = requests[start : start + guard.store.portion]
        before = outcome.mark()
        documents, indexes = await _judged(guard, chunk, start, outcome)
        if documents:
            try:
                result = await guard.store.insert_many(guard.collection, documents, **options)
            except BulkWriteError as error:
                # An invalid document comes after what was sent, and an ordered insert never came to it.
                if outcome.ordered:
                    outcome.reset(before)
                outcome.failed(error, indexes, requests)
            except ENCODING_ERRORS as error:
                raise unencodable(guard.entry, error) from error
            else:
                outcome.counts["nInserted"] += len(documents)
                ids += result.inserted_ids
                acknowledged = result.acknowledged
        if outcome.over:
            break
    return ids, acknowledged


async def _judged(
    guard: Guard, chunk: Sequence[Offered], start: int, outcome: Outcome
) -> tuple[list[Document], Sequence[int]]:
    """Return what is valid of a chunk, and its indexes; up to the first that is not, where it is ordered."""
    offered, pause = guard.judge.offered, guard.store.sleep
    documents: list[Document] = []
    indexes: list[int] = []
    for begin in range(0, len(chunk), PIECE):
        piece = chunk[begin : begin + PIECE]
        for request in piece:
            if type(request) is not dict:
                offerable(guard, request)
        clean = guard.judge.clean(piece)
        if clean is not None:
            for request, document in zip(piece, clean, strict=True):
                if type(request) is not dict or "_id" not in request:
                    named(request, document)
            documents += clean
            indexes += range(start + begin, start + begin + len(piece))
            await pause(0)
            continue
        for index, request in enumerate(piece, start + begin):
            verdict = await tolerated(guard, offered(request))
            if verdict.violations:
                outcome.refused(index, refusal(verdict.violations, model=guard.entry.name), verdict.document)
                if outcome.ordered:
                    return documents, indexes
                continue
            document = verdict.document
            if type(request) is not dict or "_id" not in request:
                named(request, document)
            documents.append(document)
            indexes.append(index)
        await pause(0)
    return documents, indexes
