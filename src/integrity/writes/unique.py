"""Unique constraints on the write path: their indexes, which alone hold under concurrency.

What the index cannot see, two equal values inside one array, is looked at in the document.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Literal

from pymongo.errors import OperationFailure

from integrity.declare.equality import key
from integrity.declare.extract import Path, values_at
from integrity.declare.index import UniqueIndex, unique_indexes
from integrity.declare.registry import Entry
from integrity.declare.stage import Constraint
from integrity.errors import IndexRequired
from integrity.rules.judge import dotted
from integrity.rules.rule import At
from integrity.rules.unique import duplicate_value
from integrity.store.indexes import build, built
from integrity.store.port import Document, Store
from integrity.violation import Violation
from integrity.writes.references.durable import durable, settled
from integrity.writes.staging import Staging

#: What is done about a unique index that is not there when a collection is written to: ``"apply"`` creates it,
#: ``"require"`` refuses the write, ``"trust"`` does not look.
UniqueMode = Literal["apply", "require", "trust"]


#: Seconds for which indexes that were there are believed to be: whoever drops a collection and fills it again, as
#: ``mongoimport --drop`` does, leaves none.
BELIEVED = 10.0


@dataclass(eq=False)
class Indexes:
    """What is known of the unique indexes of a database; each collection's are looked at every `BELIEVED` seconds.

    Args:
        mode: See `UniqueMode`.
        ready: The collections that were looked at.
        until: Until when that is believed, by the monotonic clock.
        staging: How far constraints have been introduced: an index whose constraint is staged lower is not made.
    """

    mode: UniqueMode = "apply"
    ready: set[str] = field(default_factory=set)
    until: float = 0.0
    staging: Staging = field(default_factory=Staging)

    async def ensure(self, store: Store, entry: Entry, session: Any = None) -> None:
        """See that the unique indexes of a model are there.

        Args:
            store: The database.
            entry: The model's entry.
            session: The session of the write, to know whether a transaction is open. The indexes are looked at
                outside of it: MongoDB creates no index in a transaction on a collection that holds documents.

        Raises:
            IndexRequired: One is not there, and is not to be created, or cannot be.
        """
        inside = getattr(session, "in_transaction", False)
        # Not inside of a transaction: the look could wait for who builds an index, and waits for the transaction.
        if (now := monotonic()) > self.until and not inside:
            self.ready.clear()
            self.until = now + BELIEVED
        if entry.collection in self.ready or self.mode == "trust":
            return
        wanted = unique_indexes(entry)
        existing = await built(store, entry.collection) if wanted else {}
        while wanted:
            for each in wanted:
                if any(each.kept_by(index) for index in existing.values()):
                    continue
                constraint = Constraint(entry.collection, "unique", path(entry, each))
                if await self.staging.enforces(store, constraint):
                    await self._create(store, entry, each, constraint, existing.get(each.name, {}), inside=inside)
            # Who made it may still wait for a majority: an election would take it back, and nobody look again.
            await settled(store, entry.collection)
            # Once more after that, and not before alone: an election between the first look and the wait may have done
            # so, and then it was another primary that waited.
            seen, existing = existing, await built(store, entry.collection)
            if all(existing.get(name) == index for name, index in seen.items()):
                break
        self.ready.add(entry.collection)

    async def _create(
        self,
        store: Store,
        entry: Entry,
        index: UniqueIndex,
        constraint: Constraint,
        own: Mapping[str, Any],
        *,
        inside: bool,
    ) -> None:
        missing = f"{entry.name} declares {', '.join(index.keys)} unique, and {entry.collection} has no index for it"
        if own.get("prepareUnique") and index.kept_by({**own, "unique": True}):
            return  # it takes no new duplicate either
        if own and not own.get("unique"):
            raise IndexRequired(
                f"{missing} that is unique yet; `integrity enforce '{constraint}'` makes it so where nothing is double."
            )
        if self.mode == "require":
            raise IndexRequired(f"{missing}; create it with db.apply().")
        if inside:
            raise IndexRequired(f"{missing}, which a transaction cannot create; call db.apply() before it.")
        keys, options = index.arguments()
        try:
            # Confirmed whatever the application asks for: "ready" is said of it to every handle. Unsaid, a collection's
            # default collation would be taken over.
            options = {**store.exact, **options}
            create = partial(durable(store).call, index.collection, "create_index", keys, **options)
            await build(store, index.collection, index.name, create)
        except OperationFailure as error:
            reason = str((error.details or {}).get("errmsg") or error).rstrip(".")
            raise IndexRequired(
                f"{missing}, and it could not be created: {reason}. `integrity audit --select UNQ` finds duplicates; "
                "an index of other options is yours to drop."
            ) from error


def path(entry: Entry, index: UniqueIndex) -> str:
    """Return the declared path of the constraint that an index is for."""
    for each in entry.uniques:
        if tuple(".".join(step for step in place.steps if step != "[]") for place in each.places) == index.keys:
            return each.path
    return ", ".join(index.keys)


def repeated(entry: Entry, document: Document) -> list[Violation]:
    """Return the values that are declared unique and stand more than once in one document."""
    found = []
    for unique in entry.uniques:
        place = unique.places[0]
        if len(unique.places) > 1 or "[]" not in place.steps:
            continue
        seen: dict[Hashable, Path] = {}
        for path, value in values_at(document, place.steps):
            if value is None and unique.unique.nulls == "distinct":
                continue
            folded = value.casefold() if unique.unique.case_insensitive and isinstance(value, str) else value
            if seen.setdefault(key(folded), path) != path:
                at = At(entry.collection, document.get("_id"), dotted(path), place.path)
                found.append(duplicate_value.RULE.violation(at, duplicate_value.fault(value, 1)))
    return found
