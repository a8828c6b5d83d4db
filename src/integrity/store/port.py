"""The port: PyMongo's vocabulary, as coroutines, for the core to be written over once.

A store is one database. Every method that talks to the server goes through `Store.call` or a `Batches`: one
suspension is one round trip, which is what the pool's gate counts and what a test's scheduler steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, Protocol, Self, TypeVar

import pymongo
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.results import (
    BulkWriteResult,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    UpdateResult,
)
from pymongo.write_concern import WriteConcern

from integrity.client.streams import Streams
from integrity.store import deadline
from integrity.store.bound import UNBOUND

T = TypeVar("T")
U = TypeVar("U")

Document = dict[str, Any]
Filter = Mapping[str, Any]
Topology = Literal["standalone", "replica set", "sharded"]


class Batches(Protocol):
    """The documents of a cursor, a batch at a time."""

    async def next(self, size: int = 1000) -> list[Document]:
        """Return up to `size` more documents; an empty list at the end."""
        ...

    async def close(self) -> None:
        """Close the cursor on the server."""
        ...


class Pages(Protocol):
    """The replies of a cursor, each the bytes of many documents one after the other."""

    async def next(self) -> bytes:
        """Return the next reply; nothing at the end."""
        ...

    async def close(self) -> None:
        """Close the cursor on the server."""
        ...


class Waiter(Protocol):
    """Something that one caller waits for, and another one opens."""

    async def wait(self) -> None:
        """Return when it is open."""
        ...

    def open(self) -> None:
        """Let the one who waits go on; once, and by anybody."""
        ...


class Store(ABC):
    """One database.

    Options of the methods are PyMongo's keyword arguments, ``session`` among them.
    """

    #: The database's name.
    name: str

    #: Judges documents in other processes; None: they are judged here.
    executor: Executor | None = None

    #: How many change streams may be open; None: nobody counts them.
    streams: Streams | None = None

    #: Documents to hand to the driver at once: encoding more of them would hold an event loop up.
    portion: int = 1000

    #: Whether nobody waits while the driver encodes: everything may then be handed to it at once, and waits for a
    #: majority once.
    patient: bool = False

    #: Whether `beside` has two operations under way at once.
    overlaps: bool = False

    #: Options of an operation that tells strings apart byte by byte, whatever the collection's default collation is.
    exact: Mapping[str, Any] = {"collation": {"locale": "simple"}}

    #: Holds the session that the driver's own operations join here without being passed it, or None.
    bound: ContextVar[Any] = UNBOUND

    def joined(self, session: Any) -> Any:
        """Return the session to pass to the driver's operations for the one that is bound here.

        Raises:
            InvalidOperation: It is of another client, as the driver's own operations say.
        """
        return session

    @property
    def uuids(self) -> int | None:
        """The application's representation of UUIDs, one of `UuidRepresentation`; None where that is not known."""
        return None

    def _like(self, other: Self) -> Self:
        """Return another store of the same client, with what this one was given."""
        other.executor, other.streams = self.executor, self.streams
        return other

    @abstractmethod
    def with_options(self, **options: Any) -> Self:
        """Return the same database with PyMongo's options (``read_preference``, ``write_concern``, ...)."""

    @property
    def write_concern(self) -> WriteConcern:
        """What the application says of how its writes are confirmed."""
        return WriteConcern()

    def current(self) -> Self:
        """Return the same database as its primary has it, whatever the application reads with.

        What is decided by a read must not be decided by what a secondary still has: an existing parent that is
        deleted, or a child that it has not heard of.
        """
        return self.with_options(read_preference=ReadPreference.PRIMARY, read_concern=ReadConcern("local"))

    @abstractmethod
    def for_reader(self) -> Self:
        """Return the same database as the application reads it: with its own codec options."""

    @abstractmethod
    def for_models(self) -> Self:
        """Return the same database as models are read from it: dates with or without a zone as the application."""

    @abstractmethod
    def for_results(self) -> Self:
        """Return the same database as what a ``find_one_and_*`` returns is decoded: with the application's options."""

    def for_bytes(self) -> Self:
        """Return the same database with its documents as `RawBSONDocument`: the bytes that are stored."""
        raise NotImplementedError(f"{type(self).__name__} has no documents as bytes.")

    @abstractmethod
    async def call(self, collection: str, method: str, /, *args: Any, **options: Any) -> Any:
        """Call a method of the driver's collection: one operation."""

    def sender(self, collection: str, method: str) -> Callable[..., Any] | None:  # noqa: ARG002 - for those who have it
        """Return what `call` comes to where nothing is bound and nothing is awaited; None where something is."""
        return None

    @abstractmethod
    def find(self, collection: str, filter: Filter | None = None, /, **options: Any) -> Batches:
        """Return the documents that match."""

    def pages(self, collection: str, filter: Filter | None = None, /, **options: Any) -> Pages:
        """Return the documents that match as the bytes that are stored, a reply at a time."""
        raise NotImplementedError(f"{type(self).__name__} has no documents as bytes.")

    @abstractmethod
    async def aggregate(self, collection: str, pipeline: Sequence[Filter], /, **options: Any) -> Batches:
        """Return the outcome of a pipeline."""

    @abstractmethod
    async def command(self, command: str | Mapping[str, Any], *args: Any, **options: Any) -> Document:
        """Run a command on the database."""

    @abstractmethod
    async def admin(self, command: str | Mapping[str, Any], *args: Any, **options: Any) -> Document:
        """Run a command on the ``admin`` database."""

    @abstractmethod
    async def collections(self) -> list[Document]:
        """Return the ``listCollections`` entries: name, type, options."""

    @abstractmethod
    async def start_session(self, **options: Any) -> Any:
        """Return a session of the driver."""

    @abstractmethod
    async def end_session(self, session: Any) -> None:
        """End a session; a transaction that is open in it is aborted."""

    @abstractmethod
    async def begin(self, session: Any, **options: Any) -> None:
        """Start a transaction in a session."""

    @abstractmethod
    async def commit(self, session: Any) -> None:
        """Commit the transaction of a session."""

    @abstractmethod
    async def abort(self, session: Any) -> None:
        """Abort the transaction of a session."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait without holding anything."""

    async def overlapped(self, sending: Coroutine[Any, Any, T], work: Coroutine[Any, Any, U]) -> tuple[T, U]:
        """Return the outcomes of both: of what waits for the server, and of what is computed meanwhile.

        Args:
            sending: Talks to the server.
            work: Computes, and needs no session.
        """
        try:
            sent = await sending
        except BaseException:
            work.close()  # it is not begun, and never will be
            raise
        return sent, await work

    async def beside(
        self,
        first: Coroutine[Any, Any, T],
        second: Callable[[], Coroutine[Any, Any, U]],  # noqa: ARG002 - for those who can do two things at once
    ) -> tuple[T, U | None]:
        """Return the outcome of an operation, and that of one that is under way while it waits for the server.

        Args:
            first: The operation.
            second: Makes the other one, which needs no session. It may begin before the first one has reached the
                server, and after.

        Returns:
            Both outcomes. The second one's is None where it was not begun, or went wrong: nothing depends on it.
        """
        return await first, None

    async def insert_once(self, collection: str, document: Document) -> bool | None:  # noqa: ARG002 - for those who can
        """Insert a document, outside of any transaction, by one command that nobody sends again.

        Args:
            collection: The collection's name.
            document: The document, with its ``_id``.

        Returns:
            True: it is stored, and confirmed as the write concern says. False: it was refused. None: nobody knows. The
            driver's ``insert_one`` says what was wrong, or does it.
        """
        return False

    def waiter(self) -> Waiter | None:
        """Return something to wait for another caller of this process by; None where callers do not wait."""
        return None

    @property
    def hurried(self) -> bool:
        """Whether the caller has set a time for what it does, by ``pymongo.timeout()``."""
        return deadline.is_set()

    @property
    def left(self) -> float:
        """Seconds until the caller's deadline, by ``pymongo.timeout()``: infinite where there is none."""
        return deadline.left()

    @property
    def limit(self) -> float | None:
        """Seconds that the client gives an operation, by ``timeoutMS``; None where it gives as long as it takes."""
        return None

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """Put all that is done in a ``with`` block under one deadline: the client's, unless the caller has set one."""
        if self.hurried or self.limit is None:
            yield
        else:
            with pymongo.timeout(self.limit):
                yield

    async def apart(self, work: Coroutine[Any, Any, T], session: Any = None) -> T:  # noqa: ARG002 - for those who go on
        """Return the outcome of what goes on to its end, also where the caller is cancelled.

        Args:
            work: What goes on.
            session: The session that it needs, which is not ended before it.
        """
        return await work

    async def topology(self) -> Topology:
        """Return what kind of deployment answers: a replica set and a sharded cluster have transactions."""
        hello = await self.admin("hello")
        if hello.get("msg") == "isdbgrid":
            return "sharded"
        return "replica set" if "setName" in hello else "standalone"

    async def insert_one(self, collection: str, document: Document, **options: Any) -> InsertOneResult:
        """PyMongo's ``insert_one``."""
        return await self.call(collection, "insert_one", document, **options)  # type: ignore[no-any-return]  # the driver's

    async def insert_many(self, collection: str, documents: Sequence[Document], **options: Any) -> InsertManyResult:
        """PyMongo's ``insert_many``."""
        return await self.call(collection, "insert_many", documents, **options)  # type: ignore[no-any-return]  # the driver's

    async def replace_one(self, collection: str, filter: Filter, document: Document, **options: Any) -> UpdateResult:
        """PyMongo's ``replace_one``."""
        return await self.call(collection, "replace_one", filter, document, **options)  # type: ignore[no-any-return]  # the driver's

    async def update_one(self, collection: str, filter: Filter, update: Any, **options: Any) -> UpdateResult:
        """PyMongo's ``update_one``."""
        return await self.call(collection, "update_one", filter, update, **options)  # type: ignore[no-any-return]  # the driver's

    async def update_many(self, collection: str, filter: Filter, update: Any, **options: Any) -> UpdateResult:
        """PyMongo's ``update_many``."""
        return await self.call(collection, "update_many", filter, update, **options)  # type: ignore[no-any-return]  # the driver's

    async def delete_one(self, collection: str, filter: Filter, **options: Any) -> DeleteResult:
        """PyMongo's ``delete_one``."""
        return await self.call(collection, "delete_one", filter, **options)  # type: ignore[no-any-return]  # the driver's

    async def delete_many(self, collection: str, filter: Filter, **options: Any) -> DeleteResult:
        """PyMongo's ``delete_many``."""
        return await self.call(collection, "delete_many", filter, **options)  # type: ignore[no-any-return]  # the driver's

    async def bulk_write(self, collection: str, requests: Sequence[Any], **options: Any) -> BulkWriteResult:
        """PyMongo's ``bulk_write``."""
        return await self.call(collection, "bulk_write", requests, **options)  # type: ignore[no-any-return]  # the driver's

    async def find_one(self, collection: str, filter: Any = None, *args: Any, **options: Any) -> Document | None:
        """PyMongo's ``find_one``."""
        return await self.call(collection, "find_one", filter, *args, **options)  # type: ignore[no-any-return]  # the driver's

    async def one(self, collection: str, filter: Filter, projection: Mapping[str, Any], session: Any) -> Any:
        """Return a document that matches, or None: a ``find_one`` for those who ask at every write."""
        options = {} if session is None else {"session": session}
        return await self.find_one(collection, filter, projection=projection, **options)

    async def matched(self, collection: str, filter: Filter, update: Filter, session: Any, *, many: bool) -> int:
        """Update what matches, in a transaction; return how many did."""
        method = self.update_many if many else self.update_one
        return (await method(collection, filter, update, session=session)).matched_count

    async def inserted(
        self, collection: str, documents: Sequence[Document], session: Any
    ) -> Sequence[Mapping[str, Any]]:
        """Insert documents that have their ``_id``, in a transaction in which something was sent before.

        Args:
            collection: The collection's name.
            documents: The documents.
            session: The session of the transaction.

        Returns:
            What the server has against one of them, as PyMongo's ``writeErrors``: it has then aborted the transaction.
        """
        try:
            await self.insert_many(collection, documents, session=session)
        except BulkWriteError as error:
            if errors := error.details.get("writeErrors"):
                return errors  # type: ignore[no-any-return]  # PyMongo's details are untyped
            raise
        return ()

    async def find_one_and_update(
        self, collection: str, filter: Filter, update: Any, **options: Any
    ) -> Document | None:
        """PyMongo's ``find_one_and_update``."""
        return await self.call(collection, "find_one_and_update", filter, update, **options)  # type: ignore[no-any-return]  # the driver's

    async def find_one_and_replace(
        self,
        collection: str,
        filter: Filter,
        document: Document,
        **options: Any,
    ) -> Document | None:
        """PyMongo's ``find_one_and_replace``."""
        return await self.call(collection, "find_one_and_replace", filter, document, **options)  # type: ignore[no-any-return]  # the driver's

    async def find_one_and_delete(self, collection: str, filter: Filter, **options: Any) -> Document | None:
        """PyMongo's ``find_one_and_delete``."""
        return await self.call(collection, "find_one_and_delete", filter, **options)  # type: ignore[no-any-return]  # the driver's

    async def count_documents(self, collection: str, filter: Filter, **options: Any) -> int:
        """PyMongo's ``count_documents``."""
        return await self.call(collection, "count_documents", filter, **options)  # type: ignore[no-any-return]  # the driver's

    async def estimated_document_count(self, collection: str, **options: Any) -> int:
        """PyMongo's ``estimated_document_count``."""
        return await self.call(collection, "estimated_document_count", **options)  # type: ignore[no-any-return]  # the driver's

    async def distinct(self, collection: str, key: str, filter: Filter | None = None, **options: Any) -> list[Any]:
        """PyMongo's ``distinct``."""
        return await self.call(collection, "distinct", key, filter, **options)  # type: ignore[no-any-return]  # the driver's


def plain(session: Any) -> Any:
    """Return PyMongo's session: Motor's wraps it, and cannot be a key."""
    return getattr(session, "delegate", session)
