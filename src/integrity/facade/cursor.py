"""Cursors, blocking and asynchronous: PyMongo's methods over the store's batches.

Tailable cursors have no end that a batch could tell; they are read through `unsafe_raw`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar, overload

from integrity.facade.query import Query
from integrity.facade.stream import FIRST_BATCH, AsyncStream, BlockingStream, Make, Stream
from integrity.store.port import Batches, Document, Filter, Store
from integrity.store.run import run

T = TypeVar("T")

_OF_DISTINCT = {"session": "session", "comment": "comment", "hint": "hint", "collation": "collation",
                "max_time_ms": "maxTimeMS"}  # fmt: skip


class _Nothing:
    """No documents: a limit of 0 would be all of them."""

    async def next(self, size: int = 1000) -> list[Document]:  # noqa: ARG002 - the port's
        """Return none."""
        return []

    async def close(self) -> None:
        """There is nothing to close."""


class _Found(Query, Stream[T]):
    """A ``find``.

    Args:
        store: Where it is asked.
        collection: The collection's name.
        filter: PyMongo's filter.
        options: PyMongo's options.
        make: Makes what the caller asked for out of a document; None for the document itself.
    """

    def __init__(
        self,
        store: Store,
        collection: str,
        filter: Filter | None,
        options: dict[str, Any],
        make: Make[T] | None = None,
    ) -> None:
        Query.__init__(self, filter, options)
        Stream.__init__(self, make)
        self._store = store
        self._collection = collection

    async def _open(self) -> Batches:
        self._started = True
        if self._empty:
            return _Nothing()
        return self._store.find(self._collection, self._filter, **self._options)

    @property
    def _size(self) -> int:
        return int(self._options.get("batch_size") or FIRST_BATCH)

    def clone(self) -> Self:
        """Return a cursor that has not begun, with the same query."""
        made = type(self)(self._store, self._collection, self._filter, dict(self._options), self._make)
        made._empty = self._empty  # noqa: SLF001 - of this class
        return made

    async def _close(self) -> None:
        self._started = True
        await super()._close()

    async def _rewind(self) -> None:
        await self._close()
        self._batches, self._started, self._done = None, False, False

    async def _distinct(self, key: str) -> list[Any]:
        options = {_OF_DISTINCT[name]: value for name, value in self._options.items() if name in _OF_DISTINCT}
        return await self._store.distinct(self._collection, key, self._filter or {}, **options)


class Cursor(_Found[T], BlockingStream[T]):
    """The documents that a ``find`` matches: PyMongo's cursor, of documents or of models."""

    def distinct(self, key: str) -> list[Any]:
        """Return the distinct values of a field among what matches."""
        return run(self._distinct(key))

    def rewind(self) -> Self:
        """Begin again."""
        run(self._rewind())
        return self

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> T | Self:
        if isinstance(index, int):
            start = int(self._options.get("skip") or 0)
            if index < 0:
                raise IndexError("Cursor instances do not support negative indices")  # PyMongo's words
            with self.clone().skip(start + index).limit(-1) as one:
                for each in one:
                    return each
            raise IndexError("no such item for Cursor instance")
        if index.step is not None:
            raise IndexError("Cursor instances do not support slice steps")
        first = index.start or 0
        if first < 0:
            raise IndexError("Cursor instances do not support negative indices")
        many = None if index.stop is None else index.stop - first
        if many is not None and many < 0:
            raise IndexError(f"stop index must be greater than start index for slice {index!r}")
        self.skip(first).limit(many or 0)
        self._empty = many == 0
        return self


class AsyncCursor(_Found[T], AsyncStream[T]):
    """The documents that a ``find`` matches: PyMongo's asynchronous cursor, of documents or of models."""

    async def distinct(self, key: str) -> list[Any]:
        """Return the distinct values of a field among what matches."""
        return await self._distinct(key)

    async def rewind(self) -> Self:
        """Begin again."""
        await self._rewind()
        return self


class _Piped(Stream[T]):
    """An aggregation.

    Args:
        opening: Begins it.
        make: Makes what the caller asked for out of a document; None for the document itself.
    """

    def __init__(self, opening: Callable[[], Awaitable[Batches]], make: Make[T] | None = None) -> None:
        super().__init__(make)
        self._opening = opening

    async def _open(self) -> Batches:
        return await self._opening()

    async def _begin(self) -> Self:
        """Ask the server now, as PyMongo does: a faulty pipeline is an error of ``aggregate``, not of the loop."""
        self._batches = await self._open()
        return self


class CommandCursor(_Piped[T], BlockingStream[T]):
    """The outcome of an aggregation."""


class AsyncCommandCursor(_Piped[T], AsyncStream[T]):
    """The outcome of an aggregation."""
