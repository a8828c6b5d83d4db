"""What becomes something else on its way: read by the driver, or put into a group by the server.

Of an object that names a field twice the driver keeps one, of a DBPointer it makes an object, of undefined in an object
null. A server's group makes a string of code, an object of MinKey, and of a field that is named twice it may keep one.
Asked for by what it has become, such a value is not found: so its documents are chosen by its type.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import bson
from bson import Code, DBRef, MaxKey, MinKey
from bson.codec_options import CodecOptions

from integrity.declare.equality import key
from integrity.declare.shape import Node, Place
from integrity.store.codecs import CODEC
from integrity.store.forgiving import decoded
from integrity.store.port import Document, Store

#: The types whose values the driver may read otherwise than they are stored.
READ = ("object", "array", "dbPointer", "javascriptWithScope")
#: Types that a server's group returns as they are.
_GROUPED = frozenset(
    {"bool", "date", "decimal", "double", "int", "long", "objectId", "string", "uuid", "binData", "timestamp", "regex"}
)
_REGROUPED = (Code, MinKey, MaxKey)
#: Documents in memory at once.
_BATCH = 200
_CODEC: CodecOptions[Document] = CodecOptions(**CODEC)

Values = tuple[Any, ...]


def may_be_changed(value: Any) -> bool:
    """Whether a value is of a type that the driver may read otherwise than it is stored."""
    return isinstance(value, dict | list | DBRef) or (isinstance(value, Code) and value.scope is not None)


def faithful(stored: Any, read: Document) -> bool:
    """Whether the driver writes a document as it is stored.

    Args:
        stored: The document as bytes, a RawBSONDocument.
        read: The same as the driver reads it.
    """
    try:
        return bool(bson.encode(read, codec_options=_CODEC) == stored.raw)
    except UnicodeEncodeError:
        return False


def grouped(node: Node) -> bool:
    """Whether all that may stand at a place is read and grouped as it is stored."""
    return not (node.anything or node.objects or node.arrays) and node.scalars <= _GROUPED


def of_types(places: Iterable[Place]) -> Document:
    """Choose the documents with a value at one of the places that may become something else."""
    return {"$or": [{_dotted(each): {"$type": [*READ, "javascript", "minKey", "maxKey"]}} for each in places]}


async def changed(
    store: Store, collection: str, places: Sequence[Place], values: Callable[[Document], Iterator[Values]]
) -> dict[tuple[Hashable, ...], Values]:
    """Return what has become something else at some places, by its keys.

    Args:
        store: The database.
        collection: The collection's name.
        places: The places that are looked at together, such as a constraint's.
        values: Yields what stands at these places in a document.
    """
    found: dict[tuple[Hashable, ...], Values] = {}
    doubtful = [each for each in places if not grouped(each.node)]
    if not doubtful:
        return found
    projection = {each.steps[0]: 1 for each in places}
    batches = store.for_bytes().find(collection, of_types(doubtful), projection=projection)
    while batch := await batches.next(_BATCH):
        for each in batch:
            document = decoded(each)
            same = faithful(each, document)
            for some in values(document):
                if any(isinstance(one, _REGROUPED) or (not same and may_be_changed(one)) for one in some):
                    found[tuple(map(key, some))] = some
    return found


def _dotted(place: Place) -> str:
    return ".".join(each for each in place.steps if each != "[]")
