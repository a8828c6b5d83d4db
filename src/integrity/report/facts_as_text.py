"""The map of facts as text: a block a collection, a line a field that is not simply its model's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from integrity.declare.facts import Collection, Fact


def write(collections: Sequence[Collection]) -> str:
    """Return the map as text."""
    return "\n\n".join("\n".join(_lines(each)) for each in collections) + "\n"


def _lines(collection: Collection) -> Iterator[str]:
    yield f"{collection.name} ({collection.model}): {who(collection.owner)}"
    plain = [each.path for each in collection.facts if not _said(each, collection)]
    if plain:
        yield f"  {', '.join(plain)}"
    for each in collection.facts:
        if said := _said(each, collection):
            yield f"  {each.path}: {'; '.join(said)}"


def _said(fact: Fact, collection: Collection) -> list[str]:
    said = []
    if fact.kind == "copy":
        said.append(f"a copy of {fact.source} via {fact.via}")
        if fact.root != fact.source:
            said.append(f"which follows {fact.root}")
    elif fact.kind != "original":
        said.append({"derived": "derived from its own document", "revision": "counts the writes"}[fact.kind])
    if fact.refers:
        said.append(f"refers to {fact.refers}, on delete {fact.on_delete}")
    if fact.kind in {"original", "copy"} and fact.owner != collection.owner:
        said.append(f"owned by {' or '.join(fact.owner)}" if fact.owner else "owned by everybody")
    return said


def who(owner: Sequence[str]) -> str:
    """Return who owns something, in words."""
    return f"owned by {' or '.join(owner)}" if owner else "nobody owns it: everybody writes"
