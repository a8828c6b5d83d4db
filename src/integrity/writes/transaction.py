"""Running a body in a transaction, again where the server says that it may be run again.

Sources: https://www.mongodb.com/docs/manual/core/transactions-in-applications/ and PyMongo's ``with_transaction``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext, suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from integrity.errors import PoolTimeout, TransactionRequired, UnguardedWrite
from integrity.store.deadline import within
from integrity.store.port import Store

T = TypeVar("T")

#: Seconds after which a transaction is not begun again; PyMongo's own limit.
LIMIT = 120.0

TRANSIENT, UNKNOWN_COMMIT = "TransientTransactionError", "UnknownTransactionCommitResult"

#: "Transaction numbers are only allowed on a replica set member or mongos": IllegalOperation.
_NO_TRANSACTIONS = 20
#: SnapshotUnavailable, which passes by itself, except where the collection is capped.
_NO_SNAPSHOT = 246
#: MaxTimeMSExpired: a commit that ran out of its own time is not tried again.
_TIME_IS_UP = 50

#: Seconds that it may take to bar what is left of a transaction.
_BARRING = 1.0

_COMMITTED = "_integrity_committed"

#: What is read is one snapshot; what is committed stays, see `majority`.
_OPTIONS = {
    "read_concern": ReadConcern("snapshot"),
    "read_preference": ReadPreference.PRIMARY,
}


#: The usual options of a store's transactions.
_SETTINGS: WeakKeyDictionary[Store, dict[str, Any]] = WeakKeyDictionary()


def majority(store: Store) -> WriteConcern:
    """Return a majority's write concern, with what the application says of how long it waits, and for the journal."""
    said = store.write_concern.document
    # Not j=False: what a majority has only in memory may be lost.
    return WriteConcern("majority", wtimeout=said.get("wtimeout"), j=said.get("j") or None)


def settings(store: Store, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a transaction: the caller's, and the usual ones for the rest, and for what is None."""
    usual = _SETTINGS.get(store)
    if usual is None:
        usual = _SETTINGS[store] = {**_OPTIONS, "write_concern": majority(store)}
    return {**usual, **{name: each for name, each in options.items() if each is not None}}


def joins(session: Any) -> bool:
    """Whether an operation that is given `session` is part of a transaction of the caller."""
    return session is not None and bool(session.in_transaction)


async def transact(
    store: Store,
    body: Callable[[Any], Awaitable[T]],
    session: Any = None,
    *,
    why: str = "",
    timed: bool = True,
    met: Callable[[BaseException, float], None] | None = None,
    **options: Any,
) -> T:
    """Run `body` in a transaction of its own and commit it.

    The body is run again when its transaction met another one: it must be repeatable, and may change nothing
    outside of the database.

    Args:
        store: The database.
        body: Is given the session.
        session: A session without a transaction to do it in; None for a new one.
        why: What cannot be done without a transaction, for the error's text.
        timed: Whether the client's ``timeoutMS`` is for all of it; as for PyMongo, not where the body is the caller's.
        met: Called with what an attempt met, and the seconds since the first one began, before the body is run again.
        options: PyMongo's options of ``start_transaction``.

    Raises:
        TransactionRequired: The server has no transactions.
        UnguardedWrite: It reads a capped collection.
    """
    own = None
    if session is None:
        try:
            session = own = await store.start_session()
        except (ConfigurationError, NotImplementedError) as error:  # mongomock has no sessions
            raise required(why) from error
    try:
        with store.in_time() if timed and store.limit is not None else nullcontext():
            return await _repeat(store, body, session, why, settings(store, options), met)
    finally:
        if own is not None:
            await store.end_session(own)


async def _repeat(
    store: Store,
    body: Callable[[Any], Awaitable[T]],
    session: Any,
    why: str,
    options: dict[str, Any],
    met: Callable[[BaseException, float], None] | None,
) -> T:
    began, attempt = time.monotonic(), 0
    deadline = began + LIMIT
    while True:
        await store.begin(session, **options)
        try:
            outcome = await body(session)
        except BaseException as error:
            again = _labelled(error, TRANSIENT) and not _late(store, deadline)
            # One that is run again bars what is left of the one before.
            await give_up(store, session, None if again else error)
            if isinstance(error, OperationFailure) and error.code == _NO_TRANSACTIONS:
                raise required(why) from error
            if isinstance(error, OperationFailure) and error.code == _NO_SNAPSHOT and "capped" in str(error):
                raise UnguardedWrite(
                    f"{why or 'This'} needs a transaction, and MongoDB's transactions cannot read a capped collection; "
                    "make it one without a limit."
                ) from error
            if not again:
                raise
            if met is not None:
                met(error, time.monotonic() - began)
        else:
            if not session.in_transaction:  # the body ended it
                return outcome
            try:
                if await commit(store, session, deadline, options["write_concern"]):
                    return outcome
            except WriteConcernError as error:  # it is committed, and too few members have said so
                setattr(error, _COMMITTED, outcome)
                raise
        attempt += 1
        try:
            await _pause(store, attempt)
        except BaseException as error:
            await give_up(store, session, error)
            raise


async def commit(
    store: Store, session: Any, deadline: float, concern: WriteConcern | None, *, again: bool = True
) -> bool:
    """Commit, again where it is not known whether it was.

    Args:
        store: The database.
        session: The session.
        deadline: When to give up, by the monotonic clock.
        concern: The transaction's write concern: where it has a ``wtimeout``, a commit waits no longer.
        again: Whether the caller can run the whole transaction again.

    Returns:
        Whether it is committed; False where the whole transaction is to be run again.
    """
    limited = concern is not None and "wtimeout" in concern.document
    try:
        return await _committed(store, session, deadline, limited=limited, again=again)
    except BaseException as error:
        await give_up(store, session, error)
        raise


async def _committed(store: Store, session: Any, deadline: float, *, limited: bool, again: bool) -> bool:
    attempt = 0
    while True:
        try:
            await store.commit(session)
        except PyMongoError as error:
            late = _late(store, deadline) or (limited and isinstance(error, WTimeoutError))
            if _labelled(error, UNKNOWN_COMMIT) and not late and getattr(error, "code", None) != _TIME_IS_UP:
                attempt += 1
                await _pause(store, attempt)
                continue
            if _labelled(error, TRANSIENT) and again and not late:
                return False
            raise
        return True


async def give_up(store: Store, session: Any, error: BaseException | None = None) -> None:
    """Let nothing of a session's transaction be left on the server, also where the caller is cancelled once more.

    Args:
        store: The database.
        session: The session.
        error: What has ended the transaction; None where everything that was sent was answered.
    """
    # The driver takes a commit for done that was interrupted before it was sent.
    unanswered = error is not None and (not isinstance(error, Exception) or _lost(error))
    if unanswered or session.in_transaction:
        await store.apart(_given_up(store, session, unanswered=unanswered), session)


async def _given_up(store: Store, session: Any, *, unanswered: bool) -> None:
    try:
        if session.in_transaction:
            await store.abort(session)
    except BaseException as error:
        # The driver takes an abort for done that was interrupted before it was sent.
        if not isinstance(error, Exception):
            await _bar(store, session)
        raise
    if unanswered:
        await _bar(store, session)


async def _bar(store: Store, session: Any) -> None:
    # A command whose answer nobody waits for may come after the abort, which took another connection, and begin the
    # transaction anew. What belongs to a transaction before the session's last one the server refuses, or aborts.
    with within(_BARRING), suppress(PyMongoError, PoolTimeout):
        await store.begin(session, read_concern=ReadConcern("local"), read_preference=ReadPreference.PRIMARY)
        try:
            await store.one("integrity.none", {"_id": None}, {"_id": 1}, session)
        finally:
            await store.abort(session)


def committed(error: WriteConcernError) -> Any:
    """Return what a transaction's body returned, from the error that says who has not confirmed the commit; or None."""
    return getattr(error, _COMMITTED, None)


def _late(store: Store, deadline: float) -> bool:
    return time.monotonic() >= deadline or store.left <= 0


async def _pause(store: Store, attempt: int) -> None:
    """Wait before an attempt: longer each time, and never past the caller's deadline."""
    pause = random.random() * min(0.005 * 1.5 ** min(attempt, 20), 0.5)  # noqa: S311 - jitter is no cryptography
    await store.sleep(max(0.0, min(pause, store.left)))


def _lost(error: BaseException) -> bool:
    """Whether a command may be on its way that nobody hears of any more."""
    return isinstance(error, ConnectionFailure) or _labelled(error, UNKNOWN_COMMIT)


def _labelled(error: BaseException, label: str) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(label)


def required(why: str) -> TransactionRequired:
    """Return the error of what needs a transaction."""
    return TransactionRequired(
        f"{why or 'This'} needs a transaction, and this server has none; run it as a replica set (one member will do)."
    )
