"""Which of some documents have a copy that differs from its owner, by what was fetched of them: each pair once."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any

from integrity.audit.facts import copied
from integrity.audit.listed import KEYS
from integrity.audit.targets import Pair, Targets, null
from integrity.declare.equality import key
from integrity.declare.registry import Copy
from integrity.store.forgiving import decoded
from integrity.store.port import Document

Token = tuple[Hashable, Hashable, type]


class Stale:
    """Finds the documents with a stale copy.

    Args:
        copy: The copy.
        targets: The owners.
        apart: The keys of references that are looked at apart.
    """

    def __init__(self, copy: Copy, targets: Targets, apart: Collection[Hashable]) -> None:
        self._copy, self._targets, self._apart = copy, targets, apart
        self._asked = 0

    async def ids(self, fetched: list[bytes]) -> list[Any]:
        """Return the ids of the documents with a stale copy.

        Args:
            fetched: Of each document its ``_id``, the reference and the copy, as they are stored.
        """
        asked: dict[Token, Pair] = {}
        left: list[tuple[Any, Token]] = []
        for raw in fetched:
            document = decoded(raw)
            for via, value in self._pairs(document):
                at = _token(via, value)
                asked[at] = (via, value)
                left.append((document["_id"], at))
        # Where so many are asked for, to have all of them takes less long.
        if self._asked <= KEYS < self._asked + len(asked):
            await self._targets.read()
        self._asked += len(asked)
        listed = [{"_id": {"v": via, "c": value}} for via, value in asked.values()]
        stale = {_token(via, value) for via, value in await self._targets.stale(listed)}
        return [each for each, at in left if at in stale]

    def _pairs(self, document: Document) -> list[Pair]:
        """Return the reference and the copy, where there is something that it would be a copy of."""
        pairs = [(null(via), null(value)) for _, value, _, via in copied(self._copy, document)]
        return [each for each in pairs if each[0] is not None and key(each[0]) not in self._apart]


def _token(via: Any, value: Any) -> Token:
    return key(via), key(value), type(value)
