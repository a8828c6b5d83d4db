"""Marks: where a database stood at an audit, so that a later one begins there."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable
from dataclasses import replace

from integrity.audit import changes
from integrity.audit.identity import judged
from integrity.audit.options import Options
from integrity.audit.since import Since, SinceLast, since_time
from integrity.audit.source import identity
from integrity.audit.state import Mark
from integrity.declare.registry import Entry, Registry
from integrity.errors import AuditError
from integrity.store.port import Store

#: Seconds that a writer's clock may be behind this one's, and that an ObjectId may be made before it is stored.
_APART = 60.0


async def standing(store: Store, registry: Registry, options: Options) -> Mark:
    """Return where the database stands now, for a later audit of what has changed since.

    Args:
        store: The database.
        registry: The declarations.
        options: What the audit that begins now looks at.
    """
    entries = options.entries(registry)
    token, names = await changes.token(store), _read(entries)
    stood = {each["name"]: identity(each) for each in await store.collections() if each["name"] in names}
    return Mark(store.name, time.time(), token, judged(entries), options.codes, stood)


async def since_last(
    store: Store, registry: Registry, options: Options, last: Mark, timestamp: str | None = None
) -> Since:
    """Return what has changed since a mark: by the change stream, or by time on a server that has none.

    Args:
        store: The database.
        registry: The declarations.
        options: The scope.
        last: The mark.
        timestamp: The field that says when a document was changed.

    Raises:
        AuditError: The mark is another database's, or the server does not remember that far.
    """
    if last.database != store.name:
        raise AuditError(f"The state file is of the database {last.database!r}, and this is {store.name!r}.")
    names = _read(options.entries(registry))
    existing = {each["name"]: each for each in await store.collections() if each["name"] in names}
    for name, listed in existing.items():
        # Of another server, of which nothing was audited, no stream tells.
        if last.stood.get(name) != identity(listed):
            raise AuditError(
                f"The collection {name!r} is not the one that the last audit looked at: it was made anew since, or is "
                "on another server; run a whole audit, for another server with a state file of its own."
            )
    if last.token is None:
        return since_time(dt.datetime.fromtimestamp(last.time - _APART, dt.UTC), timestamp)
    silent = {name for name, each in existing.items() if (each.get("type") or "collection") != "collection"}
    told: SinceLast = await changes.since(store, last.token, names - silent)
    return replace(told, silent=frozenset(silent))


def _read(entries: Iterable[Entry]) -> set[str]:
    """Return the names of the collections that are read for the audit of some: their own, and what they refer to."""
    return {name for each in entries for name in (each.collection, *(one.target.collection for one in each.references))}
