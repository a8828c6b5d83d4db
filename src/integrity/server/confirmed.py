"""Commands that change the server: done when a majority has said so."""

from __future__ import annotations

from pymongo.errors import WriteConcernError

from integrity.store.port import Document, Store
from integrity.writes.transaction import majority


async def confirmed(store: Store, command: Document) -> None:
    """Run a command, and wait until a majority has what it did: an election would take it back otherwise.

    Args:
        store: The database.
        command: The command, which takes a ``writeConcern``.

    Raises:
        WriteConcernError: Too few members have confirmed it, or the primary has stepped down meanwhile.
    """
    reply = await store.command({**command, "writeConcern": majority(store).document})
    # The driver raises this of its own methods, and not of a command.
    if failed := reply.get("writeConcernError"):
        raise WriteConcernError(
            f"what was done may not stay, as no majority has confirmed it ({failed.get('errmsg', '')}); run it again",
            failed.get("code"),
            failed,
        )
