"""The blocking store: plain PyMongo under ``async def`` methods that never suspend."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from itertools import islice
from typing import Any, Self

from bson.errors import InvalidBSON
from pymongo.database import Database

from integrity.client.gate import NO_GATE, Gate, OpenGate
from integrity.errors import PoolTimeout
from integrity.store.aside import ASIDE
from integrity.store.bound import outside, variable
from integrity.store.codecs import core_codec, model_codec, raw_codec, reader_codec, result_codec
from integrity.store.deadline import in_any_case
from integrity.store.forgiving import READS, again, forgive, forgives, writes
from integrity.store.lean import LeanStore
from integrity.store.pages import uncut
from integrity.store.port import Batches, Document, Filter, Pages, T, U, Waiter
from integrity.store.run import run

#: Seconds in which a thread begins to send.
_HEAD_START = 0.0002


class _Reading:
    """A PyMongo cursor that is read."""

    def __init__(self, cursor: Any, bound: ContextVar[Any], gate: Gate | OpenGate = NO_GATE) -> None:
        self._cursor: Any = cursor
        self.bound = bound
        self._gate = gate

    async def close(self) -> None:
        """Close the cursor on the server."""
        if not getattr(self._cursor, "cursor_id", None):  # not begun, or at its end: the server has nothing to close
            self._cursor.close()
            return
        try:
            with self._gate.permit(), outside(self.bound):
                self._cursor.close()
        except PoolTimeout:
            self._cursor = None  # the driver closes on the server, in the background, what nobody refers to


class BlockingBatches(_Reading):
    """The batches of a PyMongo cursor."""

    async def next(self, size: int = 1000) -> list[Document]:
        """Return up to `size` more documents; an empty list at the end."""
        if not hasattr(self._cursor, "to_list"):  # mongomock's
            return list(islice(self._cursor, size))
        with self._gate.permit(), outside(self.bound):
            return self._cursor.to_list(size)  # type: ignore[no-any-return]  # the driver's


class BlockingPages(_Reading):
    """The replies of a PyMongo cursor of raw batches."""

    async def next(self) -> bytes:
        """Return the next reply; nothing at the end."""
        with self._gate.permit(), outside(self.bound):
            return next(self._cursor, b"")


class BlockingWaiter:
    """A thread waits."""

    __slots__ = ("_closed",)

    def __init__(self) -> None:
        self._closed = threading.Lock()
        self._closed.acquire()

    async def wait(self) -> None:
        """Return when it is open."""
        self._closed.acquire()

    def open(self) -> None:
        """Let the thread go on; nothing where it was let already."""
        if self._closed.locked():
            self._closed.release()


class BlockingStore(LeanStore):
    """A database of a ``MongoClient``.

    Args:
        database: The database.
        codec: Gives it the codec options to read and write with.
        gate: Stands around each round trip; None when the client is not ours.
    """

    portion = 2000  # of 1,000 to 5,000 the quickest: the next portion is judged while the server stores one
    patient = True
    overlaps = True

    def __init__(
        self, database: Database[Any], codec: Callable[[Any], Any] = core_codec, *, gate: Gate | OpenGate | None = None
    ) -> None:
        self.name = database.name
        if type(database).__module__.startswith("mongomock"):
            self.exact = {}  # it has no collations, and refuses the option
        self._gate: Gate | OpenGate = NO_GATE if gate is None else gate
        self._given = database
        self._database: Database[Any] = codec(database)
        self._forgives = forgives(database, codec)
        self._known: dict[str, Any] = {}
        self.bound = variable(database.client)

    def with_options(self, **options: Any) -> Self:
        try:
            return self._like(type(self)(self._given.with_options(**options), gate=self._gate))
        except NotImplementedError:  # mongomock has no concerns, and no servers to be concerned about
            return self

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
        if self._gate is not NO_GATE or self.bound.get(None) is not None:
            with self._gate.permit(), outside(self.bound):
                return self._called(collection, method, args, options)
        # Once for each document, without a call more than it takes.
        found = self._known.get(collection)
        if found is None or method in READS:
            return self._called(collection, method, args, options)
        return getattr(found, method)(*args, **options)

    def _called(self, collection: str, method: str, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        try:
            return getattr(self._of(collection), method)(*args, **options)
        except InvalidBSON:
            if not self._forgives or method not in READS:
                raise
            return getattr(again(self._of(collection)), method)(*args, **options)

    def sender(self, collection: str, method: str) -> Callable[..., Any] | None:
        send: Callable[..., Any] = getattr(self._of(collection), method)
        if self._gate is NO_GATE:
            return send
        gate = self._gate

        def sent(*args: Any) -> Any:
            with gate.permit():
                return send(*args)

        return sent

    def find(self, collection: str, filter: Filter | None = None, /, **options: Any) -> Batches:
        cursor = self._of(collection).find(filter, **options)
        return BlockingBatches(forgive(cursor) if self._forgives else cursor, self.bound, self._gate)

    def pages(self, collection: str, filter: Filter | None = None, /, **options: Any) -> Pages:
        return BlockingPages(uncut(self._of(collection).find_raw_batches(filter, **options)), self.bound, self._gate)

    async def aggregate(self, collection: str, pipeline: Sequence[Filter], /, **options: Any) -> Batches:
        with self._gate.permit(), outside(self.bound):
            try:
                cursor = self._of(collection).aggregate(pipeline, **options)
            except InvalidBSON:  # in the first batch, of which nothing was given away
                if not self._forgives or writes(pipeline):
                    raise
                cursor = again(self._of(collection)).aggregate(pipeline, **options)
        return BlockingBatches(forgive(cursor) if self._forgives else cursor, self.bound, self._gate)

    async def command(self, command: str | Mapping[str, Any], *args: Any, **options: Any) -> Document:
        if self._gate is NO_GATE and self.bound.get(None) is None:  # three times in a pinned insert
            return self._database.command(_mutable(command), *args, **options)
        with self._gate.permit(), outside(self.bound):
            return self._database.command(_mutable(command), *args, **options)

    async def admin(self, command: str | Mapping[str, Any], *args: Any, **options: Any) -> Document:
        with self._gate.permit(), outside(self.bound):
            return self._database.client.admin.command(_mutable(command), *args, **options)

    async def collections(self) -> list[Document]:
        with self._gate.permit(), outside(self.bound):
            return [dict(each) for each in self._database.list_collections()]

    async def start_session(self, **options: Any) -> Any:
        return self._database.client.start_session(**options)

    async def end_session(self, session: Any) -> None:
        self._ending(session, session.end_session)

    async def begin(self, session: Any, **options: Any) -> None:
        session.start_transaction(**options)

    async def commit(self, session: Any) -> None:
        with self._gate.urgent():  # refused, nothing was sent: the transaction can still be aborted
            session.commit_transaction()

    async def abort(self, session: Any) -> None:
        self._ending(session, session.abort_transaction)

    def _ending(self, session: Any, end: Callable[[], None]) -> None:
        """Abort a transaction, whatever it takes: one that stays open on the server locks what it wrote."""
        if not session.in_transaction:
            end()
            return
        with in_any_case():
            try:
                with self._gate.urgent():
                    end()
            except PoolTimeout:
                end()  # without a permit; the driver's own limit still holds

    def waiter(self) -> Waiter:
        return BlockingWaiter()

    async def sleep(self, seconds: float) -> None:
        if seconds:  # a pause of nothing is for an event loop, and there is none
            time.sleep(seconds)  # noqa: ASYNC251 - there is no loop: this coroutine never suspends

    async def beside(
        self, first: Coroutine[Any, Any, T], second: Callable[[], Coroutine[Any, Any, U]]
    ) -> tuple[T, U | None]:
        job = ASIDE.begin(lambda: run(second())) if self._gate.room else None
        try:
            outcome = await first
        except Exception:
            if job is not None:
                job.outcome()  # whoever is called no more is doing nothing
            raise
        return outcome, None if job is None else job.outcome()

    async def overlapped(self, sending: Coroutine[Any, Any, T], work: Coroutine[Any, Any, U]) -> tuple[T, U]:
        sent: Future[T] = Future()
        # The caller's context goes with it: pymongo.timeout() is kept there.
        thread = threading.Thread(target=copy_context().run, args=(_settle, sent, sending), name="integrity-sending")
        try:
            thread.start()
        except RuntimeError:  # there are as many threads as there may be, or the interpreter is at its end
            return await super().overlapped(sending, work)
        # The sender first: it would wait as long as the interpreter lets a thread run, and the server with it.
        time.sleep(_HEAD_START)  # noqa: ASYNC251 - there is no loop: this coroutine never suspends
        try:
            made = await work
        finally:
            thread.join()
        return sent.result(), made


def _settle(future: Future[T], coroutine: Coroutine[Any, Any, T]) -> None:
    try:
        future.set_result(run(coroutine))
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        future.set_exception(error)


def _mutable(command: str | Mapping[str, Any]) -> str | dict[str, Any]:
    return command if isinstance(command, str) else dict(command)
