"""The same store with majority write concern: what an ordering relies on must not be rolled back by an election."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from integrity.store.port import Store
from integrity.writes.transaction import majority

_DURABLE: WeakKeyDictionary[Store, Store] = WeakKeyDictionary()


def durable(store: Store) -> Store:
    """Return the store with ``w: "majority"``, and the application's ``wtimeout`` and ``j``.

    Source: https://www.mongodb.com/docs/manual/reference/write-concern/#mongodb-writeconcern-writeconcern.-majority-
    """
    found = _DURABLE.get(store)
    if found is None:
        found = _DURABLE[store] = store.with_options(write_concern=majority(store))
    return found
