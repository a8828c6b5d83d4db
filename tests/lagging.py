"""Members of a replica set that do not hear of what is written."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

Client = MongoClient[dict[str, Any]]


@contextmanager
def alone(client: Client) -> Iterator[None]:
    """Keep both secondaries from hearing of what is written."""
    with ExitStack() as stack:
        for address in client.secondaries:
            member = stack.enter_context(Client(address[0], address[1], directConnection=True))
            stop = {"configureFailPoint": "rsSyncApplyStop"}
            member.admin.command({**stop, "mode": "alwaysOn"})
            stack.callback(member.admin.command, {**stop, "mode": "off"})
        yield


@contextmanager
def deaf(client: Client) -> Iterator[tuple[str, int | None]]:
    """Keep a secondary from hearing of what is written, and yield its address."""
    client.shop.beginning.with_options(write_concern=WriteConcern(3)).insert_one({})
    address = min(client.secondaries)
    with Client(address[0], address[1], directConnection=True) as member:
        member.admin.command({"configureFailPoint": "rsSyncApplyStop", "mode": "alwaysOn"})
        try:
            yield address
        finally:
            member.admin.command({"configureFailPoint": "rsSyncApplyStop", "mode": "off"})
