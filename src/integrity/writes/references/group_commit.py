"""The group commit: what a group of concurrent inserts does in one transaction, or in one insert and one look.

It is the path on which nothing is wrong. A document whose reference dangles, or names what is condemned, or that the
server refuses, leaves the group, and its own caller inserts it by itself, where all that is decided. So a group's
orderings are those of a bulk insert, and no caller waits for what is another's affair.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import bson
from bson.codec_options import CodecOptions
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from pymongo.results import InsertOneResult

from integrity.errors import PoolTimeout
from integrity.store.codecs import CODEC
from integrity.store.port import Document, Store
from integrity.writes.references.durable import UNAUTHORIZED, durable, settled
from integrity.writes.references.existence import Sight, glimpsable, glimpse, look
from integrity.writes.references.keys import Key
from integrity.writes.references.lanes import Lanes, Seat
from integrity.writes.references.optimistic import only_pins, take_back
from integrity.writes.transaction import transact

if TYPE_CHECKING:
    from integrity.declare.registry import Reference
    from integrity.writes.guard import Guard
    from integrity.writes.references.protocol import Protocol

#: Bytes of a document that sets out with others: all of them fit into one command.
LARGE = 64_000

_OPTIONS: CodecOptions[Any] = CodecOptions(**CODEC)


class Groups:
    """The groups of one database's inserts."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lanes: WeakKeyDictionary[Store, dict[tuple[str, bool], Lanes]] = WeakKeyDictionary()

    def lanes(self, guard: Guard, *, optimistic: bool) -> Lanes:
        """Return the lanes of a collection."""
        if self._process != os.getpid():  # a fork: what the parent had under way never lands here
            self._process, self._lanes = os.getpid(), WeakKeyDictionary()
        known = self._lanes.get(guard.store)
        if known is None:
            known = self._lanes.setdefault(guard.store, {})
        name = (guard.entry.collection, optimistic)
        found = known.get(name)
        return known.setdefault(name, Lanes()) if found is None else found


async def insert(protocol: Protocol, guard: Guard, seat: Seat, *, optimistic: bool) -> InsertOneResult | None:
    """Insert a document together with those that other callers insert at the same time.

    Args:
        protocol: The protocol.
        guard: The model's guard.
        seat: The document.
        optimistic: Whether it is written optimistically; otherwise it pins.

    Returns:
        PyMongo's result; None where it is to be inserted by itself.
    """
    lanes = protocol.groups.lanes(guard, optimistic=optimistic)
    seats = [seat]
    try:
        leads = lanes.enter(seat, guard.store)
        if not leads:
            await lanes.wait(seat)
        if leads or seat.leads:
            lanes.group(seats)
            # Who is cancelled does not take the others down.
            await guard.store.apart(set_out(protocol, guard, lanes, seats, optimistic=optimistic))
    except BaseException:  # cancelled, or interrupted: a KeyboardInterrupt comes between any two steps
        lanes.withdraw(seat)
        if not seat.away:
            _arrived(lanes, seats)
        raise
    if isinstance(seat.outcome, Exception):
        raise seat.outcome
    return seat.outcome  # type: ignore[no-any-return]  # a result, or None


async def set_out(protocol: Protocol, guard: Guard, lanes: Lanes, seats: list[Seat], *, optimistic: bool) -> None:
    """Insert a group; afterwards every seat has its outcome, and whoever waited for it goes on.

    Args:
        protocol: The protocol.
        guard: The model's guard.
        lanes: Where one lane is taken, to be given on.
        seats: The documents, the first of them the caller's own.
        optimistic: Whether they are written optimistically; otherwise they pin.
    """
    try:
        seats[0].away = True
        if optimistic:
            await _optimistic(protocol, guard, seats, quiet=lanes.quiet)
        else:
            await _pinned(protocol, guard, seats)
    except (AutoReconnect, ConnectionFailure, PoolTimeout) as error:
        _fail(seats, error)
    except PyMongoError as error:
        # Sent, and answered by something that is about no document in particular.
        _fail([each for each in seats if each.sent or len(seats) == 1], error)
    except Exception as error:  # noqa: BLE001 - it is raised in its own caller, or comes again there
        if len(seats) == 1:
            seats[0].outcome = error  # otherwise each by itself: one of them has its own
        elif any(each.sent for each in seats):
            _fail(seats, error)
    except BaseException:
        words = f"{guard.collection}: the insert was interrupted; whether the document is stored is not known."
        _fail([each for each in seats[1:] if each.sent], AutoReconnect(words))
        raise
    finally:
        try:
            _arrived(lanes, seats)
        except BaseException:  # a KeyboardInterrupt: once more, and to the end
            _arrived(lanes, seats)
            raise


def _arrived(lanes: Lanes, seats: Sequence[Seat]) -> None:
    """Give the lane on, and let those go on who were taken along; also where that was begun already."""
    lanes.leave(seats[0])
    for each in seats[1:]:
        assert each.waiter is not None
        each.waiter.open()


def _fail(seats: Sequence[Seat], error: Exception) -> None:
    for each in seats:
        if each.outcome is not None:
            continue  # it was acknowledged before
        try:
            each.outcome = error if each is seats[0] else copy.copy(error)  # a traceback belongs to one thread
        except TypeError:
            each.outcome = error


def _keys(seats: Sequence[Seat]) -> Mapping[Hashable, Key]:
    if len(seats) == 1:
        return seats[0].keys
    return {at: key for each in seats for at, key in each.keys.items()}


def _documents(seats: Sequence[Seat]) -> list[Document]:
    return [each.document for each in seats]


def _well(seats: Sequence[Seat], sight: Sight) -> list[Seat]:
    """Return those with whose references nothing is wrong."""
    if not sight.condemned and not any(sight.faults):
        return list(seats)
    return [each for at, each in enumerate(seats) if not sight.faults[at] and at not in sight.condemned]


def _done(seats: Sequence[Seat]) -> None:
    for each in seats:
        each.outcome = InsertOneResult(each.document["_id"], acknowledged=True)


class _RejectedError(Exception):
    """The server refused documents in a transaction, which is thereby aborted."""

    def __init__(self, indexes: set[int]) -> None:
        super().__init__(indexes)
        self.indexes = indexes


async def _pinned(protocol: Protocol, guard: Guard, seats: list[Seat]) -> None:
    store, left = guard.store, seats

    async def body(session: Any) -> list[Seat]:
        for each in left:
            each.sent = False
        beside = await protocol.notices.beside(store)
        sight = await look(guard, _documents(left), session, ordered=False, beside=beside)
        going = _well(left, sight)
        if going:
            await protocol.touch(store, _keys(going).values(), another(), session)
            await _insert(store, guard.entry.collection, going, session)
            for each in going:  # from here on, the commit alone tells
                each.sent = True
        return going

    with protocol.columns.each() as another:
        while left:
            try:
                going = await transact(store, body, why=f"{guard.entry.collection}: a reference that is pinned")
            except _RejectedError as rejected:
                left = [each for at, each in enumerate(left) if at not in rejected.indexes]
                continue
            return _done(going)
    return None


async def _insert(store: Store, collection: str, seats: list[Seat], session: Any) -> None:
    if errors := await store.inserted(collection, _documents(seats), session):
        raise _RejectedError({each["index"] for each in errors})


async def _optimistic(protocol: Protocol, guard: Guard, seats: list[Seat], *, quiet: bool) -> None:
    if len(seats) > 1:
        # Encoded before they are sent: one that cannot be would leave unknown which of the others were.
        seats = [each for each in seats if _small(each.document)]
    if seats and protocol.witnesses.lack(_keys(seats)):
        # Before the insert: as a single insert does, and for its reasons.
        seats = _well(seats, (await _sight(protocol, guard, seats))[0])
    if not seats:
        return
    seen = protocol.timing.monotonic()
    reference = _glimpsable(protocol, guard, seats) if quiet else None
    well_seen = False
    if reference is not None:
        inserted, well_seen = seats, await _insert_and_glimpse(protocol, guard, seats[0], reference)
    else:
        # Acknowledged by a majority: an election must not take back what the look below relies on.
        inserted = await _insert_majority(guard, seats)
    if not inserted:
        return
    # The notices after the insert, and after the glimpse: what it does not see stands beside since it was posted.
    if well_seen and reference and reference.target.collection not in await protocol.notices.beside(guard.store):
        sight = Sight([()])
    else:
        # After the insert, and never before it: the deleter condemns before it looks.
        sight, seen = await _sight(protocol, guard, inserted)
    pin = await only_pins(protocol, guard.store, _keys(inserted).values())
    well = [] if pin else _well(inserted, sight)
    if well:
        protocol.witnesses.add(_keys(well), seen)
        _done(well)
    if len(well) < len(inserted):
        wrong = [each for each in inserted if each.outcome is None]
        await take_back(guard, _documents(wrong))
        protocol.witnesses.forget(_keys(wrong))
        for each in wrong:
            each.sent = False


def _glimpsable(protocol: Protocol, guard: Guard, seats: Sequence[Seat]) -> Reference | None:
    """Return the reference of a document that may be looked at while it is being inserted, or None.

    By its `_id` it is told from every other document, since that was made for it. Of one that was given, another
    document may have been there, and be deleted before the insert: it would tell nothing of when the look was.
    """
    if len(seats) != 1 or not seats[0].new or not protocol.whole or not guard.store.overlaps:
        return None
    return glimpsable(guard, seats[0].keys.values())


async def _insert_and_glimpse(protocol: Protocol, guard: Guard, seat: Seat, reference: Reference) -> bool:
    """Insert a document, and glimpse at it and at what it refers to meanwhile.

    Returns:
        Whether the glimpse came after the insert, and all was well. Where not, a look is to tell.
    """

    async def look_meanwhile() -> bool:
        try:
            return await glimpse(guard, reference, seat.document)
        except OperationFailure as error:
            if error.code == UNAUTHORIZED:  # who may only insert is not asked again
                protocol.whole = False
            return False

    majority = durable(guard.store)
    seat.sent = True
    # By a command that nobody repeats: the driver would insert the document anew after an election that has taken it
    # back, and what was seen before that tells nothing of what is there now.
    stored, well = await guard.store.beside(majority.insert_once(guard.collection, seat.document), look_meanwhile)
    if stored:
        return bool(well)
    try:
        await majority.insert_one(guard.collection, seat.document)
    except DuplicateKeyError as error:
        if stored is False or (error.details or {}).get("keyPattern") != {"_id": 1}:
            raise
        # It is there by the command whose answer was lost; whether a majority has it is not known yet.
        await settled(guard.store, guard.collection)
        # After that, and not before: an election meanwhile may have taken it back, and what then waits is another one.
        if await guard.store.find_one(guard.collection, {"_id": seat.document["_id"]}, {"_id": 1}) is None:
            await majority.insert_one(guard.collection, seat.document)
    return False


async def _sight(protocol: Protocol, guard: Guard, seats: Sequence[Seat]) -> tuple[Sight, float]:
    seen = protocol.timing.monotonic()
    beside = await protocol.notices.beside(guard.store)
    return await look(guard, _documents(seats), None, ordered=False, beside=beside), seen


async def _insert_majority(guard: Guard, seats: list[Seat]) -> list[Seat]:
    """Insert documents; return those that were, the others are left to their callers."""
    majority = durable(guard.store)
    for each in seats:
        each.sent = True
    if len(seats) == 1:
        await majority.insert_one(guard.collection, seats[0].document)
        return seats
    try:
        await majority.insert_many(guard.collection, _documents(seats), ordered=False)
    except BulkWriteError as error:
        failed = {each["index"] for each in error.details.get("writeErrors", ())}
        for at in failed:
            seats[at].sent = False
        stored = [each for at, each in enumerate(seats) if at not in failed]
        concern = error.details.get("writeConcernErrors")
        if concern:  # stored, and not known to stay
            _fail(stored, WriteConcernError(concern[0].get("errmsg"), concern[0].get("code"), concern[0]))
            return []
        return stored
    return seats


def _small(document: Mapping[str, Any]) -> bool:
    try:
        return len(bson.encode(document, codec_options=_OPTIONS)) <= LARGE
    except Exception:  # noqa: BLE001 - whatever it is: it is raised where the document is inserted by itself
        return False
