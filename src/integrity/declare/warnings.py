"""What declarations allow and may surprise: told by ``db.check()`` and ``integrity check``, refused by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from integrity.declare.constraint import Owner
from integrity.declare.registry import Entry, Reference, Registry

#: The part of all models that a cascade may reach before it is worth a word, and the fewest models for that.
LARGE = 0.5
FEWEST = 4


@dataclass(frozen=True)
class Caution:
    """Something that is worth a thought.

    Args:
        name: What it is about, in kebab-case.
        subject: The model or field.
        message: One sentence that says what it is.
        hint: One sentence that says what could be done.
    """

    name: str
    subject: str
    message: str
    hint: str

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict."""
        return {"name": self.name, "subject": self.subject, "message": self.message, "hint": self.hint}

    def __str__(self) -> str:
        return f"{self.subject}: {self.message} {self.hint}"


def check(registry: Registry) -> list[Caution]:
    """Return what is worth a thought about declarations that do not contradict each other.

    Args:
        registry: The models.
    """
    return [each for entry in registry for each in _entry(registry, entry)]


def _entry(registry: Registry, entry: Entry) -> Iterator[Caution]:
    for reference in entry.references:
        yield from _unindexed(reference)
        yield from _whole_document(reference)
        if reference.ref.on_delete == "no_action":
            yield Caution(
                "left-dangling",
                str(reference),
                f"is left dangling when its {reference.target.name} is deleted.",
                'Choose "restrict", "cascade" or "set_null", unless something else repairs it.',
            )
    yield from _uninsertable(entry)
    reached = _reached(entry)
    if len(reached) >= FEWEST and len(reached) > LARGE * len(registry):
        names = ", ".join(sorted(reached))
        yield Caution(
            "far-reaching-cascade",
            entry.name,
            f"is the root of a cascade that may reach {len(reached)} of {len(registry)} models ({names}).",
            'Say on_delete="restrict" where documents are worth keeping; `integrity plan-delete` shows what one takes.',
        )
    circle = _circle(entry)
    if circle:
        yield Caution(
            "cascade-in-a-circle",
            entry.name,
            f"deletes from itself by a cascade in a circle ({' → '.join(circle)}): one delete may take a long chain.",
            "Look at `integrity plan-delete` before deleting.",
        )


def _uninsertable(entry: Entry) -> Iterator[Caution]:
    """Tell of required fields that who inserts may not write: docs/decisions/required-and-owned-by-another.md."""
    for place in entry.places:
        owner = place.node.marker(Owner)
        if owner is None or not entry.owner or place.field is None or not place.field.required:
            continue
        if "[]" in place.steps or "*" in place.steps or set(entry.owner) & set(owner.actors):
            continue
        yield Caution(
            "required-and-owned-by-another",
            f"{entry.name}.{place.path}",
            f"is required and belongs to {' or '.join(owner.actors)}, while {' or '.join(entry.owner)} inserts the "
            'documents: nobody but actor="*" can insert one.',
            "Give it a default, such as `... | None = None`, which stands until its owner has written it.",
        )


def _unindexed(reference: Reference) -> Iterator[Caution]:
    if "*" in reference.place.steps:
        yield Caution(
            "unindexed-reference",
            str(reference),
            f"stands in a mapping, where no index finds it: deleting a {reference.target.name} reads the whole "
            f"collection {reference.entry.collection}.",
            "Keep the references in a list of objects.",
        )


def _whole_document(reference: Reference) -> Iterator[Caution]:
    if reference.ref.on_delete == "cascade" and "[]" in reference.place.steps:
        yield Caution(
            "cascade-from-an-element",
            str(reference),
            f"deletes the whole {reference.entry.name} when one of the {reference.target.name} that its array names "
            "is deleted.",
            'To take the element out of the array instead, say on_delete="set_null".',
        )


def _reached(entry: Entry) -> set[str]:
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        for reference in waiting.pop().referrers:
            if reference.ref.on_delete == "cascade" and reference.entry.name not in found:
                found.add(reference.entry.name)
                waiting.append(reference.entry)
    return found


def _circle(entry: Entry) -> list[str]:
    """Return the models of a cascade from a model back to itself, or nothing."""
    paths: list[tuple[Entry, list[str]]] = [(entry, [entry.name])]
    seen: set[str] = set()
    while paths:
        at, path = paths.pop()
        for reference in at.referrers:
            if reference.ref.on_delete != "cascade":
                continue
            if reference.entry is entry:
                return [*path, entry.name]
            if reference.entry.name not in seen:
                seen.add(reference.entry.name)
                paths.append((reference.entry, [*path, reference.entry.name]))
    return []
