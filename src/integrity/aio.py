"""The asynchronous facade: ``integrity.aio.connect`` and ``integrity.aio.Database``.

The same names as the blocking one, over PyMongo's ``AsyncMongoClient`` or Motor's client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Executor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar

from integrity.client import AsyncClientPool, Pool, open_async_client
from integrity.client.gate_async import running
from integrity.client.motor import open_motor_client
from integrity.declare import warnings
from integrity.declare.model import Model
from integrity.declare.policy import Policy
from integrity.declare.registry import Registry
from integrity.declare.warnings import Caution
from integrity.facade import adoption
from integrity.facade.async_collection import AsyncCollection
from integrity.facade.guards import Given, Guards, clear_of_credentials, named, no_attribute, registry
from integrity.facade.transaction import AsyncTransaction, repeated
from integrity.server import apply as server
from integrity.server.apply import Applied
from integrity.store.asynchronous import AsyncStore
from integrity.store.motor import MotorStore
from integrity.writes.copies import Synced, sync
from integrity.writes.references import Recovered, recover
from integrity.writes.unique import UniqueMode

if TYPE_CHECKING:
    from integrity.adopt import Advance, Row
    from integrity.audit import AuditResult, Options
    from integrity.audit.engine import OnProgress

T = TypeVar("T")
M = TypeVar("M", bound=Model)


class Database:
    """A database whose writes are judged by the declarations of its models.

    Args:
        database: ``AsyncDatabase``, or Motor's ``AsyncIOMotorDatabase``, of a client that the application has. It
            stays the application's: `close` and ``async with`` leave it open.
        models: Model classes, modules of them, or a registry.
        actor: Who writes: an owner's name; ``"*"`` is openly not restricted; None owns nothing.
        references: How references are kept from dangling: ``"auto"``, ``"pinned"`` or ``"optimistic"``.
        policy: The guardrails of the models that name none.
        unique: What is done about a unique index that is not there, which is looked at with the first write to a
            collection, and every ten seconds after: ``"apply"`` creates it, ``"require"`` refuses the write,
            ``"trust"`` does not look.
        executor: Judges the documents of large ``insert_many`` in other processes, which import the models by name:
            a ``ProcessPoolExecutor``, for validators that take long. None: in the event loop, in small pieces.

    Raises:
        DeclarationError: The declarations contradict each other.
    """

    def __init__(
        self,
        database: Any,
        *,
        models: Given,
        actor: str | None = None,
        references: str = "auto",
        policy: Policy | None = None,
        unique: UniqueMode = "apply",
        executor: Executor | None = None,
        _opened: AsyncClientPool | None = None,
    ) -> None:
        if not ("async" in type(database).__module__ or type(database).__module__.startswith("motor")):
            raise TypeError(f"{type(database).__name__} is blocking; integrity.Database wraps it.")
        self._raw = database
        self._actor = actor
        self._opened = _opened
        store: AsyncStore
        if type(database).__module__.startswith("motor"):
            store = MotorStore(database, gate=_opened.gate if _opened else None)
        else:
            store = AsyncStore(database, gate=_opened.gate if _opened else None)
        store.streams = _opened.streams if _opened else None
        store.executor = executor
        self._guards = Guards(store, models, references=references, policy=policy, unique=unique)
        self._collections: dict[type[Model], AsyncCollection[Any]] = {}

    @property
    def name(self) -> str:
        """The database's name."""
        return self._guards.store.name

    @property
    def registry(self) -> Registry:
        """The models."""
        return self._guards.registry

    @property
    def actor(self) -> str | None:
        """Who writes."""
        return self._actor

    @property
    def client(self) -> Any:
        """The driver's client: PyMongo's ``AsyncMongoClient``, or Motor's."""
        return self._raw.client

    @property
    def unsafe_raw(self) -> Any:
        """The driver's own database (PyMongo's, or Motor's): what is written through it, nothing has judged."""
        return self._raw

    @property
    def pool(self) -> AsyncClientPool | None:
        """The pool that `connect` opened; None for a client that the application has."""
        return self._opened

    def __getitem__(self, model: type[M]) -> AsyncCollection[M]:
        """Return the guarded collection of a model.

        Raises:
            DeclarationError: It is not among the models.
        """
        found = self._collections.get(model)
        if found is None:
            guard = self._guards.guard(model, self._actor)
            found = AsyncCollection(model, guard, self._guards.given, self._raw[guard.collection], self._guards.binding)
            self._collections[model] = found
        return found

    if not TYPE_CHECKING:  # a type checker knows what there is

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.", name=name, obj=self)
            raise no_attribute(self, name, self.registry)

    def acting_as(self, actor: str | None) -> Database:
        """Return the same database, over the same client, for another actor."""
        other = object.__new__(type(self))
        other.__dict__ |= {**self.__dict__, "_actor": actor, "_collections": {}}
        return other

    def transaction(self, **options: Any) -> AsyncTransaction:
        """Return a transaction, for an ``async with`` block: committed at the end, rolled back by an exception.

        What the guarded collections of this database (also those of `acting_as`) do inside of the block, in its
        thread or task, joins it; ``tx.session`` is PyMongo's session for anything else.

        Args:
            options: PyMongo's options of ``start_transaction``; and ``deferred=True``, to look at references when it
                is committed, and not before.
        """
        return AsyncTransaction(self._guards, options)

    async def with_transaction(self, body: Callable[[AsyncTransaction], Awaitable[T]], **options: Any) -> T:
        """Run `body` in a transaction, and again where it met another one, as PyMongo's ``with_transaction``.

        The body may be called several times: it changes nothing outside of the database.

        Args:
            body: Is given the transaction; what it returns is returned.
            options: PyMongo's options of ``start_transaction``; and ``deferred=True``, to look at references when it
                is committed, and not before.
        """
        return await repeated(self._guards, AsyncTransaction, body, options)

    def check(self) -> list[Caution]:
        """Return what the declarations allow and may surprise: a far-reaching cascade, a reference without an index.

        Nothing is asked of the server; what contradicts itself was refused when the database was made.
        """
        return warnings.check(self.registry)

    async def recover(self) -> Recovered:
        """Finish or undo what processes that died have left of their deletes, and forget what is past.

        The next delete does so too, a little at a time; ``integrity recover`` does it from the command line.
        """
        return await recover(self._guards.references, self._guards.store)

    async def sync(self) -> Synced:
        """Refresh every copy that a change of its owner has left to batches, and that nobody has finished.

        A writer finishes what it leaves; this is for after a crash. ``integrity sync`` does it from the command line,
        and writes to models with copies do it by the way, a little at a time.

        Returns:
            What was done; `misfits` names stale copies that cannot hold what their owner holds.

        Raises:
            PyMongoError: The server does not answer, no majority in time, or a transaction is in the way for longer
                than two minutes. What is not done stays recorded.
        """
        return await sync(self._guards.copies, self._guards.store)

    async def apply(self, *, dry_run: bool = False, prune: bool = False) -> Applied:
        """Make the server enforce what is declared: create collections, validators and indexes, mend different ones.

        Idempotent, and safe for many processes at once: call it when the application starts. A validator over
        documents that it would refuse only warns, until ``integrity enforce`` finds them repaired; one that was
        enforced before, as of a collection that was restored, refuses new faults only.

        Args:
            dry_run: Only say what would be done.
            prune: Drop indexes that nothing declares, hidden first, and replace validators of other makers.

        Raises:
            EnforcementError: The user has no right to, or what is there is in the way; the message names it.
        """
        made = await server.apply(self._guards.store, self.registry, dry_run=dry_run, prune=prune)
        made.raise_if_blocked()
        return made

    async def audit(self, options: Options | None = None, *, progress: OnProgress | None = None) -> AuditResult:
        """Read the declared collections, and return every violation of their declarations. Nothing is written.

        It is judged in the event loop, a batch at a time: much data is for ``integrity audit``, a process of its own.

        Args:
            options: The scope, an `integrity.audit.Options`; everything without.
            progress: Called now and then with how far it is.

        Returns:
            The result; where `complete` is false, `unseen` says what was not seen. Closed by `close` or a ``with``
            block: its violations may stand in a file.

        Raises:
            AuditError: What was asked for is not declared, or the server does not answer at all.
        """
        return await adoption.audit(self._guards, options, progress)

    async def status(self, *, audited: bool = True, progress: OnProgress | None = None) -> tuple[Row, ...]:
        """Return how far each declared constraint has come: its stage, its violations, its drift. Nothing is written.

        Args:
            audited: Whether the violations are counted, which reads the collections.
            progress: Called now and then with how far the audit is.

        Raises:
            AuditError: What is declared cannot be audited, or the server does not answer at all.
            EnforcementError: The database cannot be read.
        """
        return await adoption.status(self._guards, progress, audited=audited)

    async def enforce(
        self, *names: str, to: adoption.To = "enforced", progress: OnProgress | None = None
    ) -> tuple[Advance, ...]:
        """Move constraints to a stage, as far as the data lets them: PostgreSQL's ``VALIDATE CONSTRAINT``.

        Args:
            names: Constraints, such as ``"customers.unique(email)"``, or collections; all constraints without any.
            to: ``"declared"``, ``"warn"``, ``"moderate"`` or ``"enforced"``; a lower one takes a constraint back.
            progress: Called now and then with how far the audit is.

        Returns:
            What became of each; one whose `held` is true did not get as far as it was asked to, and says why.

        Raises:
            EnforcementError: There is no such constraint, no right to, or the server does not answer.
            AuditError: The audit did not see everything; what was moved until then stays moved.
        """
        return await adoption.enforce(self._guards, names, to, progress)

    async def close(self) -> None:
        """Close the client that `connect` opened."""
        if self._opened is not None:
            await self._opened.close()

    def __await__(self) -> Generator[Any, None, Self]:
        """Return itself, warm if its pool says so: ``await integrity.aio.connect(...)``, as ``async with`` does.

        Raises:
            RuntimeError: No event loop of asyncio is running.
        """
        running()
        if self._opened is not None:
            yield from self._opened.__aenter__().__await__()
        return self

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        actor = f", actor={self._actor!r}" if self._actor is not None else ""
        return f"<{type(self).__module__}.{type(self).__qualname__} {self.name!r}: {len(self.registry)} models{actor}>"


def connect(
    uri: str,
    *,
    models: Given,
    database: str | None = None,
    actor: str | None = None,
    pool: Pool | None = None,
    references: str = "auto",
    policy: Policy | None = None,
    unique: UniqueMode = "apply",
    executor: Executor | None = None,
    driver: Literal["pymongo", "motor"] = "pymongo",
    **options: Any,
) -> Database:
    """Open a database whose writes are judged.

    It is awaited, or entered: ``db = await integrity.aio.connect(...)``, ``async with integrity.aio.connect(...) as
    db:``. The client belongs to the event loop of its first operation.

    Args:
        uri: MongoDB's connection string.
        models: Model classes, modules of them, or a registry.
        database: The database's name; None for the one that the URI names.
        actor: Who writes: an owner's name; ``"*"`` is openly not restricted; None owns nothing.
        pool: The connections; ``Pool()`` when None.
        references: How references are kept from dangling: ``"auto"``, ``"pinned"`` or ``"optimistic"``.
        policy: The guardrails of the models that name none.
        unique: What is done about a unique index that is not there, see `Database`.
        executor: Judges the documents of large ``insert_many`` in other processes, see `Database`.
        driver: ``"pymongo"`` for PyMongo's own ``AsyncMongoClient``; ``"motor"`` for applications that still have
            Motor, behind the same pool.
        options: PyMongo's options of ``AsyncMongoClient``, such as ``tz_aware=True``.

    Raises:
        ValueError: There is no such driver.
        DeclarationError: The declarations contradict each other.
        IntegrityError: The URI is not valid, or no database is named.
    """
    if driver not in {"pymongo", "motor"}:
        raise ValueError(f'driver={driver!r}; choose "pymongo" or "motor".')
    declared = registry(models, policy)
    with clear_of_credentials(options):
        open_it = open_motor_client if driver == "motor" else open_async_client
        opened = open_it(uri, pool or Pool(), **options)
    try:
        raw = named(opened.client, database)
        return Database(
            raw,
            models=declared,
            actor=actor,
            references=references,
            unique=unique,
            executor=executor,
            _opened=opened,
        )
    except BaseException:
        opened.abandon()
        raise
