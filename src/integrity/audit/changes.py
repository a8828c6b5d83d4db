"""What has changed since an earlier audit, by the server's change stream.

The stream is read by plain commands up to the moment at which reading began, and its cursor is closed: an audit leaves
nothing behind. A resume token holds its event's time, so that an empty reply is told from the end.

Events are read as bytes: an ``_id`` that the driver would write otherwise is asked for by its bytes.

Source: https://www.mongodb.com/docs/manual/changeStreams/#resume-a-change-stream
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from bson import Int64, Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure, PyMongoError

from integrity.audit.changed import faithful, may_be_changed
from integrity.audit.since import SinceLast
from integrity.declare.equality import key
from integrity.errors import AuditError
from integrity.store.failure import reason
from integrity.store.forgiving import decoded
from integrity.store.port import Document, Store

_RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
_BATCH = 1000
_WAIT_MS = 500
#: How long a majority may take to have what one member has.
LAG_MS = 30_000
#: Interrupted, and "no majority yet": https://www.mongodb.com/docs/manual/reference/error-codes/
_PASSING = frozenset({11601, 134})
_WRITTEN = frozenset({"insert", "update", "replace"})
#: A token's first byte says "timestamp" in the order of an index's keys; eight bytes of it follow.
_TIME = re.compile("82([0-9A-Fa-f]{8})([0-9A-Fa-f]{8})")
_DESCRIBED = "Only what has changed since the last audit, and what refers to it, was asked for."


async def token(store: Store) -> Document | None:
    """Return where the change stream stands, or None where the server has none or does not let it be read.

    Raises:
        OperationFailure: The server did not come to an answer; a mark without a token would tell of less.
    """
    try:
        reply = await store.command(_opened({}, 0))
    except OperationFailure as error:
        if error.timeout or error.code in _PASSING:
            raise
        return None
    await _close(store, reply["cursor"]["id"])
    found: Document | None = reply["cursor"].get("postBatchResumeToken")
    return found


async def since(store: Store, earlier: Document, collections: Iterable[str]) -> SinceLast:
    """Return what has changed since a token.

    Args:
        store: The database.
        earlier: A resume token.
        collections: The collections of interest.

    Raises:
        AuditError: The server does not remember that far, or a whole collection was replaced.
    """
    names = frozenset(collections)
    wanted = {"$or": [{"ns.coll": {"$in": sorted(names)}}, {"to.coll": {"$in": sorted(names)}},
                      {"operationType": {"$in": ["dropDatabase", "invalidate"]}}]}  # fmt: skip
    told = _Told()
    cursor = 0
    try:
        now = last_before(await token(store))
        await _until_majority(store, now)
        command = _opened({"resumeAfter": earlier}, _BATCH, wanted)
        reply = (await store.command(command, codec_options=_RAW))["cursor"]
        cursor, events = reply["id"], reply["firstBatch"]
        while True:
            for each in events:
                told.event(each)
            if not cursor or _read_up_to(now, _time(reply.get("postBatchResumeToken")), events):
                break
            more = {"getMore": Int64(cursor), "collection": "$cmd.aggregate", "batchSize": _BATCH,
                    "maxTimeMS": _WAIT_MS}  # fmt: skip
            reply = (await store.command(more, codec_options=_RAW))["cursor"]
            cursor, events = reply["id"], reply["nextBatch"]
    except OperationFailure as error:
        raise AuditError(
            f"What has changed since the last audit is not known any more: {reason(error)} Run a whole audit."
        ) from error
    finally:
        await _close(store, cursor)
    return SinceLast(
        _DESCRIBED,
        {name: tuple(ids.values()) for name, ids in told.written.items()},
        {name: tuple(ids.values()) for name, ids in told.deleted.items()},
        {name: tuple(keys) for name, keys in told.changed.items()},
    )


async def _until_majority(store: Store, time: Timestamp | None) -> None:
    """Wait until a majority has what was written up to a time: a stream shows nothing before.

    While a majority lags behind, an empty reply repeats the token that was sent, which may be as late as the last
    operation: that would be taken for the end, and the operation lost.
    """
    if time is not None:
        concern = {"level": "majority", "afterClusterTime": time}
        command = {**_opened({}, 0), "readConcern": concern, "maxTimeMS": LAG_MS}
        await _close(store, (await store.command(command))["cursor"]["id"])


def _read_up_to(now: Timestamp | None, last: Timestamp | None, events: Sequence[Any]) -> bool:
    """Whether a stream was read up to a time, by a batch and the time of its token.

    Beyond it there is no need to read: where writers are at work, the end is never reached. Of that very time there may
    be more, as a transaction's events are all of one time, until a batch is empty.
    """
    if now is None or last is None:
        return not events
    return last > now or (not events and last == now)


def _opened(how: Document, size: int, wanted: Document | None = None) -> Document:
    stages: list[Document] = [{"$changeStream": how}]
    if wanted is not None:
        stages += [{"$match": wanted}, {"$project": {"operationType": 1, "ns": 1, "documentKey": 1}}]
    return {"aggregate": 1, "pipeline": stages, "cursor": {"batchSize": size}}


class _Told:
    """What events tell, by collection: ids by their keys, and those that become something else as they are stored."""

    def __init__(self) -> None:
        self.written: dict[str, dict[Hashable, Any]] = {}
        self.deleted: dict[str, dict[Hashable, Any]] = {}
        self.changed: dict[str, list[Document]] = {}

    def event(self, stored: Any) -> None:
        event = decoded(stored)
        kind, name = event["operationType"], event.get("ns", {}).get("coll", "")
        if kind in _WRITTEN or kind == "delete":
            identity, same = event["documentKey"]["_id"], stored["documentKey"]
            if may_be_changed(identity) and not faithful(same, event["documentKey"]):
                self.changed.setdefault(name, []).append(same)
                return
            at = key(identity)
            here, there = (self.deleted, self.written) if kind == "delete" else (self.written, self.deleted)
            here.setdefault(name, {})[at] = identity
            there.get(name, {}).pop(at, None)
        elif kind in {"drop", "rename", "dropDatabase", "invalidate"}:
            raise AuditError(
                f"Since the last audit there was a {kind} of {name or 'the database'}, and what it held is not known "
                "any more; run a whole audit."
            )


def _time(found: Document | None) -> Timestamp | None:
    match = _TIME.match(str((found or {}).get("_data", "")))
    return Timestamp(int(match[1], 16), int(match[2], 16)) if match else None


def last_before(found: Document | None) -> Timestamp | None:
    """Return the time of the last operation before a new stream's token, or None.

    It begins one tick beyond that, and there is nothing more to read. An idle server would come to the next tick with
    its next no-op, ten seconds later.
    """
    time = _time(found)
    return Timestamp(time.time, time.inc - 1) if time is not None and time.inc else time


async def _close(store: Store, cursor: int) -> None:
    if cursor:
        with suppress(PyMongoError):
            await store.command({"killCursors": "$cmd.aggregate", "cursors": [Int64(cursor)]})
