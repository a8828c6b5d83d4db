"""The map of facts: who owns what, what is copied from where, and which references hold it together. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from integrity.declare.constraint import Owner
from integrity.declare.entry import Copy, Entry, Reference
from integrity.declare.registry import Registry
from integrity.declare.shape import Place


@dataclass(frozen=True)
class Fact:
    """One stored field.

    Args:
        path: Its declared path.
        kind: ``"original"``, ``"copy"``, ``"derived"`` or ``"revision"``.
        owner: The actors that write it; empty for everybody.
        root: For a copy, the original that it follows in the end, such as ``"airports.iata"``.
        source: For a copy, what it is a copy of; the root, or another copy.
        via: For a copy, the declared path of its reference.
        refers: For a reference, what it names, such as ``"airports._id"``.
        on_delete: For a reference, what a delete does.
    """

    path: str
    kind: str
    owner: tuple[str, ...]
    root: str = ""
    source: str = ""
    via: str = ""
    refers: str = ""
    on_delete: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict, without what it has not."""
        found = {"path": self.path, "kind": self.kind, "owner": list(self.owner)}
        more = {name: getattr(self, name) for name in ("root", "source", "via", "refers", "on_delete")}
        return {**found, **{name: value for name, value in more.items() if value}}


@dataclass(frozen=True)
class Collection:
    """The facts of one collection.

    Args:
        name: Its name.
        model: Its model's.
        owner: The actors that insert and delete; empty for everybody.
        facts: Its fields.
    """

    name: str
    model: str
    owner: tuple[str, ...]
    facts: tuple[Fact, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict."""
        return {
            "collection": self.name,
            "model": self.model,
            "owner": list(self.owner),
            "facts": [each.to_json() for each in self.facts],
        }


def facts(registry: Registry) -> list[Collection]:
    """Return the map of facts of a registry."""
    return [Collection(each.collection, each.name, each.owner, tuple(_facts(each))) for each in registry]


def _facts(entry: Entry) -> Iterator[Fact]:
    copies = {each.place.steps: each for each in entry.copies}
    references = {each.place.steps: each for each in entry.references}
    derived = {each.steps for each in entry.derived}
    revision = entry.revision.steps if entry.revision is not None else None
    for place in entry.places:
        if place.steps not in copies and place.steps not in references and _holds(place):
            continue  # what is in it says it
        copy, reference = copies.get(place.steps), references.get(place.steps)
        named = ("", "") if reference is None else (_target(reference), reference.ref.on_delete)
        if copy is not None:
            root = _root(copy)
            owner = _owner(root.via.target, _place(root))
            yield Fact(place.path, "copy", owner, _original(root), _original(copy), copy.via.path, *named)
        else:
            kind = "derived" if place.steps in derived else "revision" if place.steps == revision else "original"
            yield Fact(place.path, kind, _owner(entry, place), refers=named[0], on_delete=named[1])


def _holds(place: Place) -> bool:
    """Whether a place only holds others, which are facts of their own."""
    node = place.node
    return any(each.fields for each in node.objects) or any(
        each.item.objects or each.item.markers for each in node.arrays
    )


def _owner(entry: Entry, place: Place | None) -> tuple[str, ...]:
    """Return who writes a place: its own owner, that of what holds it, or the model's."""
    steps = place.steps if place is not None else ()
    for end in range(len(steps), 0, -1):
        node = entry.node(steps[:end])
        owner = node.marker(Owner) if node is not None else None
        if owner is not None:
            return owner.actors
    return entry.owner


def _root(copy: Copy) -> Copy:
    """Return the copy of the original itself, at the end of a chain of copies."""
    while above := [each for each in copy.via.target.copies if ".".join(each.place.steps) == copy.field]:
        copy = above[0]
    return copy


def _place(copy: Copy) -> Place | None:
    return copy.via.target.place(copy.field)


def _original(copy: Copy) -> str:
    return f"{copy.via.target.collection}.{copy.field}"


def _target(reference: Reference) -> str:
    return f"{reference.target.collection}.{reference.field}"
