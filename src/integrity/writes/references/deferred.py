"""Deferred checks: references that may dangle inside a transaction, and may not when it commits.

What copies an owner that is not there yet, or not there again, cannot be compared with it: it is refreshed then.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Never
from weakref import WeakKeyDictionary

from pymongo.errors import InvalidOperation

from integrity.declare.equality import key
from integrity.errors import DanglingReference, explain
from integrity.rules.judge import dotted
from integrity.rules.reference import dangling
from integrity.rules.rule import At
from integrity.store.lookup import look_up
from integrity.store.port import Document, Store, plain
from integrity.violation import Violation
from integrity.writes.references.keys import Key, by_field, named, protected
from integrity.writes.references.plan import children

if TYPE_CHECKING:
    from integrity.writes.guard import Guard
    from integrity.writes.references.protocol import Protocol


class Deferred:
    """The keys that a transaction is judged by at its end: those that it named, and those that it took away."""

    def __init__(self) -> None:
        self._named: dict[Hashable, Key] = {}
        self._gone: dict[Hashable, Key] = {}
        self._awaited: dict[Hashable, Key] = {}

    async def note(self, guard: Guard, documents: Sequence[Document], session: Any) -> None:
        """Remember what documents refer to, and which of it they copy although it is not there."""
        keys = named(guard.entry, documents)
        self._named.update(keys)
        copied = {(each.via.target.collection, each.via.field) for each in guard.entry.copies}
        for collection, field in copied:
            of = [each for each in keys.values() if (each.collection, each.field) == (collection, field)]
            existing = await look_up(guard.store, collection, field, [each.value for each in of], session=session)
            self._awaited.update((each.at, each) for each in of if key(each.value) not in existing)

    def deleted(self, keys: Iterable[Key]) -> None:
        """Remember keys that nothing may refer to at the end."""
        self._gone.update((each.at, each) for each in keys)

    @property
    def awaited(self) -> list[Key]:
        """The keys of owners that were not there while something copied them."""
        return list({**self._awaited, **self._gone}.values())

    async def settle(self, protocol: Protocol, store: Store, session: Any) -> None:
        """Look whether everything that is referred to is there; in the transaction, before its commit.

        Args:
            protocol: The protocol.
            store: The database.
            session: The session of the transaction.

        Raises:
            DanglingReference: A reference dangles; the transaction is to be aborted.
        """
        if self._named:
            with protocol.columns.one() as column:
                await protocol.touch(store, self._named.values(), column, session)
        found: list[Violation] = []
        for (collection, field), keys in by_field({**self._named, **self._gone}.values()).items():
            values = [each.value for each in keys]
            existing = await look_up(store, collection, field, values, session=session)
            missing = [each for each in values if key(each) not in existing]
            if missing:
                found += await _dangling(protocol, store, collection, field, missing, session)
        if found:
            raise DanglingReference(found, f"The transaction was aborted at its end: {explain(found)}")


async def _dangling(
    protocol: Protocol, store: Store, collection: str, field: str, missing: list[Any], session: Any
) -> list[Violation]:
    """Return what still refers to keys that are not there: a later write may have set it right."""
    entry = protocol.registry.by_collection(collection)
    assert entry is not None
    found = []
    for reference in entry.referrers:
        if reference.field != field or not protected(reference):
            continue
        for child in await children(store, reference, missing, session=session):
            for path, value in child.spots:
                at = At(reference.entry.collection, child.id, dotted(path), reference.path)
                found.append(dangling.RULE.violation(at, dangling.fault(value, f"{collection}.{field}")))
    return found


_DEFERRED: WeakKeyDictionary[Any, Deferred] = WeakKeyDictionary()


def begin(session: Any) -> None:
    """Put the checks of a session's transaction off; until they are made, nobody commits it."""
    _DEFERRED[plain(session)] = Deferred()
    for each in {id(session): session, id(plain(session)): plain(session)}.values():
        each.commit_transaction = _unchecked


def release(session: Any) -> None:
    """Let the transaction be committed: what was put off is checked."""
    for each in (session, plain(session)):
        vars(each).pop("commit_transaction", None)


def _unchecked(*_: Any, **__: Any) -> Never:
    """Stand for ``commit_transaction`` on a session whose references are not checked yet.

    Raises:
        InvalidOperation: Always.
    """
    raise InvalidOperation(
        "The references of a deferred transaction are checked when its block ends: leave the block, it commits."
    )


def of(session: Any) -> Deferred | None:
    """Return what a session's transaction has put off, or None where it puts nothing off."""
    return _DEFERRED.get(plain(session)) if _DEFERRED else None


def end(session: Any) -> None:
    """Put nothing off any more."""
    if _DEFERRED.pop(plain(session), None) is not None:
        release(session)
