"""A guarded database in memory: mongomock behind the same facade."""

from __future__ import annotations

from typing import Any

from integrity.database import Database
from integrity.facade.guards import Given


def memory(models: Given, **options: Any) -> Database:
    """Return an empty database in memory, whose writes are judged as on a server.

    It is mongomock's: quick, and enough to see an application's own logic and its handling of refusals. It has no
    transactions, no validators and no concurrency, so that it proves nothing about integrity: what a transaction needs
    is refused with `TransactionRequired`, and tests of that run on a server (`integrity.testing.plugin`).

    Args:
        models: Model classes, modules of them, or a registry.
        **options: Those of `integrity.Database`, such as ``actor``.

    Raises:
        DeclarationError: The declarations contradict each other.
        ImportError: mongomock is not installed: the extra ``testing`` brings it.

    Source: https://github.com/mongomock/mongomock/blob/develop/Missing_Features.rst
    """
    import mongomock  # noqa: PLC0415 - an extra's

    return Database(mongomock.MongoClient()["memory"], models=models, **options)
