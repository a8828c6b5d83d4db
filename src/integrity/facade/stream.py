"""Documents as they come, and the two colours of taking them: blocking and asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pymongo.errors import InvalidOperation

from integrity.errors import PoolTimeout
from integrity.store.port import Batches, Document
from integrity.store.run import run

T = TypeVar("T")
Make = Callable[[Document], T]

#: Documents that are taken from the driver at once where the caller names no batch size: MongoDB's first batch.
FIRST_BATCH = 101

#: Documents that are taken from the driver at once for a list.
LISTED = 1000


class Stream(Generic[T]):
    """Documents as they come, made what the caller asked for.

    Several threads or tasks may take of one: they wait for their turn, and each document is one's. A request that was
    interrupted may have taken documents from the server's cursor that are nobody's: what comes after it is an error,
    and not the end.

    Args:
        make: Makes it out of a document; None for the document itself.
    """

    def __init__(self, make: Make[T] | None) -> None:
        self._make = make
        self._waiting: deque[Document] = deque()
        self._done = False
        self._batches: Batches | None = None
        self._interrupted: str | None = None
        self._turn = self._turns()

    #: Makes the lock of those who take of it.
    _turns: Callable[[], Any]

    async def _open(self) -> Batches:
        raise NotImplementedError

    @property
    def _size(self) -> int:
        return FIRST_BATCH

    @property
    def alive(self) -> bool:
        """Whether there may be more."""
        return bool(self._waiting) or not self._done

    async def _fetch(self, size: int) -> None:
        if self._interrupted is not None:
            raise InvalidOperation(
                f"This cursor was interrupted while it waited for documents ({self._interrupted}): what it had not yet "
                "returned is not known; ask again."
            )
        if self._batches is None:
            self._batches = await self._open()
        try:
            batch = await self._batches.next(size)
        except PoolTimeout:  # nothing was sent
            raise
        except BaseException as error:
            self._interrupted = type(error).__name__
            raise
        self._done = not batch
        self._waiting.extend(batch)

    def _take(self) -> T:
        return self._made(self._waiting.popleft())

    def _made(self, document: Document) -> T:
        return document if self._make is None else self._make(document)  # type: ignore[return-value]  # T is Document

    async def _next(self, end: type[Exception]) -> T:
        while True:
            try:
                document = self._waiting.popleft()
            except IndexError:
                if self._done:
                    raise end from None
            else:
                return self._made(document)
            await self._fetch(self._size)

    async def _list(self, length: int | None) -> list[T]:
        if length is not None and length < 1:
            raise ValueError("to_list() length must be greater than 0")
        taken: list[Document] = []
        try:
            while length is None or len(taken) < length:
                if not self._waiting:
                    if not self._done:
                        await self._fetch(LISTED if length is None else min(LISTED, length - len(taken)))
                    if not self._waiting:
                        break
                taken.append(self._waiting.popleft())
        except BaseException:
            self._waiting.extendleft(reversed(taken))  # for who asks again
            raise
        return [self._made(each) for each in taken]

    async def _close(self) -> None:
        self._done, self._interrupted = True, None
        self._waiting.clear()
        if self._batches is not None:
            await self._batches.close()


class _End(Exception):
    """There is no more."""


class BlockingStream(Stream[T]):
    """What a blocking cursor offers."""

    _turns = staticmethod(threading.RLock)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._turn:
            if self._waiting:
                return self._take()
            try:
                return run(self._next(_End))
            except _End:
                raise StopIteration from None

    def next(self) -> T:
        """Return the next document.

        Raises:
            StopIteration: There is none.
        """
        return self.__next__()

    def to_list(self, length: int | None = None) -> list[T]:
        """Return the documents, or the next `length` of them."""
        with self._turn:
            return run(self._list(length))

    def close(self) -> None:
        """Close the cursor on the server."""
        run(self._close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(Stream[T]):
    """What an asynchronous cursor offers."""

    _turns = staticmethod(asyncio.Lock)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._waiting:
            return self._take()
        async with self._turn:
            return await self._next(StopAsyncIteration)

    async def next(self) -> T:
        """Return the next document.

        Raises:
            StopAsyncIteration: There is none.
        """
        return await self.__anext__()

    async def to_list(self, length: int | None = None) -> list[T]:
        """Return the documents, or the next `length` of them."""
        async with self._turn:
            return await self._list(length)

    async def close(self) -> None:
        """Close the cursor on the server."""
        await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
