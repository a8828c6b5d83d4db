"""The indexes of a collection that do their work.

MongoDB lists an index from the moment at which somebody begins to build it. Until it is done it refuses nothing, and
where it finds duplicates it is gone: whoever took it for one that is there would never look again. Who asks for an
index that somebody else is building waits for that build, and may be told (6.0) that all is well where it has failed.

Source: https://www.mongodb.com/docs/manual/core/index-creation/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bson.codec_options import CodecOptions
from pymongo.errors import AutoReconnect, OperationFailure

from integrity.store.codecs import CODEC
from integrity.store.port import Document, Store

_NO_SUCH_NAMESPACE = 26
_BUILD_ABORTED = 276
_TRIES = 5
#: The option is none of the stable API's (APIStrictError), or of this server's (an unknown field).
_NO_SUCH_OPTION = frozenset({323, 40415})
#: A partial filter may hold the least date that there is, of which the driver's own method makes an error.
_CODEC: CodecOptions[Any] = CodecOptions(**CODEC)


async def built(store: Store, collection: str) -> dict[str, dict[str, Any]]:
    """Return the indexes by name, in the form of the driver's ``index_information``, without what is being built."""
    command = {"listIndexes": collection, "cursor": {}}
    try:
        try:
            listed = await _listed(store, {**command, "includeBuildUUIDs": True})
        except OperationFailure as error:
            if error.code not in _NO_SUCH_OPTION:
                raise
            listed = await _listed(store, command)
    except NotImplementedError:  # mongomock, which builds none
        return await store.call(collection, "index_information")  # type: ignore[no-any-return]  # the driver's
    except OperationFailure as error:
        if error.code != _NO_SUCH_NAMESPACE:
            raise
        return {}
    return {each["name"]: _information(each) for each in listed if "buildUUID" not in each}


async def build(store: Store, collection: str, name: str, create: Callable[[], Awaitable[Any]]) -> None:
    """Create an index, and see that it is there.

    Args:
        store: The database.
        collection: The collection.
        name: The index's name.
        create: Has the server create it, or raises what the server says.

    Raises:
        OperationFailure: Others take it away as often as it is made.
    """
    for _ in range(_TRIES):
        await create()
        if name in await built(store, collection):
            return
    raise OperationFailure(f"index {name} of {collection} is not there after it was built", _BUILD_ABORTED)


async def _listed(store: Store, command: Document) -> list[Document]:
    try:
        reply = await store.command(command, codec_options=_CODEC)
    except AutoReconnect:  # once more, as the driver reads
        reply = await store.command(command, codec_options=_CODEC)
    found: list[Document] = reply["cursor"]["firstBatch"]  # the only one: a collection has 64 indexes at most
    return found


def _information(index: Document) -> dict[str, Any]:
    return {**{name: each for name, each in index.items() if name != "name"}, "key": list(index["key"].items())}
