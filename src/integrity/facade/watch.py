"""Change streams of a guarded collection: PyMongo's, counted by the pool as long as they are open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from weakref import finalize

from integrity.client.streams import Streams

Event = dict[str, Any]

#: Seconds until a stream of Motor's that is still being opened is closed once more.
_PAUSE = 0.05


class _Counted:
    """A driver's change stream, and its place in the budget."""

    def __init__(self, stream: Any, streams: Streams | None, place: int | None) -> None:
        self._stream = stream
        # Also of one that is forgotten without being closed: its cursor, and the connection with it, goes too.
        self._place = None if streams is None or place is None else finalize(self, streams.leave, place)
        if self._place is not None:
            self._place.atexit = False

    @property
    def alive(self) -> bool:
        """Whether there may be more events."""
        return bool(self._stream.alive)

    @property
    def resume_token(self) -> Mapping[str, Any] | None:
        """Where another stream may go on, by ``resume_after``."""
        return self._stream.resume_token  # type: ignore[no-any-return]  # the driver's

    def _leave(self) -> None:
        """Give the place back, once."""
        if self._place is not None:
            self._place()

    def _looked(self) -> None:
        """Give the place back where the stream has ended, by an error or with its collection: it holds nothing then."""
        if not self._stream.alive:
            self._leave()


class ChangeStream(_Counted):
    """PyMongo's ``ChangeStream``: it holds a connection until it is closed, at the end of a ``with`` block.

    Several threads may take events of one stream: each event is one thread's.
    """

    def __init__(self, stream: Any, streams: Streams | None, place: int | None) -> None:
        super().__init__(stream, streams, place)
        # Two requests at a time for one cursor are refused by the server, and its stream is at its end.
        self._turn = threading.RLock()

    def next(self) -> Event:
        """Return the next event; it waits for one.

        Raises:
            StopIteration: The stream is closed.
        """
        with self._turn:
            try:
                return self._stream.next()  # type: ignore[no-any-return]  # the driver's
            finally:
                self._looked()

    def try_next(self) -> Event | None:
        """Return the next event, or None when the server has none for now."""
        with self._turn:
            try:
                return self._stream.try_next()  # type: ignore[no-any-return]  # the driver's
            finally:
                self._looked()

    def close(self) -> None:
        """Close it, and give its connection back."""
        try:
            self._stream.close()
        finally:
            self._leave()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        return self.next()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncChangeStream(_Counted):
    """PyMongo's ``AsyncChangeStream``; as `ChangeStream`, for ``async with`` and ``async for``.

    PyMongo closes it where a wait for an event is cancelled: `try_next` waits for ``max_await_time_ms`` at most, and
    another stream goes on from `resume_token`.
    """

    def __init__(self, stream: Any, streams: Streams | None, place: int | None) -> None:
        super().__init__(stream, streams, place)
        self._turn = asyncio.Lock()

    async def next(self) -> Event:
        """Return the next event; it waits for one.

        Raises:
            StopAsyncIteration: The stream is closed.
        """
        async with self._turn:
            try:
                return await self._stream.next()  # type: ignore[no-any-return]  # the driver's
            finally:
                self._looked()

    async def try_next(self) -> Event | None:
        """Return the next event, or None when the server has none for now."""
        async with self._turn:
            try:
                return await self._stream.try_next()  # type: ignore[no-any-return]  # the driver's
            finally:
                self._looked()

    async def close(self) -> None:
        """Close it, and give its connection back."""
        try:
            await self._stream.close()
        finally:
            self._leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return await self.next()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class MotorChangeStream(AsyncChangeStream):
    """Motor's: what a call waits for runs on in its thread, with its connection, when the caller is cancelled.

    The next call waits for the same: another thread beside it would be refused by the server, and the event that comes
    to the first would be nobody's.
    """

    _running: asyncio.Future[Event | None] | None = None

    async def next(self) -> Event:
        """Return the next event; it waits for one.

        Raises:
            StopAsyncIteration: The stream is closed.
        """
        while self._running is not None or self.alive:
            if (event := await self.try_next()) is not None:
                return event
        raise StopAsyncIteration

    async def try_next(self) -> Event | None:
        """Return the next event, or None when the server has none for now."""
        running = self._running = self._running or asyncio.ensure_future(self._stream.try_next())
        await asyncio.wait([running])  # which leaves it alone where this task is cancelled
        if self._running is not running:
            return None  # another task has taken it
        self._running = None
        self._looked()
        return running.result()

    async def close(self) -> None:
        """Close it, and give its connection back, once the thread that has it is done."""
        await asyncio.shield(asyncio.ensure_future(self._closed()))

    async def _closed(self) -> None:
        running, self._running = self._running, None
        try:
            while running is not None and not running.done():
                await self._stream.close()  # does nothing before it is open
                await asyncio.wait([running], timeout=_PAUSE)
            await self._stream.close()
            if running is not None and not running.cancelled():
                running.exception()  # looked at: nobody awaits it any more
        finally:
            self._leave()
