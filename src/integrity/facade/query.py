"""What a cursor will ask, put together by PyMongo's chain of methods before the first document is fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pymongo.errors import InvalidOperation

from integrity.store.port import Filter

Sort = str | Sequence[str | tuple[str, int | str | Mapping[str, Any]]] | Mapping[str, Any]


class Query:
    """The options of a ``find``, changed by PyMongo's methods until the first document is fetched.

    Args:
        filter: PyMongo's filter.
        options: PyMongo's options of ``find``.
    """

    def __init__(self, filter: Filter | None, options: dict[str, Any]) -> None:
        self._filter = filter
        self._options = options
        self._started = False
        #: Whether a slice of nothing was asked for.
        self._empty = False

    def _set(self, **options: Any) -> Self:
        if self._started:
            raise InvalidOperation("cannot set options after executing query")  # PyMongo's words
        self._options.update(options)
        return self

    def sort(self, key_or_list: Sort, direction: int | str | None = None) -> Self:
        """Sort by a field, or by a list of pairs of field and direction."""
        if direction is not None:
            return self._set(sort=[(key_or_list, direction)])
        if isinstance(key_or_list, str):
            return self._set(sort=[(key_or_list, 1)])
        return self._set(sort=key_or_list)

    def limit(self, limit: int) -> Self:
        """Return at most so many; 0 for all."""
        self._set(limit=limit)
        self._empty = False
        return self

    def skip(self, skip: int) -> Self:
        """Leave out the first so many."""
        return self._set(skip=skip)

    def batch_size(self, batch_size: int) -> Self:
        """Fetch so many at once."""
        if batch_size < 0:
            raise ValueError("batch_size must be >= 0")
        return self._set(batch_size=batch_size)

    def hint(self, index: Any) -> Self:
        """Use this index."""
        return self._set(hint=index)

    def collation(self, collation: Any) -> Self:
        """Compare strings by this collation."""
        return self._set(collation=collation)

    def comment(self, comment: Any) -> Self:
        """Put a comment beside the query in the server's log and profile."""
        return self._set(comment=comment)

    def max_time_ms(self, max_time_ms: int | None) -> Self:
        """Give up after so many milliseconds of the server's time."""
        return self._set(max_time_ms=max_time_ms)

    def max(self, spec: Any) -> Self:
        """End before this key of the hinted index."""
        return self._set(max=_bound(spec))

    def min(self, spec: Any) -> Self:
        """Begin at this key of the hinted index."""
        return self._set(min=_bound(spec))

    def allow_disk_use(self, allow_disk_use: bool) -> Self:  # noqa: FBT001 - PyMongo's
        """Let the server sort on disk."""
        return self._set(allow_disk_use=allow_disk_use)

    def where(self, code: Any) -> Self:
        """Keep what this JavaScript is true for."""
        if self._started:
            raise InvalidOperation("cannot set options after executing query")
        self._filter = {**(self._filter or {}), "$where": code}
        return self


def _bound(spec: Any) -> Any:
    """Return a key of an index as the server takes it: PyMongo's cursor makes a document of pairs, not its ``find``."""
    return dict(spec) if isinstance(spec, list | tuple) else spec
