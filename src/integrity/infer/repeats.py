"""Suspected copies: a field that says what the document says that a reference beside it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterator
from typing import Any

from integrity.declare.bson_type import alias
from integrity.declare.equality import key
from integrity.declare.extract import values_at
from integrity.infer.found import Found, Link, Repeat, Steps
from integrity.infer.profile import clean
from integrity.store.lookup import look_up
from integrity.store.port import Document, Store

#: Documents that are compared with what they refer to.
COMPARED = 1500
#: The share of them in which the two values must be equal.
EQUAL = 0.9
#: Fewer distinct equal values than these prove nothing.
FEW = 5
#: Fewer documents than these prove nothing.
LEAST = 10

_TYPES = frozenset({"string", "int", "long", "double", "decimal", "date", "objectId", "uuid"})


async def find_repeats(store: Store, found: Found) -> list[Repeat]:
    """Return the suspected copies along every reference; of several originals, the one that is equal most often."""
    best: dict[tuple[str, Steps], Repeat] = {}
    for link in found.links:
        async for each in _along(store, found, link):
            at = (link.collection, each.steps)
            if at not in best or each.equal > best[at].equal:
                best[at] = each
    return list(best.values())


async def _along(store: Store, found: Found, link: Link) -> AsyncIterator[Repeat]:
    enclosing, last = link.steps[:-1], link.steps[-1]
    if last == "[]":
        return  # an element of an array of keys has nothing beside it
    beside = found.collections[link.collection].at(enclosing)
    target = found.collections[link.target].profile
    if beside is None:
        return
    refer = {each.steps for each in found.links if each.collection == link.collection}
    mine = [
        name
        for name, each in beside.fields.items()
        if name not in {last, "_id"}
        and set(each.types) & _TYPES
        and ((*enclosing, name) not in refer or _texts(each.types))
    ]
    theirs = [
        name for name, each in target.fields.items() if name not in {"_id", link.field} and set(each.types) & _TYPES
    ]
    if not mine or not theirs:
        return
    pairs = await _pairs(store, link, enclosing, theirs)
    held = _columns(mine, [holder for holder, _ in pairs])
    named = _columns(theirs, [document for _, document in pairs])
    for name, column in held.items():
        for other, originals in named.items():
            share, many = _equal(column, originals)
            if share >= EQUAL and many >= FEW:
                yield Repeat(link, (*enclosing, name), other, share)


def _columns(names: list[str], documents: list[Document]) -> dict[str, list[Hashable]]:
    """Return what stands at each name, document by document; without what proves nothing: there may be much of it."""
    columns = {name: [_token(each.get(name)) for each in documents] for name in names}
    return {name: each for name, each in columns.items() if _enough(each)}


def _enough(column: list[Hashable]) -> bool:
    values = [each for each in column if each is not None]
    return len(values) >= LEAST and len(set(values)) >= FEW


def _texts(types: Counter[str]) -> bool:
    """Whether texts stand there: a text that is found in another collection may be a copy of a key, not a key."""
    return set(types) <= {"string"}


async def _pairs(store: Store, link: Link, enclosing: Steps, theirs: list[str]) -> list[tuple[Document, Document]]:
    """Return what holds the reference, and what it names."""
    batches = await store.aggregate(link.collection, [{"$sample": {"size": COMPARED}}])
    holders: list[Document] = []
    while batch := await batches.next():
        for document in batch:
            holders += [each for _, each in values_at(document, enclosing) if isinstance(each, dict)]
    keys = [each[link.steps[-1]] for each in holders if link.steps[-1] in each]
    keys = [each for each in keys if alias(each) not in {"null", "object", "array", "regex", "unknown"}]
    known = await look_up(store, link.target, link.field, keys, also=theirs)
    pairs = []
    for each in holders:
        value = each.get(link.steps[-1])
        if value is not None and (named := known.get(key(value))) is not None:
            pairs.append((each, named))
    return pairs


def _equal(held: list[Hashable], named: list[Hashable]) -> tuple[float, int]:
    """Return how often two columns are equal where both have a clean value, and in how many distinct values."""
    both = [
        (mine, original)
        for mine, original in zip(held, named, strict=True)
        if mine is not None and original is not None
    ]
    equal = [mine for mine, original in both if mine == original]
    return (len(equal) / len(both) if len(both) >= LEAST else 0.0), len(set(equal))


def _token(value: Any) -> Hashable:
    """Return what is equal for values that are equal and of one type; None for what is not there or not clean."""
    if value is None or not clean(value):
        return None
    kind = alias(value)
    return ("int" if kind == "long" else kind, key(value))


def without_links(found: Found) -> Iterator[Link]:
    """Yield the references that are not copies: a text that repeats its original is found among the keys too."""
    copied = {(each.link.collection, each.steps) for each in found.repeats}
    through = {(each.link.collection, each.link.steps) for each in found.repeats}
    for each in found.links:
        if (each.collection, each.steps) not in copied or (each.collection, each.steps) in through:
            yield each
