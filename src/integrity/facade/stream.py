"""Documents as they come, and the two colours of taking them: blocking and asynchronous."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

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

    Args:
        make: Makes it out of a document; None for the document itself.
    """

    def __init__(self, make: Make[T] | None) -> None:
        self._make = make
        self._waiting: deque[Document] = deque()
        self._done = False
        self._batches: Batches | None = None

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
        if self._batches is None:
            self._batches = await self._open()
        batch = await self._batches.next(size)
        self._done = not batch
        self._waiting.extend(batch)

    def _take(self) -> T:
        document = self._waiting.popleft()
        return document if self._make is None else self._make(document)  # type: ignore[return-value]  # T is Document

    async def _next(self, end: type[Exception]) -> T:
        if not self._waiting and not self._done:
            await self._fetch(self._size)
        if not self._waiting:
            raise end
        return self._take()

    async def _list(self, length: int | None) -> list[T]:
        if length is not None and length < 1:
            raise ValueError("to_list() length must be greater than 0")
        found: list[T] = []
        while length is None or len(found) < length:
            if not self._waiting:
                if not self._done:
                    await self._fetch(LISTED if length is None else min(LISTED, length - len(found)))
                if not self._waiting:
                    break
            found.append(self._take())
        return found

    async def _close(self) -> None:
        self._done = True
        self._waiting.clear()
        if self._batches is not None:
            await self._batches.close()


class _End(Exception):
    """There is no more."""


class BlockingStream(Stream[T]):
    """What a blocking cursor offers."""

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
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

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await self._next(StopAsyncIteration)

    async def next(self) -> T:
        """Return the next document.

        Raises:
            StopAsyncIteration: There is none.
        """
        return await self.__anext__()

    async def to_list(self, length: int | None = None) -> list[T]:
        """Return the documents, or the next `length` of them."""
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
