"""The Motor store: a thin adapter for applications that still have Motor.

Motor's operations are awaited like PyMongo's asynchronous ones, with these differences: ``start_session`` is
awaited, ``start_transaction``, ``aggregate`` and ``list_collections`` are not.

An operation of Motor runs on in its thread, and keeps its connection, when the task that awaits it is cancelled: so
its permit outlives the task, and what the task does about it - it aborts its transaction, it takes back what it has
written - waits for the operation to end. Otherwise it would be overtaken, and written after it was undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from bson.errors import InvalidBSON
from pymongo.errors import InvalidOperation

from integrity.client.gate_async import NO_ASYNC_GATE, AsyncGate, OpenAsyncGate
from integrity.store.asynchronous import AsyncBatches, AsyncStore, Through
from integrity.store.bound import outside, variable
from integrity.store.codecs import core_codec
from integrity.store.forgiving import again, forgive, forgives, writes
from integrity.store.port import Batches, Document, Filter, T, U

#: What runs on of each task that was cancelled.
_RUNNING_ON: WeakKeyDictionary[asyncio.Task[Any], asyncio.Future[Any]] = WeakKeyDictionary()


async def _ended() -> None:
    """Wait for what runs on of this task."""
    task = asyncio.current_task()
    if task is not None and (running := _RUNNING_ON.get(task)) is not None:
        await asyncio.wait([running])
        _RUNNING_ON.pop(task, None)


def _running_on() -> asyncio.Future[Any] | None:
    """Return what runs on of this task, unless it has ended."""
    task = asyncio.current_task()
    running = None if task is None else _RUNNING_ON.get(task)
    return None if running is None or running.done() else running


async def _after(running: asyncio.Future[Any] | None, work: Coroutine[Any, Any, T]) -> T:
    if running is not None:
        await asyncio.wait([running])
    return await work


class _Piped(AsyncBatches):
    """The batches of an aggregation that forgives: Motor sends it when the first of them is asked for.

    Args:
        cursor: Motor's, that is not begun.
        through: Runs an operation with a permit of the gate.
        asked_again: Returns a cursor of the same that decodes what the driver refuses.
    """

    def __init__(self, cursor: Any, through: Through, asked_again: Callable[[], Any]) -> None:
        super().__init__(cursor, through)
        self._asked_again: Callable[[], Any] | None = asked_again

    async def next(self, size: int = 1000) -> list[Document]:
        """Return up to `size` more documents; an empty list at the end."""
        if self._asked_again is None:
            return await super().next(size)
        try:
            found = await super().next(size)
        except InvalidBSON:  # of which nothing was given away
            self._cursor = self._asked_again()
            found = await super().next(size)
        self._asked_again = None
        forgive(self._cursor)  # only now is there a cursor of the driver's
        return found


class MotorStore(AsyncStore):
    """A database of a ``motor.motor_asyncio.AsyncIOMotorClient``.

    Args:
        database: The ``AsyncIOMotorDatabase``.
        codec: Gives it the codec options to read and write with.
        gate: Stands around each round trip; None when the client is not ours.
    """

    overlaps = False  # each operation has a thread, which the other one would be waited for in
    _given: Any
    _database: Any

    def __init__(
        self,
        database: Any,
        codec: Callable[[Any], Any] = core_codec,
        *,
        gate: AsyncGate | OpenAsyncGate | None = None,
    ) -> None:
        self.name = database.name
        self._gate = NO_ASYNC_GATE if gate is None else gate
        self._given = database
        self._database = codec(database)
        self._forgives = forgives(database, codec)
        self._known = {}
        self.bound = variable(database.client.delegate)

    def joined(self, session: Any) -> Any:  # noqa: ARG002 - it is the driver's inside of Motor, of which Motor has none
        raise InvalidOperation("Motor's operations join no bound session; pass session=... to each of them.")

    async def aggregate(self, collection: str, pipeline: Sequence[Filter], /, **options: Any) -> Batches:
        cursor = self._of(collection).aggregate(pipeline, **options)
        if not self._forgives or writes(pipeline):
            return AsyncBatches(cursor, self._through)
        return _Piped(cursor, self._through, lambda: again(self._of(collection)).aggregate(pipeline, **options))

    async def collections(self) -> list[Document]:
        async def listed() -> list[Document]:
            return [dict(each) async for each in await self._database.list_collections()]

        return await self._through(listed)  # type: ignore[no-any-return]  # Motor is untyped

    async def start_session(self, **options: Any) -> Any:
        self._at_home()
        return await self._database.client.start_session(**options)

    async def begin(self, session: Any, **options: Any) -> None:
        session.start_transaction(**options)

    async def commit(self, session: Any) -> None:
        await self._shielded(session.commit_transaction, first=True)

    async def apart(self, work: Coroutine[Any, Any, T], session: Any = None) -> T:
        return await super().apart(_after(_running_on(), work), session)

    async def overlapped(self, sending: Coroutine[Any, Any, T], work: Coroutine[Any, Any, U]) -> tuple[T, U]:
        task = asyncio.current_task()

        async def sent() -> T:
            try:
                return await sending
            finally:
                if task is not None and (running := _running_on()) is not None:
                    _RUNNING_ON[task] = running  # it is the caller who undoes it

        return await super().overlapped(sent(), work)

    async def _ending(self, session: Any, end: Callable[[], Awaitable[None]]) -> None:
        await _ended()
        await super()._ending(session, end)

    async def _through(self, operation: Callable[[], Awaitable[Any]]) -> Any:
        return await self._shielded(operation)

    async def _shielded(self, operation: Callable[[], Awaitable[Any]], *, first: bool = False) -> Any:
        self._at_home()
        await _ended()
        await self._gate.acquire(first=first)
        try:
            with outside(self.bound):  # a thread, and a task, has the context that it was started in
                future = asyncio.ensure_future(operation())
        except BaseException:
            self._gate.release()
            raise
        # The thread has the connection until it is done, whatever becomes of this task.
        future.add_done_callback(self._done)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not future.done():
                _RUNNING_ON[task] = future
            raise

    def _at_home(self) -> None:
        """Refuse another event loop, where Motor would send the operation and then fail to hear of it.

        Raises:
            RuntimeError: The client belongs to another one.
        """
        if self._database.client.get_io_loop() is not asyncio.get_running_loop():
            raise RuntimeError(
                "This Motor client belongs to another event loop, that of its first use. "
                "Open one inside of the loop that uses it."
            )

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._gate.release()
        if not future.cancelled():
            future.exception()  # looked at, in case that nobody awaits it any more
