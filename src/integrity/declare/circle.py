"""What may not go round in a circle: copies, and cascades."""

from __future__ import annotations

from collections.abc import Collection

from integrity.declare.entry import Entry
from integrity.errors import DeclarationError


def rootless(entries: Collection[Entry]) -> None:
    """Refuse copies that copy each other: none of them would own the fact."""
    original = {
        (each.entry.name, ".".join(each.place.steps)): (each.via.target.name, each.field)
        for entry in entries
        for each in entry.copies
    }
    for start, copied in original.items():
        seen, at = [start], copied
        while at in original:
            if at in seen:
                chain = " of ".join(f"{model}.{path}" for model, path in [*seen, at])
                raise DeclarationError(f"A copy without an owner: {chain}; make one of them the original.")
            seen.append(at)
            at = original[at]


def endless(entries: Collection[Entry]) -> None:
    """Refuse cascades that run in a circle with no way in or out of it."""
    deletes = {
        each: each.entry.name
        for entry in entries
        for each in entry.references
        if each.ref.on_delete == "cascade" and not each.nullable
    }
    edges: dict[str, list[tuple[str, str]]] = {}
    for each in deletes:
        edges.setdefault(each.entry.name, []).append((each.target.name, str(each)))
    _refuse_circle(
        edges,
        'on_delete="cascade" and no null, so that no document can be the first or the last; declare one of them as '
        "`... | None`, or choose `restrict` for it",
    )
    updates: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        for each in entry.references:
            if each.ref.on_update == "cascade":
                start = f"{entry.name}.{'.'.join(each.place.steps)}"
                updates.setdefault(start, []).append((f"{each.target.name}.{each.field}", str(each)))
    _refuse_circle(
        updates,
        'on_update="cascade", so that one change would go round without an end; choose `restrict` for one of them',
    )


def _refuse_circle(edges: dict[str, list[tuple[str, str]]], why: str) -> None:
    for start in edges:
        paths: list[tuple[str, tuple[str, ...]]] = [(start, ())]
        seen = set()
        while paths:
            at, taken = paths.pop()
            for target, label in edges.get(at, ()):
                if target == start:
                    around = [*taken, label]
                    verb = "has" if len(around) == 1 else "have"
                    raise DeclarationError(f"A cascade without an end: {' and '.join(around)} {verb} {why}.")
                if target not in seen:
                    seen.add(target)
                    paths.append((target, (*taken, label)))
