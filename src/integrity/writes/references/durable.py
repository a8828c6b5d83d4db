"""The same store with majority write concern: what an ordering relies on must not be rolled back by an election."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from pymongo.errors import OperationFailure

from integrity.declare.reserved import CONDEMNED
from integrity.store.port import Store
from integrity.writes.transaction import majority

#: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
UNAUTHORIZED = 13

_DURABLE: WeakKeyDictionary[Store, Store] = WeakKeyDictionary()


def durable(store: Store) -> Store:
    """Return the store with ``w: "majority"``, and the application's ``wtimeout`` and ``j``.

    Source: https://www.mongodb.com/docs/manual/reference/write-concern/#mongodb-writeconcern-writeconcern.-majority-
    """
    found = _DURABLE.get(store)
    if found is None:
        found = _DURABLE[store] = store.with_options(write_concern=majority(store))
    return found


async def settled(store: Store, collection: str) -> None:
    """Return when what was read on the primary before stays, whatever election follows.

    A write that changes nothing waits all the same until a majority has everything before it. An election between the
    read and this one it does not notice: who is to rule that out reads again.

    Args:
        store: The database.
        collection: A collection that the caller writes to.
    """
    try:
        await durable(store).update_one(collection, {"_id": {"$in": []}}, {"$unset": {CONDEMNED: ""}})
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:  # who may only insert has no such write
            raise
