"""Which strings a collation calls equal: plain ASCII is folded here, everything else is the server's to say.

ICU's rules are long (a control character weighs nothing, a ligature equals its letters, "ß" is not "ss"); a
copy of them that differs in one point would report what a unique index lets in, or miss what it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bson import Code

from integrity.rules.walk import encodable
from integrity.store.lookup import pieces
from integrity.store.port import Document, Store

#: How a constraint that is `case_insensitive` compares, in its index and in an audit.
COLLATION = {"locale": "en", "strength": 2}

#: Strings asked about at once: each is compared with every string of the pool.
_CHUNK = 200
#: Bytes of them, beside those of the pool: a command has 16 MB.
_BYTES = 4_000_000


def is_text(value: Any) -> bool:
    """Whether a collation compares a value: a Code, which is a str of Python's, it does not, nor what is no UTF-8."""
    return isinstance(value, str) and not isinstance(value, Code) and encodable(value)


class Folding:
    """Tells the strings of a batch of groups apart as `COLLATION` does.

    Args:
        store: The database.
        collection: A collection with at least one document, for the server to compare constants over.
    """

    def __init__(self, store: Store, collection: str) -> None:
        self._store = store
        self._collection = collection
        self._pool: list[str] = []
        self._folded: frozenset[str] = frozenset()
        self._mixed = False
        self._known: dict[str, str] = {}

    async def begin(self, pool: Iterable[str]) -> None:
        """Forget what was known, and compare with these strings from now on."""
        found = set(pool)
        ascii_first = sorted(found, key=lambda each: (not _plain(each), each))
        self._pool, self._known = ascii_first, {}
        self._folded = frozenset(each.lower() for each in found if _plain(each))
        self._mixed = not all(map(_plain, found))
        await self.learn(found)

    async def learn(self, texts: Iterable[str]) -> None:
        """Ask the server for the strings that cannot be told here."""
        unknown = sorted({each for each in texts if each not in self._known and not self._told(each)})
        for asked in pieces(unknown, _CHUNK, _BYTES):
            matches = {
                "$map": {
                    "input": {"$literal": asked},
                    "as": "one",
                    "in": {
                        "$first": {
                            "$filter": {
                                "input": {"$literal": self._pool},
                                "as": "other",
                                "cond": {"$eq": ["$$one", "$$other"]},
                            }
                        }
                    },
                }
            }
            pipeline: list[Document] = [{"$limit": 1}, {"$project": {"_id": 0, "matches": matches}}]
            batches = await self._store.aggregate(self._collection, pipeline, collation=COLLATION)
            reply = await batches.next(1)
            found = reply[0]["matches"] if reply else [None] * len(asked)
            for text, other in zip(asked, found, strict=True):
                # The first of the pool stands for its equals; it is plain if any of them is.
                self._known[text] = text if other is None else other.lower() if _plain(other) else other

    def of(self, text: str) -> str:
        """Return what is the same for all strings that are equal to `text`, once it was learned."""
        return self._known.get(text) or text.lower()

    def _told(self, text: str) -> bool:
        return _plain(text) and (text.lower() in self._folded or not self._mixed)


def _plain(text: str) -> bool:
    """Whether case is all that the collation ignores in it: ASCII without control characters."""
    return text.isascii() and text.isprintable()
