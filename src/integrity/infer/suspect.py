"""Copies that no model declares, suspected from data: along declared references, values that always agree."""

from __future__ import annotations

from integrity.declare.registry import Registry
from integrity.infer.found import Found, Link, Repeat
from integrity.infer.repeats import find_repeats
from integrity.infer.sample import read
from integrity.store.port import Store

#: The share of the compared documents in which the two values must agree.
AGREE = 0.99
#: Documents that are read of each collection, to know its fields.
SAMPLE = 2000


async def suspects(store: Store, registry: Registry) -> list[Repeat]:
    """Return the pairs of fields that agree along a reference, and that no declaration calls a copy. Reads only.

    Of each reference, up to 1,500 documents chosen at random are compared with what they refer to, where both have a
    value. A field that agrees with several of the target is reported with the one that it agrees with most often.

    Args:
        store: The database.
        registry: The models.
    """
    found = Found(store.name, {each.collection: await read(store, each.collection, SAMPLE) for each in registry})
    found.links = [
        Link(each.collection, reference.place.steps, reference.target.collection, reference.field, 1.0)
        for each in registry
        for reference in each.references
    ]
    declared = {(each.collection, copy.place.steps) for each in registry for copy in each.copies}
    repeats = await find_repeats(store, found)
    return [each for each in repeats if each.equal >= AGREE and (each.link.collection, each.steps) not in declared]
