"""The asynchronous store: PyMongo's own ``AsyncMongoClient``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Self
from weakref import WeakKeyDictionary

from bson.errors import InvalidBSON
from pymongo.asynchronous.database import AsyncDatabase

from integrity.client.gate_async import NO_ASYNC_GATE, AsyncGate, OpenAsyncGate
from integrity.errors import PoolTimeout
from integrity.store.bound import outside, variable
from integrity.store.codecs import core_codec, model_codec, raw_codec, reader_codec, result_codec
from integrity.store.deadline import in_any_case
from integrity.store.forgiving import READS, again, forgive, forgives, writes
from integrity.store.lean import LeanStore
from integrity.store.pages import uncut
from integrity.store.port import Batches, Document, Filter, Pages, T, U, Waiter, plain

#: Runs an operation with a permit of the gate.
Through = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


#: What goes on although nobody may wait for it any more: a loop itself keeps no task alive.
_APART: set[asyncio.Future[Any]] = set()

#: The last of it that needs a session, by PyMongo's session.
_NEEDED: WeakKeyDictionary[Any, asyncio.Future[Any]] = WeakKeyDictionary()


class _Reading:
    """An asynchronous cursor that is read."""

    def __init__(self, cursor: Any, through: Through) -> None:
        self._cursor: Any = cursor
        self._through = through

    async def close(self) -> None:
        """Close the cursor on the server."""
        if not getattr(self._cursor, "cursor_id", None):  # not begun, or at its end: the server has nothing to close
            await self._cursor.close()
            return
        try:
            await self._through(self._cursor.close)
        except PoolTimeout:
            self._cursor = None  # the driver closes on the server, in the background, what nobody refers to


class AsyncBatches(_Reading):
    """The batches of an asynchronous cursor."""

    async def next(self, size: int = 1000) -> list[Document]:
        """Return up to `size` more documents; an empty list at the end."""
        cursor = self._cursor
        return await self._through(lambda: cursor.to_list(size))  # type: ignore[no-any-return]  # the driver's


class AsyncPages(_Reading):
    """The replies of an asynchronous cursor of raw batches."""

    async def next(self) -> bytes:
        """Return the next reply; nothing at the end."""
        try:
            return await self._through(self._cursor.next)  # type: ignore[no-any-return]  # the driver's
        except StopAsyncIteration:
            return b""


class AsyncWaiter:
    """A task waits, in the loop that it was made in."""

    __slots__ = ("_opened",)

    def __init__(self) -> None:
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Return when it is open."""
        await self._opened

    def open(self) -> None:
        """Let the task go on."""
        if not self._opened.done():  # done when the task was cancelled
            self._opened.set_result(None)


class AsyncStore(LeanStore):
    """A database of an ``AsyncMongoClient``.

    Args:
        database: The database.
        codec: Gives it the codec options to read and write with.
        gate: Stands around each round trip; None when the client is not ours.
    """

    overlaps = True

    def __init__(
        self,
        database: AsyncDatabase[Any],
        codec: Callable[[Any], Any] = core_codec,
        *,
        gate: AsyncGate | OpenAsyncGate | None = None,
    ) -> None:
        self.name = database.name
        self._gate: AsyncGate | OpenAsyncGate = NO_ASYNC_GATE if gate is None else gate
        self._given = database
        self._database: AsyncDatabase[Any] = codec(database)
        self._forgives = forgives(database, codec)
        self._known: dict[str, Any] = {}
        self.bound = variable(database.client)

    def with_options(self, **options: Any) -> Self:
        return self._like(type(self)(self._given.with_options(**options), gate=self._gate))

    def for_reader(self) -> Self:
        return self._like(type(self)(self._given, reader_codec, gate=self._gate))

    def for_models(self) -> Self:
        return self._like(type(self)(self._given, model_codec, gate=self._gate))

    def for_results(self) -> Self:
        return self._like(type(self)(self._given, result_codec, gate=self._gate))

    def for_bytes(self) -> Self:
        return self._like(type(self)(self._given, raw_codec, gate=self._gate))

    def _of(self, collection: str) -> Any:
        """Return the driver's collection; making one takes as long as judging a document."""
        found = self._known.get(collection)
        if found is None:
            found = self._known[collection] = self._database[collection]
        return found

    async def call(self, collection: str, method: str, /, *args: Any, **options: Any) -> Any:
        try:
            return await self._through(lambda: getattr(self._of(collection), method)(*args, **options))
        except InvalidBSON:
            if not self._forgives or method not in READS:
                raise
            return await self._through(lambda: getattr(again(self._of(collection)), method)(*args, **options))

    def find(self, collection: str, filter: Filter | None = None, /, **options: Any) -> Batches:
        cursor = self._of(collection).find(filter, **options)
        return AsyncBatches(forgive(cursor) if self._forgives else cursor, self._through)

    def pages(self, collection: str, filter: Filter | None = None, /, **options: Any) -> Pages:
        return AsyncPages(uncut(self._of(collection).find_raw_batches(filter, **options)), self._through)

    async def aggregate(self, collection: str, pipeline: Sequence[Filter], /, **options: Any) -> Batches:
        try:
            cursor = await self._through(lambda: self._of(collection).aggregate(pipeline, **options))
        except InvalidBSON:  # in the first batch, of which nothing was given away
            if not self._forgives or writes(pipeline):
                raise
            cursor = await self._through(lambda: again(self._of(collection)).aggregate(pipeline, **options))
        return AsyncBatches(forgive(cursor) if self._forgives else cursor, self._through)

    async def command(self, command: str | Mapping[str, Any], *args: Any, **options: Any) -> Document:
        return await self._through(lambda: self._database.command(_mutable(command), *args, **options))  # type: ignore[no-any-return]  # the driver's

    async def admin(self, command: str | Mapping[str, Any], *args: Any, **options: Any) -> Document:
        return await self._through(lambda: self._database.client.admin.command(_mutable(command), *args, **options))  # type: ignore[no-any-return]  # the driver's

    async def collections(self) -> list[Document]:
        async def listed() -> list[Document]:
            return [dict(each) for each in await (await self._database.list_collections()).to_list()]

        return await self._through(listed)  # type: ignore[no-any-return]  # the driver's

    async def start_session(self, **options: Any) -> Any:
        return self._database.client.start_session(**options)

    async def end_session(self, session: Any) -> None:
        needed = _NEEDED.get(plain(session))
        if needed is None or needed.done():
            await self._ending(session, session.end_session)
        else:  # the caller was cancelled once more
            await self.apart(self._ended_after(needed, session))

    async def _ended_after(self, needed: asyncio.Future[Any], session: Any) -> None:
        await asyncio.wait([needed])
        await self._ending(session, session.end_session)

    async def begin(self, session: Any, **options: Any) -> None:
        await session.start_transaction(**options)

    async def commit(self, session: Any) -> None:
        async with self._gate.urgent():  # refused, nothing was sent: the transaction can still be aborted
            await session.commit_transaction()

    async def abort(self, session: Any) -> None:
        await self._ending(session, session.abort_transaction)

    async def _through(self, operation: Callable[[], Awaitable[Any]]) -> Any:
        """Return what an operation returns, run with a permit of the gate."""
        async with self._gate.permit():
            with outside(self.bound):
                return await operation()

    async def _ending(self, session: Any, end: Callable[[], Awaitable[None]]) -> None:
        """Abort a transaction, whatever it takes: one that stays open on the server locks what it wrote."""
        if not session.in_transaction:
            await end()
            return
        with in_any_case():
            try:
                async with self._gate.urgent():
                    await end()
            except PoolTimeout:
                await end()  # without a permit; the driver's own limit still holds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def waiter(self) -> Waiter:
        return AsyncWaiter()

    async def apart(self, work: Coroutine[Any, Any, T], session: Any = None) -> T:
        task = asyncio.ensure_future(work)
        _APART.add(task)
        if session is not None:
            _NEEDED[plain(session)] = task
        task.add_done_callback(_APART.discard)
        return await asyncio.shield(task)

    async def beside(
        self, first: Coroutine[Any, Any, T], second: Callable[[], Coroutine[Any, Any, U]]
    ) -> tuple[T, U | None]:
        if not self._gate.room:
            return await first, None
        task = asyncio.ensure_future(second())  # it begins when the first one waits
        try:
            outcome = await first
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:  # whoever is called no more is doing nothing
            (found,) = await asyncio.gather(task, return_exceptions=True)
        return outcome, None if isinstance(found, BaseException) else found

    async def overlapped(self, sending: Coroutine[Any, Any, T], work: Coroutine[Any, Any, U]) -> tuple[T, U]:
        task = asyncio.ensure_future(sending)
        try:
            made = await work
        except BaseException:
            task.cancel()  # as if the caller had waited for it, and was cancelled
            await asyncio.gather(task, return_exceptions=True)
            raise
        return await task, made


def _mutable(command: str | Mapping[str, Any]) -> str | dict[str, Any]:
    return command if isinstance(command, str) else dict(command)
