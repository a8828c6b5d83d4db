"""The blocking facade: ``integrity.connect`` and ``integrity.Database``, over PyMongo's ``MongoClient``."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from pymongo import MongoClient
from pymongo.database import Database as RawDatabase

from integrity.client import ClientPool, Pool, open_client
from integrity.declare import warnings
from integrity.declare.model import Model
from integrity.declare.policy import Policy
from integrity.declare.registry import Registry
from integrity.declare.warnings import Caution
from integrity.facade import adoption
from integrity.facade.collection import Collection
from integrity.facade.guards import Given, Guards, clear_of_credentials, named, no_attribute, registry
from integrity.facade.transaction import Transaction, repeated
from integrity.server import apply as server
from integrity.server.apply import Applied
from integrity.store.blocking import BlockingStore
from integrity.store.port import Document
from integrity.store.run import run
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
        database: PyMongo's database, of a client that the application has. It stays the application's: `close` and
            ``with`` leave it open.
        models: Model classes, modules of them, or a registry.
        actor: Who writes: an owner's name; ``"*"`` is openly not restricted; None owns nothing.
        references: How references are kept from dangling: ``"auto"``, ``"pinned"`` or ``"optimistic"``.
        policy: The guardrails of the models that name none.
        unique: What is done about a unique index that is not there, which is looked at with the first write to a
            collection, and every ten seconds after: ``"apply"`` creates it, ``"require"`` refuses the write,
            ``"trust"`` does not look.

    Raises:
        DeclarationError: The declarations contradict each other.
    """

    def __init__(
        self,
        database: RawDatabase[Any],
        *,
        models: Given,
        actor: str | None = None,
        references: str = "auto",
        policy: Policy | None = None,
        unique: UniqueMode = "apply",
        _opened: ClientPool | None = None,
    ) -> None:
        if "async" in type(database).__module__ or type(database).__module__.startswith("motor"):
            raise TypeError(f"{type(database).__name__} is asynchronous; integrity.aio.Database wraps it.")
        self._raw = database
        self._actor = actor
        self._opened = _opened
        store = BlockingStore(database, gate=_opened.gate if _opened else None)
        store.streams = _opened.streams if _opened else None
        self._guards = Guards(store, models, references=references, policy=policy, unique=unique)
        self._collections: dict[type[Model], Collection[Any]] = {}

    @property
    def name(self) -> str:
        """The database's name."""
        return self._raw.name

    @property
    def registry(self) -> Registry:
        """The models."""
        return self._guards.registry

    @property
    def actor(self) -> str | None:
        """Who writes."""
        return self._actor

    @property
    def client(self) -> MongoClient[Any]:
        """PyMongo's client."""
        return self._raw.client

    @property
    def unsafe_raw(self) -> RawDatabase[Document]:
        """PyMongo's own database: what is written through it, nothing has judged."""
        return self._raw

    @property
    def pool(self) -> ClientPool | None:
        """The pool that `connect` opened; None for a client that the application has."""
        return self._opened

    def __getitem__(self, model: type[M]) -> Collection[M]:
        """Return the guarded collection of a model.

        Raises:
            DeclarationError: It is not among the models.
        """
        found = self._collections.get(model)
        if found is None:
            guard = self._guards.guard(model, self._actor)
            found = Collection(model, guard, self._guards.given, self._raw[guard.collection], self._guards.binding)
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

    def transaction(self, **options: Any) -> Transaction:
        """Return a transaction, for a ``with`` block: it is committed at the end, and rolled back by an exception.

        What the guarded collections of this database (also those of `acting_as`) do inside of the block, in its
        thread or task, joins it; ``tx.session`` is PyMongo's session for anything else.

        Args:
            options: PyMongo's options of ``start_transaction``; and ``deferred=True``, to look at references when it
                is committed, and not before.
        """
        return Transaction(self._guards, options)

    def with_transaction(self, body: Callable[[Transaction], T], **options: Any) -> T:
        """Run `body` in a transaction, and again where it met another one, as PyMongo's ``with_transaction``.

        The body may be called several times: it changes nothing outside of the database.

        Args:
            body: Is given the transaction; what it returns is returned.
            options: PyMongo's options of ``start_transaction``; and ``deferred=True``, to look at references when it
                is committed, and not before.
        """

        async def called(tx: Transaction) -> T:
            return body(tx)

        return run(repeated(self._guards, Transaction, called, options))

    def check(self) -> list[Caution]:
        """Return what the declarations allow and may surprise: a far-reaching cascade, a reference without an index.

        Nothing is asked of the server; what contradicts itself was refused when the database was made.
        """
        return warnings.check(self.registry)

    def recover(self) -> Recovered:
        """Finish or undo what processes that died have left of their deletes, and forget what is past.

        The next delete does so too, a little at a time; ``integrity recover`` does it from the command line.
        """
        return run(recover(self._guards.references, self._guards.store))

    def sync(self) -> Synced:
        """Refresh every copy that a change of its owner has left to batches, and that nobody has finished.

        A writer finishes what it leaves; this is for after a crash. ``integrity sync`` does it from the command line,
        and writes to models with copies do it by the way, a little at a time.

        Returns:
            What was done; `misfits` names stale copies that cannot hold what their owner holds.

        Raises:
            PyMongoError: The server does not answer, no majority in time, or a transaction is in the way for longer
                than two minutes. What is not done stays recorded.
        """
        return run(sync(self._guards.copies, self._guards.store))

    def apply(self, *, dry_run: bool = False, prune: bool = False) -> Applied:
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
        made = run(server.apply(self._guards.store, self.registry, dry_run=dry_run, prune=prune))
        made.raise_if_blocked()
        return made

    def audit(self, options: Options | None = None, *, progress: OnProgress | None = None) -> AuditResult:
        """Read the declared collections, and return every violation of their declarations. Nothing is written.

        ``integrity audit`` does it from the command line, with reports, several processes, and a state to go on from.

        Args:
            options: The scope, an `integrity.audit.Options`; everything without.
            progress: Called now and then with how far it is.

        Returns:
            The result; where `complete` is false, `unseen` says what was not seen. Closed by `close` or a ``with``
            block: its violations may stand in a file.

        Raises:
            AuditError: What was asked for is not declared, or the server does not answer at all.
        """
        return run(adoption.audit(self._guards, options, progress))

    def status(self, *, audited: bool = True, progress: OnProgress | None = None) -> tuple[Row, ...]:
        """Return how far each declared constraint has come: its stage, its violations, its drift. Nothing is written.

        Args:
            audited: Whether the violations are counted, which reads the collections.
            progress: Called now and then with how far the audit is.

        Raises:
            AuditError: What is declared cannot be audited, or the server does not answer at all.
            EnforcementError: The database cannot be read.
        """
        return run(adoption.status(self._guards, progress, audited=audited))

    def enforce(
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
        return run(adoption.enforce(self._guards, names, to, progress))

    def close(self) -> None:
        """Close the client that `connect` opened."""
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
    **options: Any,
) -> Database:
    """Open a database whose writes are judged.

    Args:
        uri: MongoDB's connection string.
        models: Model classes, modules of them, or a registry.
        database: The database's name; None for the one that the URI names.
        actor: Who writes: an owner's name; ``"*"`` is openly not restricted; None owns nothing.
        pool: The connections; ``Pool()`` when None.
        references: How references are kept from dangling: ``"auto"``, ``"pinned"`` or ``"optimistic"``.
        policy: The guardrails of the models that name none.
        unique: What is done about a unique index that is not there, see `Database`.
        options: PyMongo's options of ``MongoClient``, such as ``tz_aware=True``.

    Raises:
        DeclarationError: The declarations contradict each other.
        IntegrityError: The URI is not valid, or no database is named.
    """
    declared = registry(models, policy)
    with clear_of_credentials(options):
        opened = open_client(uri, pool or Pool(), **options)
    try:
        if opened.settings.warm_up:
            opened.warm()
        raw = named(opened.client, database)
        return Database(raw, models=declared, actor=actor, references=references, unique=unique, _opened=opened)
    except BaseException:
        opened.close()
        raise
