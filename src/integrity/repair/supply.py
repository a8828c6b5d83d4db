"""What other documents say should stand in a document: the owner's value of a copy, the key of a reference."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from integrity.audit.facts import Facts, copied, faults, touched
from integrity.declare.equality import key
from integrity.declare.extract import ABSENT, Path, value_at, values_at
from integrity.declare.registry import Copy, Entry, Reference
from integrity.repair.decide import Supplied
from integrity.rules.judge import dotted
from integrity.rules.reference import wrong_key_type
from integrity.store.lookup import look_up, queryable
from integrity.store.port import Document, Store
from integrity.violation import Violation
from integrity.writes.copies.fitting import as_copy

_CHUNK = 200


class Supplies:
    """Looks up what a model's documents should hold.

    Args:
        store: The database.
        entry: The model's entry.
    """

    def __init__(self, store: Store, entry: Entry) -> None:
        self._store = store
        self._entry = entry

    async def of(
        self, documents: Sequence[Document], violations: Sequence[Iterable[Violation]]
    ) -> list[dict[str, Supplied]]:
        """Return what is known for each document, by path."""
        found: list[dict[str, Supplied]] = [{} for _ in documents]
        stale: dict[Copy, list[tuple[int, str, Path, Any]]] = {}
        mistyped: dict[Reference, list[tuple[int, str, Any]]] = {}
        for index, (document, several) in enumerate(zip(documents, violations, strict=True)):
            for violation in several:
                # Whatever is wrong with a copy: it is its owner that says what should stand there.
                for copy, at, via in _vias(self._entry, document, violation):
                    stale.setdefault(copy, []).append((index, violation.path, at, via))
                if violation.code == wrong_key_type.RULE.code:
                    for reference, value in _values(self._entry, document, violation):
                        mistyped.setdefault(reference, []).append((index, violation.path, value))
        for copy, uses in stale.items():
            for index, path, supplied in await self._originals(copy, uses):
                found[index][path] = supplied
        for reference, keys in mistyped.items():
            for index, path, supplied in await self._keys(reference, keys):
                found[index][path] = supplied
        return found

    async def _originals(
        self, copy: Copy, uses: Sequence[tuple[int, str, Path, Any]]
    ) -> list[tuple[int, str, Supplied]]:
        reference, steps = copy.via, tuple(copy.field.split("."))
        owners: dict[Hashable, Supplied] = {}
        wanted = list({key(via): via for *_, via in uses}.values())
        facts = Facts(self._store, reference.target)
        for start in range(0, len(wanted), _CHUNK):
            some = wanted[start : start + _CHUNK]
            filter_: Document = {"$or": [{reference.field: {"$eq": each}} for each in some]}
            if all(map(queryable, some)):
                filter_ = {reference.field: {"$in": some}}
            batches = self._store.find(reference.target.collection, filter_)
            while batch := await batches.next(_CHUNK):
                for owner, wrong in zip(batch, await facts.judge(batch), strict=True):
                    at = key(value_at(owner, tuple(reference.field.split("."))))
                    owners.setdefault(at, _original(copy, owner, steps, faults(wrong)))
        # A copy whose owner is not there is nobody's.
        known = [(index, path, at, owners.get(key(via))) for index, path, at, via in uses]
        return [(index, path, replace(each, at=at)) for index, path, at, each in known if each is not None]

    async def _keys(
        self, reference: Reference, uses: Sequence[tuple[int, str, Any]]
    ) -> list[tuple[int, str, Supplied]]:
        others = [other for _, _, value in uses for other in wrong_key_type.alternatives(value)]
        there = await look_up(self._store, reference.target.collection, reference.field, others)
        found = []
        for index, path, value in uses:
            known = [each for each in wrong_key_type.alternatives(value) if key(each) in there]
            if len(known) == 1:
                found.append((index, path, Supplied(known[0])))
            else:
                why = "keys of several types are written like it" if known else "no key is written like it any more"
                found.append((index, path, Supplied(reason=why)))
        return found


def _original(copy: Copy, owner: Document, steps: tuple[str, ...], wrong: set[str]) -> Supplied:
    # A copy of what is wrong would be wrong too, and look as if it had been looked at.
    if touched(steps, wrong):
        return Supplied(reason=f"the owner is to be mended first: {copy.via.target.collection}.{copy.field}")
    return Supplied(as_copy(copy, value_at(owner, steps)))


def _vias(entry: Entry, document: Document, violation: Violation) -> Iterable[tuple[Copy, Path, Any]]:
    """Yield the copy that a violation is in, where it stands, and what names its owner."""
    for copy in entry.copies:
        if violation.field == copy.path or violation.field.startswith((f"{copy.path}.", f"{copy.path}[")):
            for path, _, _, via in copied(copy, document):
                at = dotted(path)
                within = violation.path == at or violation.path.startswith(f"{at}.")
                if within and via is not None and via is not ABSENT:
                    yield copy, path, via


def _values(entry: Entry, document: Document, violation: Violation) -> Iterable[tuple[Reference, Any]]:
    for reference in entry.references:
        if reference.path == violation.field:
            for path, value in values_at(document, reference.place.steps):
                if dotted(path) == violation.path:
                    yield reference, value
