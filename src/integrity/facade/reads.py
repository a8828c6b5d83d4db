"""Reading through a blocking collection: PyMongo's methods, of documents or, with ``as_model=True``, of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from integrity.declare.model import Model
from integrity.facade.cursor import CommandCursor, Cursor
from integrity.facade.handle import Handle, refuse_writing, whole
from integrity.facade.watch import ChangeStream
from integrity.store.port import Document, Filter
from integrity.store.run import run
from integrity.writes.guard import sendable

M = TypeVar("M", bound=Model)


class Reads(Handle[M]):
    """The reads of a blocking collection."""

    @overload
    def find_one(
        self,
        filter: Any = None,
        projection: None = None,
        *,
        as_model: Literal[True],
        session: Any = None,
        **options: Any,
    ) -> M | None: ...

    @overload
    def find_one(
        self,
        filter: Any = None,
        projection: Any = None,
        *,
        as_model: Literal[False] = False,
        session: Any = None,
        **options: Any,
    ) -> Document | None: ...

    def find_one(
        self, filter: Any = None, projection: Any = None, *, as_model: bool = False, session: Any = None, **options: Any
    ) -> M | Document | None:
        """Return the first document that matches, or None.

        Args:
            filter: PyMongo's filter, or an ``_id``.
            projection: The fields to return.
            as_model: Return an instance of the model.
            session: PyMongo's session.
            options: PyMongo's options of ``find_one``.

        Raises:
            InvalidDocument: `as_model` is asked for, and the stored document is not as declared.
        """
        whole(projection, as_model=as_model)
        if projection is not None:
            options["projection"] = projection
        store = self._store(as_model=as_model)
        found = run(store.find_one(self.name, self._asked(filter), **sendable(self._in(session), **options)))
        return self._instance(found) if as_model and found is not None else found

    @overload
    def find(
        self,
        filter: Filter | None = None,
        projection: None = None,
        skip: int = 0,
        limit: int = 0,
        *,
        as_model: Literal[True],
        session: Any = None,
        **options: Any,
    ) -> Cursor[M]: ...

    @overload
    def find(
        self,
        filter: Filter | None = None,
        projection: Any = None,
        skip: int = 0,
        limit: int = 0,
        *,
        as_model: Literal[False] = False,
        session: Any = None,
        **options: Any,
    ) -> Cursor[Document]: ...

    def find(
        self,
        filter: Filter | None = None,
        projection: Any = None,
        skip: int = 0,
        limit: int = 0,
        *,
        as_model: bool = False,
        session: Any = None,
        **options: Any,
    ) -> Cursor[M] | Cursor[Document]:
        """Return a cursor over the documents that match.

        Args:
            filter: PyMongo's filter.
            projection: The fields to return.
            skip: Leave out the first so many.
            limit: Return at most so many; 0 for all.
            as_model: Return instances of the model; a stored document that is not as declared raises
                `InvalidDocument` when its turn comes.
            session: PyMongo's session.
            options: PyMongo's options of ``find``.
        """
        whole(projection, as_model=as_model)
        asked = sendable(self._in(session), projection=projection, skip=skip or None, limit=limit or None, **options)
        store, make = self._store(as_model=as_model), self._make(as_model=as_model)
        return Cursor(store, self.name, self._asked(filter), asked, make)

    @overload
    def aggregate(
        self, pipeline: Sequence[Mapping[str, Any]], session: Any = None, *, as_model: Literal[True], **options: Any
    ) -> CommandCursor[M]: ...

    @overload
    def aggregate(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        session: Any = None,
        *,
        as_model: Literal[False] = False,
        **options: Any,
    ) -> CommandCursor[Document]: ...

    def aggregate(
        self, pipeline: Sequence[Mapping[str, Any]], session: Any = None, *, as_model: bool = False, **options: Any
    ) -> CommandCursor[M] | CommandCursor[Document]:
        """Run an aggregation pipeline.

        Args:
            pipeline: The stages.
            session: PyMongo's session.
            as_model: The outcome are whole documents: return instances of the model.
            options: PyMongo's options of ``aggregate``.

        Raises:
            UnguardedWrite: The pipeline has a ``$out`` or ``$merge``.
        """
        refuse_writing(pipeline)
        store, asked = self._store(as_model=as_model), sendable(self._in(session), **options)
        cursor: CommandCursor[Any] = CommandCursor(
            lambda: store.aggregate(self.name, pipeline, **asked), self._make(as_model=as_model)
        )
        return run(cursor._begin())  # noqa: SLF001 - asked now, as PyMongo does

    def count_documents(self, filter: Filter, session: Any = None, comment: Any = None, **options: Any) -> int:
        """Return how many documents match."""
        asked = sendable(self._in(session), comment, **options)
        return run(self._reader.count_documents(self.name, self._asked(filter), **asked))

    def estimated_document_count(self, comment: Any = None, **options: Any) -> int:
        """Return how many documents there are, by the collection's metadata."""
        return run(self._reader.estimated_document_count(self.name, **sendable(None, comment, **options)))

    def distinct(
        self, key: str, filter: Filter | None = None, session: Any = None, comment: Any = None, **options: Any
    ) -> list[Any]:
        """Return the distinct values of a field among the documents that match."""
        asked = sendable(self._in(session), comment, **options)
        return run(self._reader.distinct(self.name, key, self._asked(filter), **asked))

    def watch(
        self, pipeline: Sequence[Mapping[str, Any]] | None = None, *, session: Any = None, **options: Any
    ) -> ChangeStream:
        """Open a change stream of the collection.

        A stream holds a connection as long as it is open, so a pool of ours counts it apart, by
        ``Pool(change_streams=...)``. Events are PyMongo's, of documents as the application reads them.

        Args:
            pipeline: Stages that choose and shape the events.
            session: PyMongo's session; a stream is never part of the transaction that is open.
            options: PyMongo's options of ``watch``: ``full_document``, ``resume_after``, ``max_await_time_ms``, ...

        Raises:
            PoolTimeout: As many are open as are budgeted.
        """
        streams = self._guard.store.streams
        place = None if streams is None else streams.enter()
        try:
            return ChangeStream(self._raw.watch(pipeline, **sendable(session, **options)), streams, place)
        except BaseException:
            if streams is not None and place is not None:
                streams.leave(place)
            raise
