"""References: values that are found among the keys of another collection, more often than chance explains.

Small integers are found in every dense range of ids. What counts is how much more often they are found than a number
drawn from the range would be; where a range has no gaps, only the field's name can tell.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from bson import DBRef

from integrity.infer.found import CollectionFound, Found, Link, Steps
from integrity.infer.naming import names_a_key, related
from integrity.infer.profile import Profile, scalars
from integrity.store.lookup import look_up
from integrity.store.port import Store

#: The share of values, and of distinct values, that must be found.
INCLUDED, DISTINCT = 0.8, 0.6
#: How far above chance the share of distinct values must be.
ABOVE_CHANCE = 0.75
#: Fewer distinct values than these prove nothing, without and with a name that says it.
FEW, FEW_NAMED = 5, 2
#: The least share of distinct values among the keys that texts may refer to.
KEY_LIKE = 0.9
#: Distinct values that are looked up.
LOOKED_UP = 2000

_KEYS = frozenset({"int", "long", "string", "objectId", "uuid", "binData", "decimal", "double"})


async def find_links(store: Store, found: Found) -> list[Link]:
    """Return the reference of each place that has one: the best target of those that hold its values."""
    links = []
    targets = [target for each in found.collections.values() for target in _targets(each)]
    for each in found.collections.values():
        for steps, profile in scalars(each.profile):
            if steps == ("_id",) or "*" in steps or not _may_refer(profile):
                continue
            link, by_chance = await _best(store, each, steps, profile, targets)
            if link is not None:
                links.append(link)
            elif by_chance:
                note = f"found in {' and '.join(sorted(by_chance))}, as any number of that size would be"
                found.notes.setdefault((each.name, steps), []).append(note)
    return links


def _may_refer(profile: Profile) -> bool:
    return len(profile.values) >= FEW_NAMED and set(profile.types) & _KEYS != set()


class _Target:
    """A field whose values may be keys."""

    def __init__(self, collection: CollectionFound, field: str, profile: Profile) -> None:
        self.collection = collection
        self.field = field
        self.profile = profile
        self.types = {_kind(each) for each in profile.types}

    @property
    def whole(self) -> bool:
        """Whether all its values are known."""
        return self.collection.whole and not self.profile.overflow

    def density(self) -> float:
        """The share of its range that integer keys fill: how often a number is among them by chance."""
        numbers = [each for each in self.profile.shown.values() if isinstance(each, int) and not isinstance(each, bool)]
        if not numbers or self.types != {"number"}:
            return 0.0
        filled = self.collection.documents / (max(numbers) - min(numbers) + 1)
        return min(1.0, filled)


def _targets(collection: CollectionFound) -> Iterator[_Target]:
    for name, profile in collection.profile.fields.items():
        if (name == "_id" and profile.scalars) or (
            profile.types.keys() <= {"string"}
            and len(profile.values) >= FEW
            and profile.distinct >= KEY_LIKE
            and profile.valid >= collection.profile.present * 0.5
        ):
            yield _Target(collection, name, profile)


async def _best(
    store: Store, source: CollectionFound, steps: Steps, profile: Profile, targets: Iterable[_Target]
) -> tuple[Link | None, set[str]]:
    """Return the best target of a place, and those that only chance speaks for."""
    by_chance: set[str] = set()
    field = next(step for step in reversed(steps) if step != "[]")
    kinds = {_kind(each) for each in profile.types}
    best: tuple[tuple[bool, float, bool], Link] | None = None
    for target in targets:
        own = target.collection is source
        if (own and steps == (target.field,)) or not kinds & target.types:
            continue
        named = related(field, target.collection.name)
        numbers = target.types == {"number"}
        if len(profile.values) < (FEW_NAMED if named else FEW):
            continue
        if numbers and not named and not names_a_key(field):
            continue
        weighted, distinct = await _inclusion(store, profile, target)
        if weighted < INCLUDED or distinct < DISTINCT:
            continue
        density = target.density()
        above = (distinct - density) / (1 - density) if density < 1 else 0.0
        if not named and above < (ABOVE_CHANCE if numbers else DISTINCT):
            if not own:
                by_chance.add(f"{target.collection.name}.{target.field}")
            continue
        # A name that says it, then how far above chance, then the collection's own key.
        rank = (named, round(above, 2), target.field == "_id")
        link = Link(source.name, steps, target.collection.name, target.field, weighted)
        if best is None or rank > best[0]:
            best = (rank, link)
    return (best[1] if best is not None else None), by_chance


async def _inclusion(store: Store, profile: Profile, target: _Target) -> tuple[float, float]:
    """Return the share of the values, and of the distinct values, that are among a target's keys."""
    chosen = profile.values.most_common(LOOKED_UP)
    known: set[Hashable] | dict[Hashable, Any]
    if target.whole:
        known = set(target.profile.values)
    else:
        keys = [profile.shown[at] for at, _ in chosen if not isinstance(profile.shown[at], DBRef)]
        known = await look_up(store, target.collection.name, target.field, keys)
    hits = [(at, count) for at, count in chosen if at in known]
    total = sum(count for _, count in chosen)
    return sum(count for _, count in hits) / total, len(hits) / len(chosen)


def _kind(name: str) -> str:
    return "number" if name in {"int", "long", "double", "decimal"} else name
