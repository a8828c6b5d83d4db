"""``insert_many`` for a model that its judge alone decides about: one call of the judge a document, and no more.

This is where ten thousand documents go through, so that nothing is done for each of them that can be done for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.results import InsertManyResult

from integrity.client import offload
from integrity.client.offload import Encoded
from integrity.errors import ENCODING_ERRORS
from integrity.rules.judge import Verdict
from integrity.writes import oversized
from integrity.writes.candidate import Offered, all_offerable, named
from integrity.writes.guard import sendable
from integrity.writes.outcome import Outcome
from integrity.writes.refusal import refusal, too_large, unencodable
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
    all_offerable(guard, requests)
    options = {"ordered": outcome.ordered, **sendable(session, comment)}
    portion = guard.store.portion
    ids: list[Any] = []
    acknowledged = True
    chosen = await _judged(guard, requests[:portion], 0, ordered=outcome.ordered)
    for until in range(portion, len(requests) + portion, portion):
        this, sending = chosen, _sent(guard, chosen.documents, options)
        if until < len(requests) and not (this.refused and outcome.ordered):
            # The next ones are judged while the server stores these: half of what a bulk takes is its time.
            following = _judged(guard, requests[until : until + portion], until, ordered=outcome.ordered)
            result, chosen = await guard.store.overlapped(sending, following)
        else:
            result = await sending
        if isinstance(result, BulkWriteError):
            outcome.failed(result, this.indexes, this.documents)
        elif result is not None:
            outcome.counts["nInserted"] += len(this.documents)
            ids += this.ids or result.inserted_ids
            acknowledged = result.acknowledged
        # An invalid document comes after what was sent: an ordered insert that failed before never came to it.
        for index, verdict in this.refused if not outcome.over else ():
            outcome.refused(index, refusal(verdict.violations, model=guard.entry.name), verdict.document)
        if outcome.over:
            break
    return ids, acknowledged


@dataclass
class _Chosen:
    """What is valid of a portion with its indexes, and what is not; with the ``_id``s of what is encoded already."""

    documents: list[Any] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    refused: list[tuple[int, Verdict]] = field(default_factory=list)


async def _sent(
    guard: Guard, documents: list[Any], options: dict[str, Any]
) -> InsertManyResult | BulkWriteError | None:
    """Store documents; return the driver's result, or what the server has against some of them."""
    if not documents:
        return None
    try:
        return await guard.store.insert_many(guard.collection, documents, **options)
    except BulkWriteError as error:
        for each in error.details.get("writeErrors", ()):
            if isinstance(each.get("op"), RawBSONDocument):
                each["op"] = dict(each["op"])  # as it would be, judged here
        return error
    except OperationFailure as error:
        if (at := oversized.among(error, documents)) is None:
            raise
        raise too_large(guard.entry, error, documents[at]) from error
    except ENCODING_ERRORS as error:
        raise unencodable(guard.entry, error) from error


async def _judged(guard: Guard, portion: Sequence[Offered], start: int, *, ordered: bool) -> _Chosen:
    """Choose what is valid of a portion; up to the first that is not, where it is ordered."""
    executor = guard.store.executor
    if executor is not None and len(portion) >= offload.FEW:
        elsewhere = await offload.judged(executor, guard.entry, portion)
        if elsewhere is not None:
            return await _taken(guard, portion, elsewhere, start, ordered=ordered)
    offered, pause = guard.judge.offered, guard.store.sleep
    chosen = _Chosen()
    for begin in range(0, len(portion), PIECE):
        piece = portion[begin : begin + PIECE]
        clean = guard.judge.clean(piece)
        if clean is not None:
            for request, document in zip(piece, clean, strict=True):
                if type(request) is not dict or "_id" not in request:
                    named(request, document)
            chosen.documents += clean
            chosen.indexes += range(start + begin, start + begin + len(piece))
            await pause(0)
            continue
        for index, request in enumerate(piece, start + begin):
            verdict = await tolerated(guard, offered(request))
            if verdict.violations:
                chosen.refused.append((index, verdict))
                if ordered:
                    return chosen
                continue
            document = verdict.document
            if type(request) is not dict or "_id" not in request:
                named(request, document)
            chosen.documents.append(document)
            chosen.indexes.append(index)
        await pause(0)
    return chosen


async def _taken(
    guard: Guard, portion: Sequence[Offered], elsewhere: Sequence[Encoded | Verdict], start: int, *, ordered: bool
) -> _Chosen:
    """Choose from what other processes have judged."""
    chosen = _Chosen()
    for index, (request, each) in enumerate(zip(portion, elsewhere, strict=True), start):
        if isinstance(each, Encoded):
            if type(request) is not dict or "_id" not in request:
                named(request, {"_id": each.id})
            chosen.documents.append(RawBSONDocument(each.raw))
            chosen.ids.append(each.id)
        else:
            verdict = await tolerated(guard, each)
            if verdict.violations:
                chosen.refused.append((index, verdict))
                if ordered:
                    return chosen
                continue
            named(request, verdict.document)
            chosen.documents.append(verdict.document)
            chosen.ids.append(verdict.document.setdefault("_id", ObjectId()))
        chosen.indexes.append(index)
    return chosen
