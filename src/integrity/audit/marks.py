"""Marks: where a database stood at an audit, so that a later one begins there."""

from __future__ import annotations

import datetime as dt
import time

from integrity.audit import changes
from integrity.audit.options import Options
from integrity.audit.since import Since, since_time
from integrity.audit.state import Mark
from integrity.declare.registry import Registry
from integrity.errors import AuditError
from integrity.store.port import Store

#: Seconds that a writer's clock may be behind this one's, and that an ObjectId may be made before it is stored.
_APART = 60.0


async def standing(store: Store, options: Options) -> Mark:
    """Return where the database stands now, for a later audit of what has changed since.

    Args:
        store: The database.
        options: What the audit that begins now looks at.
    """
    return Mark(store.name, time.time(), await changes.token(store), options.collections, options.codes)


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
    if last.token is None:
        return since_time(dt.datetime.fromtimestamp(last.time - _APART, dt.UTC), timestamp)
    entries = options.entries(registry)
    names = {each.collection for each in entries}
    names |= {each.target.collection for entry in entries for each in entry.references}
    return await changes.since(store, last.token, names)
