"""The caller's own transactions: a ``with`` block that the guarded operations inside of it join."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from pymongo.errors import InvalidOperation, OperationFailure

from integrity.errors import IndexRequired
from integrity.facade.guards import Guards
from integrity.store.run import run
from integrity.writes.references import deferred
from integrity.writes.references.keys import Key
from integrity.writes.refusal import refusal
from integrity.writes.transaction import LIMIT, commit, give_up, required, settings

T = TypeVar("T")

_ELSEWHERE = (
    "The transaction was entered in another thread, task or context than its block is left in, as where a framework "
    "runs a fixture or a dependency: what was done between is part of it only where session=tx.session was passed. "
    "Open it where the operations are."
)


async def _prepare(guards: Guards) -> None:
    """Do what cannot be done inside of a transaction.

    Raises:
        InvalidOperation: One is open here already.
        TransactionRequired: The server has none.
    """
    bound = guards.store.bound.get(None)
    if guards.binding.session() is not None or (bound is not None and bound.in_transaction):
        raise InvalidOperation(
            "A transaction is open here already, and MongoDB has none inside of another; leave the inner one out: what "
            "stands in it joins the one that is open."
        )
    if not await guards.references.transactional(guards.store):
        raise required("This block")
    if any(entry.references or entry.copies for entry in guards.registry):
        # What is created meanwhile, a transaction's snapshot cannot read.
        with suppress(OperationFailure):
            await guards.references.prepare(guards.store)
    for entry in guards.registry:
        # MongoDB creates no index in a transaction on a collection that holds documents. Where one is missing, and
        # cannot be created, the write that needs it says so; this transaction may be about something else.
        with suppress(IndexRequired, OperationFailure):
            await guards.indexes.ensure(guards.store, entry)


async def settled(guards: Guards, session: Any) -> None:
    """Look at the references that a transaction has put off, and refresh the copies that had no owner to follow.

    Raises:
        DanglingReference: One dangles; the transaction is aborted.
        InvalidDocument: A copy cannot hold what its owner holds; the transaction is aborted.
    """
    later = deferred.of(session)
    if later is None:
        return
    try:
        await later.settle(guards.references, guards.store, session)
        await _caught_up(guards, later.awaited, session)
        deferred.release(session)
    except BaseException as error:
        await give_up(guards.store, session, error)
        raise


async def _caught_up(guards: Guards, owners: Sequence[Key], session: Any) -> None:
    refused = await guards.copies.catch_up(guards.store, owners, session)
    if refused:
        raise refusal(refused)


class _Open:
    """A transaction, whatever its colour.

    Args:
        guards: The database.
        options: PyMongo's options of ``start_transaction``.
        session: A session that is in a transaction already, run by `transact`; None to begin one.
    """

    #: Whether it is still to be left. Of the class, as one that is interrupted while it is made has nothing else.
    _entered = False

    def __init__(self, guards: Guards, options: dict[str, Any], session: Any = None) -> None:
        self._guards = guards
        self._deferred = bool(options.pop("deferred", False))
        self._options = settings(guards.store, options)
        self._session = session

    @property
    def session(self) -> Any:
        """PyMongo's session, for operations beside the guarded ones.

        Raises:
            InvalidOperation: The block is not entered.
        """
        if self._session is None:
            raise InvalidOperation("The transaction is not open; it is inside of its `with` block.")
        return self._session

    async def _enter(self) -> None:
        guards = self._guards
        await _prepare(guards)
        session = await guards.store.start_session()
        try:
            await guards.store.begin(session, **self._options)
            self._session = session
            if self._deferred:
                deferred.begin(session)
            self._entered = True
            guards.binding.bind(session)
        except BaseException:  # a KeyboardInterrupt: nobody leaves what was not entered
            await self._left(session)
            raise

    async def _exit(self, error: BaseException | None) -> None:
        session, store = self._session, self._guards.store
        try:
            self._guards.binding.bind(None)
            if error is not None:
                await give_up(store, session, error)
            elif session.in_transaction:
                await settled(self._guards, session)
                await commit(store, session, time.monotonic() + LIMIT, self._options["write_concern"], again=False)
                await self._guards.copies.committed(store, session)
        finally:
            await self._left(session)

    async def _left(self, session: Any) -> None:
        """Let nothing join the transaction, and nothing be left of it; also where that was begun already."""
        self._guards.binding.bind(None)
        self._guards.copies.recorded(session)
        deferred.end(session)
        await self._guards.store.end_session(session)
        self._entered = False

    @property
    def _elsewhere(self) -> bool:
        """Whether this is another context than the block was entered in: what was done here has not joined it."""
        return self._guards.binding.session() is not self._session

    async def _rollback(self) -> None:
        await give_up(self._guards.store, self.session)


class Transaction(_Open):
    """An open transaction of a blocking database."""

    def __enter__(self) -> Self:
        run(self._enter())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        elsewhere = self._elsewhere
        try:
            run(self._exit(error))
        except BaseException as interrupted:
            if not isinstance(interrupted, Exception):  # a KeyboardInterrupt on the way
                run(self._left(self._session))
            raise
        if elsewhere:
            warnings.warn(_ELSEWHERE, RuntimeWarning, stacklevel=2)

    def __del__(self) -> None:
        # At its end an interpreter starts no thread, and 3.11 waits for it for ever: the server ends what is left.
        if not self._entered or sys.is_finalizing():
            return
        # Interrupted where `__exit__` begins. The thread that this runs in may hold the driver's locks.
        if self._guards.binding.session() is self._session:
            self._guards.binding.bind(None)
        with suppress(RuntimeError):  # there are as many threads as there may be, or the interpreter is at its end
            threading.Thread(
                target=lambda: run(self._left(self._session)), name="integrity-ending", daemon=True
            ).start()

    def rollback(self) -> None:
        """Undo what was written; the block goes on, and an operation in it is an error."""
        run(self._rollback())


class AsyncTransaction(_Open):
    """An open transaction of an asynchronous database."""

    async def __aenter__(self) -> Self:
        await self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        elsewhere = self._elsewhere
        await self._exit(error)
        if elsewhere:
            warnings.warn(_ELSEWHERE, RuntimeWarning, stacklevel=2)

    async def rollback(self) -> None:
        """Undo what was written; the block goes on, and an operation in it is an error."""
        await self._rollback()


async def repeated(
    guards: Guards, kind: type[_Open], body: Callable[[Any], Awaitable[T]], options: dict[str, Any]
) -> T:
    """Run `body` in a transaction, again where it met another one, as PyMongo's ``with_transaction``.

    Args:
        guards: The database.
        kind: The class of what `body` is given.
        body: Is given the transaction.
        options: PyMongo's options of ``start_transaction``.
    """
    await _prepare(guards)
    puts_off = bool(options.pop("deferred", False))

    async def bound(session: Any) -> T:
        try:
            guards.binding.bind(session)
            if puts_off:
                deferred.begin(session)
            found = await body(kind(guards, options, session))
            if session.in_transaction:
                await settled(guards, session)
            return found
        finally:
            try:
                unbind(session)
            except BaseException:  # a KeyboardInterrupt: once more, and to the end
                unbind(session)
                raise

    def unbind(session: Any) -> None:
        guards.binding.bind(None)
        deferred.end(session)

    return await guards.copies.transact(guards.store, bound, timed=False, **options)
