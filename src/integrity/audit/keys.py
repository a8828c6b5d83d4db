"""Which keys exist: the look-ups of an audit, de-duplicated and remembered within bounds."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from integrity.declare.equality import key
from integrity.declare.extract import ABSENT, value_at
from integrity.declare.registry import Entry
from integrity.store.lookup import look_up
from integrity.store.port import Store

#: Keys remembered for one referenced field; some 200 bytes each.
REMEMBERED = 50_000


class Keys:
    """The keys of one referenced field, with the fields of their documents that copies repeat.

    Args:
        store: The database.
        entry: The referenced model's entry.
        field: The stored name of the referenced field.
    """

    def __init__(self, store: Store, entry: Entry, field: str) -> None:
        self._store = store
        self.entry = entry
        self.field = field
        self.copied = tuple(dict.fromkeys(each.field for each in entry.copied))
        self._known: dict[Hashable, tuple[Any, ...] | None] = {}

    @property
    def name(self) -> str:
        """What is referred to, as messages name it: ``"airports._id"``."""
        return f"{self.entry.collection}.{self.field}"

    async def learn(self, keys: Iterable[Any], *, again: bool = False, session: Any = None) -> None:
        """Look up the keys that are not remembered.

        Args:
            keys: The keys that will be asked for next.
            again: Look up the remembered ones too: they may have changed since.
            session: The session of a transaction to look up in; None for none.
        """
        wanted = {each: value for value in keys if (each := key(value)) not in self._known or again}
        if not wanted:
            return
        if len(self._known) + len(wanted) > REMEMBERED:
            self._known = {}
            wanted = {key(value): value for value in keys}
        options = {} if session is None else {"session": session}
        found = await look_up(self._store, self.entry.collection, self.field, wanted.values(), self.copied, **options)
        steps = [tuple(name.split(".")) for name in self.copied]
        for each in wanted:
            document = found.get(each)
            self._known[each] = None if document is None else tuple(value_at(document, path) for path in steps)

    def exists(self, value: Any) -> bool:
        """Whether a key that was learned exists."""
        return self._known.get(key(value)) is not None

    def original(self, value: Any, field: str) -> Any:
        """Return a field of the document with a key that was learned and exists; null where it is not there."""
        known = self._known[key(value)]
        found = ABSENT if known is None else known[self.copied.index(field)]
        return None if found is ABSENT else found
