"""What a stored copy should hold: its owner's value, and whether that is worth copying."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from integrity.declare.equality import key, same
from integrity.declare.extract import ABSENT, Path, value_at
from integrity.declare.registry import Copy, Entry
from integrity.rules.judge import Judge, dotted
from integrity.store.lookup import look_up
from integrity.store.port import Document, Store
from integrity.violation import Violation
from integrity.writes.copies.fitting import as_copy, misfits
from integrity.writes.copies.spots import Spot, spots


@dataclass(frozen=True)
class Truth:
    """What one copy in one document holds, and what it should.

    Args:
        copy: The copy.
        id: The document's ``_id``.
        path: Where it stands in the document.
        via: The value that names its owner.
        stored: What stands there; `ABSENT` where nothing does.
        original: What it should hold, `ABSENT` for nothing.
        owner: The owner's ``_id``.
        faulty: What is wrong with the owner's value in its own model: such a value is not copied, the owner is to be
            mended first.
        misfits: Why the copy cannot hold it, though it is valid where it comes from.
    """

    copy: Copy
    id: Any
    path: Path
    via: Any
    stored: Any
    original: Any
    owner: Any
    faulty: tuple[Violation, ...] = ()
    misfits: tuple[Violation, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether it differs from its owner."""
        nothing = (None, ABSENT)
        return not same(self.stored, self.original) and not (self.stored in nothing and self.original in nothing)

    @property
    def mendable(self) -> bool:
        """Whether it is stale and its owner's value is worth copying."""
        return self.stale and not self.faulty and not self.misfits

    @property
    def dotted(self) -> str:
        """The path as MongoDB writes it."""
        return dotted(self.path)


async def truths(store: Store, entry: Entry, documents: Sequence[Document], **options: Any) -> list[Truth]:
    """Return what the copies of stored documents should hold, stale or not; nothing for those without an owner.

    One look-up of the owners for each reference. A copy whose reference is null, or names nothing, follows nobody.

    Args:
        store: The database.
        entry: The documents' model.
        documents: They, as they are stored; with what the copies and their references stand in, at least.
        options: PyMongo's options of ``find``, such as ``session``.
    """
    found: list[Truth] = []
    for via in dict.fromkeys(each.via for each in entry.copies):
        copies = [each for each in entry.copies if each.via is via]
        standing = [(copy, each, spot) for copy in copies for each in documents for spot in spots(copy, each)]
        # Whole owners: their own rules are judged in their own documents.
        owners = await _owners(store, copies, [spot.via for _, _, spot in standing], options)
        judged = {at: Judge(via.target).stored(owner) for at, owner in owners.items()}
        for copy, document, spot in standing:
            owner = owners.get(key(spot.via))
            if owner is not None:
                found.append(_truth(copy, document, spot, owner, judged[key(spot.via)]))
    return found


async def _owners(
    store: Store, copies: Sequence[Copy], keys: Sequence[Any], options: dict[str, Any]
) -> dict[Hashable, Document]:
    via = copies[0].via
    fields = [field for field in via.target.document.fields if not via.field.startswith(f"{field}.")]
    return await look_up(store, via.target.collection, via.field, keys, fields, **options)


def _truth(copy: Copy, document: Document, spot: Spot, owner: Document, violations: Sequence[Violation]) -> Truth:
    field = copy.field
    faulty = tuple(each for each in violations if each.path == field or each.path.startswith(f"{field}."))
    original = as_copy(copy, value_at(owner, tuple(field.split("."))))
    wrong = () if faulty else misfits(copy, original)
    return Truth(
        copy, document.get("_id"), spot.path, spot.via, spot.value, original, owner.get("_id"), faulty, tuple(wrong)
    )
