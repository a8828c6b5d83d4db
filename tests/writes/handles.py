"""One way to call the three clients: a handle whose methods are all awaited.

`Handle` wraps a guarded database of any colour; what the blocking one returns at once is handed over by an awaitable.
"""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient

import integrity

COLOURS = ("blocking", "async", "motor")


class Awaited:
    """An object whose calls are awaited, whether it is blocking or not."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.target, name)
        if not callable(found):
            return found

        async def call(*args: Any, **options: Any) -> Any:
            outcome = found(*args, **options)
            return await outcome if inspect.isawaitable(outcome) else outcome

        return call

    async def all(self, *args: Any, **options: Any) -> list[Any]:
        """The documents of a find."""
        listed = self.target.find(*args, **options).to_list()
        return list(await listed if inspect.isawaitable(listed) else listed)

    async def piped(self, *args: Any, **options: Any) -> list[Any]:
        """The documents of an aggregation."""
        cursor = self.target.aggregate(*args, **options)
        cursor = await cursor if inspect.isawaitable(cursor) else cursor
        listed = cursor.to_list()
        return list(await listed if inspect.isawaitable(listed) else listed)


class Handle:
    """A guarded database of any colour.

    Args:
        db: The database.
    """

    def __init__(self, db: Any) -> None:
        self.db = db

    def __getitem__(self, model: type) -> Awaited:
        return Awaited(self.db[model])

    def acting_as(self, actor: str | None) -> "Handle":
        return Handle(self.db.acting_as(actor))

    @asynccontextmanager
    async def transaction(self, **options: Any) -> AsyncIterator[Any]:
        context = self.db.transaction(**options)
        if hasattr(context, "__aenter__"):
            async with context as tx:
                yield tx
        else:
            with context as tx:
                yield tx


@asynccontextmanager
async def opened(colour: str, uri: str, database: str, **declared: Any) -> AsyncIterator[Handle]:
    """Open a guarded database by a client of a colour; the client is closed after it."""
    if colour == "blocking":
        with MongoClient[dict[str, Any]](uri) as client:
            yield Handle(integrity.Database(client[database], **declared))
    elif colour == "async":
        async with AsyncMongoClient[dict[str, Any]](uri) as aclient:
            yield Handle(integrity.aio.Database(aclient[database], **declared))
    else:
        motor: Any = AsyncIOMotorClient(uri)
        try:
            yield Handle(integrity.aio.Database(motor[database], **declared))
        finally:
            motor.close()
