"""Resolving the markers of a model: the names that they give, and what they may not say.

Every contradiction is refused with both sides and the way out.
"""

from __future__ import annotations

from collections.abc import Mapping

from integrity.declare import multikey, shape
from integrity.declare.constraint import CopyOf, Immutable, Marker, Owner, Ref, Unique
from integrity.declare.entry import Copy, Entry, Reference, UniqueKey
from integrity.declare.shape import Place
from integrity.errors import DeclarationError


def uniques(entry: Entry) -> None:
    """Resolve the unique constraints of an entry."""
    for place in entry.places:
        if (found := _only(entry, place, Unique)) is not None:
            if found.fields:
                raise DeclarationError(
                    f"{entry.name}.{place.path}: {_shown(found)} names fields; a compound constraint stands "
                    "in the class line: constraints=[Unique(...)]."
                )
            entry.uniques.append(UniqueKey(found, (place,)))
    for unique in entry.model.__integrity__.constraints:
        places = []
        for name in unique.fields:
            found_place = entry.place(name)
            if found_place is None:
                raise DeclarationError(
                    f"{entry.name}: {_shown(unique)} names {name!r}, which is not declared; declare it, or name a "
                    "field that is."
                )
            places.append(found_place)
        if len({each.steps for each in places}) < len(places):
            raise DeclarationError(f"{entry.name}: {_shown(unique)} names a field twice; name each once.")
        entry.uniques.append(UniqueKey(unique, tuple(places)))
    for key in entry.uniques:
        multikey.refuse(entry, key)


def _shown(unique: Unique) -> str:
    return f"Unique({', '.join(map(repr, unique.fields))})"


def references(entry: Entry, entries: Mapping[str, Entry]) -> None:
    """Resolve the references of an entry; every entry's unique constraints are known."""
    for place in entry.places:
        ref = _only(entry, place, Ref)
        if ref is None:
            continue
        where = f"{entry.name}.{place.path}"
        target = _target(where, ref, entries)
        if place.recursive:
            raise DeclarationError(
                f"{where}: a reference inside a model that contains itself stands at paths without number; "
                "keep the tree's nodes as documents of their own."
            )
        found = target.place(ref.field)
        if found is None:
            raise DeclarationError(
                f"{where} refers to {target.name}.{ref.field}, which is not declared; declare it, or refer to the id."
            )
        if found.steps != ("_id",) and not any(
            len(each.places) == 1 and each.places[0].steps == found.steps for each in target.uniques
        ):
            raise DeclarationError(
                f"{where} refers to {target.name}.{ref.field}, which is not unique; refer to its id, or declare "
                f"{target.name}.{ref.field}: Annotated[..., Unique()]."
            )
        _single(where, place, target, found)
        reference = Reference(entry, place, ref, target, ".".join(found.steps))
        if ref.on_delete == "set_null" and not reference.nullable:
            raise DeclarationError(
                f'{where} says on_delete="set_null" and its type has no null; declare it as `... | None`, or '
                'choose "restrict" or "cascade".'
            )
        _changeable(reference)
        if _alike(reference):
            continue
        entry.references.append(reference)
        target.referrers.append(reference)


def _single(where: str, place: Place, target: Entry, key: Place) -> None:
    """Refuse a reference where something may stand that is no key: a marker is about everything at its place."""
    if place.node.arrays and not key.node.arrays:
        raise DeclarationError(
            f"{where} is a reference to {target.name}.{key.path}, and an array may stand there, which is no key; mark "
            "the elements, list[Annotated[..., Ref(...)]], and keep a single key in a field of its own."
        )
    if place.node.objects and not (key.node.objects or key.node.anything):
        raise DeclarationError(
            f"{where} is a reference to {target.name}.{key.path}, and an object may stand there, which is no key; mark "
            "the object's own field, and keep a single key in a field of its own."
        )


def _alike(reference: Reference) -> bool:
    """Whether the members of a union say the same reference of one stored path, so that once is enough."""
    for other in reference.entry.references:
        if other.place.steps != reference.place.steps:
            continue
        if (other.ref, other.target) == (reference.ref, reference.target):
            return True
        raise DeclarationError(
            f"{reference} refers to {other.target.name}.{other.ref.field} in one member of a union and to "
            f"{reference.target.name}.{reference.ref.field} in another, or with other policies; give the two fields "
            "names of their own."
        )
    return False


def keys(entry: Entry) -> None:
    """Refuse what would take a key away that others refer to; every entry's references are known."""
    for reference in entry.references:
        if reference.ref.on_delete != "set_null":
            continue
        for other in entry.referrers:
            if other.field == ".".join(reference.place.steps) and other.ref.on_update != "no_action":
                raise DeclarationError(
                    f'{reference} says on_delete="set_null", and {other} refers to it: it would be left dangling; '
                    'choose "restrict" or "cascade" for the first, or let the second refer to the id.'
                )


def _changeable(reference: Reference) -> None:
    """Refuse to change, on a delete or an update, a reference that never changes."""
    ref, place = reference.ref, reference.place
    acts = ['on_delete="set_null"'] * (ref.on_delete == "set_null")
    acts += ['on_update="cascade"'] * (ref.on_update == "cascade")
    for act in acts:
        if place.steps[0] == "_id":
            raise DeclarationError(f'{reference} says {act}, and an _id never changes; choose "restrict".')
        if place.node.marker(Immutable):
            raise DeclarationError(f"{reference} says {act} and is Immutable(); take one of the two away.")
    if ref.on_delete == "set_null" and reference.fixed and not place.node.nullable:
        raise DeclarationError(
            f'{reference} says on_delete="set_null", and a tuple cannot lose an element; declare a list, or the '
            "element as `... | None`."
        )
    if ref.on_delete == "set_null" and place.steps[-1] == "[]" and not _may_be_empty(reference):
        raise DeclarationError(
            f'{reference} says on_delete="set_null", which takes elements out of the array, and it may not be empty; '
            'declare Annotated[list[...], Allow([])] without a min_length, or choose "restrict" or "cascade".'
        )


def _may_be_empty(reference: Reference) -> bool:
    """Whether nothing is wrong with the array of a reference when its last element is gone."""
    entry, steps = reference.entry, reference.place.steps[:-1]
    outer = entry.node(steps)
    if outer is None or any(each.least for each in outer.arrays):
        return False
    policy = entry.policy
    for end in range(1, len(steps)):
        above = entry.node(steps[:end])
        for each in above.objects if above is not None else ():
            policy = each.policy or policy
    return policy.allow_empty_containers or outer.admits([])


def _target(where: str, ref: Ref, entries: Mapping[str, Entry]) -> Entry:
    found = entries.get(ref.target_name)
    if found is None or (isinstance(ref.target, type) and found.model is not ref.target):
        known = ", ".join(sorted(entries))
        raise DeclarationError(f"{where} refers to {ref.target_name}, which is not among the models ({known}); add it.")
    return found


def copies(entry: Entry) -> None:
    """Resolve the copies of an entry; its references are known."""
    for place in entry.places:
        marker = _only(entry, place, CopyOf)
        if marker is None:
            continue
        where = f"{entry.name}.{place.path}"
        via = _via(entry, place, marker)
        if via is None:
            raise DeclarationError(
                f"{where} is a copy via {marker.via!r}, which is no reference; declare {entry.name}.{marker.via}: "
                f"Annotated[..., Ref({marker.target_name!r})]."
            )
        if via.target.name != marker.target_name:
            raise DeclarationError(
                f"{where} is a copy of {marker.target_name}.{marker.field} via {via.path!r}, which refers to "
                f"{via.target.name}; name a reference to {marker.target_name}."
            )
        original = via.target.place(marker.field)
        if original is None:
            raise DeclarationError(
                f"{where} is a copy of {marker.target_name}.{marker.field}, which is not declared; "
                "declare it, or name a field that is."
            )
        if place.node.marker(Owner):
            raise DeclarationError(
                f"{where} has two owners: it is a copy of {marker.target_name}.{marker.field} and has an "
                "Owner(...); take the Owner away, the copy belongs to its original's owner."
            )
        if place.node.marker(Immutable):
            raise DeclarationError(
                f"{where} is a copy and Immutable(): a copy changes with its owner; take one of the two away. What is "
                "to stay as it was when the document was written is no copy: declare it as a field of its own."
            )
        copied = next((each for each in via.target.references if each.place.steps == original.steps), None)
        acts = ['on_delete="set_null"'] * (copied is not None and copied.ref.on_delete == "set_null")
        acts += ['on_update="cascade"'] * (copied is not None and copied.ref.on_update == "cascade")
        if acts:
            raise DeclarationError(
                f"{where} is a copy of {marker.target_name}.{marker.field}, which is a reference and says {acts[0]}: "
                'it would change without its owner being written; choose "restrict" there, or copy another field.'
            )
        copy = Copy(entry, place, via, ".".join(original.steps))
        entry.copies.append(copy)
        via.target.copied.append(copy)


def _only(entry: Entry, place: Place, kind: type[shape.M]) -> shape.M | None:
    """Return the place's marker of a kind; two of one kind contradict each other."""
    found: list[Marker] = list(dict.fromkeys(each for each in place.node.markers if isinstance(each, kind)))
    if len(found) > 1:
        word = "owners" if kind is CopyOf else f"{kind.__name__} markers"
        raise DeclarationError(f"{entry.name}.{place.path} has two {word}: {found[0]!r} and {found[1]!r}; keep one.")
    return found[0] if found else None  # type: ignore[return-value]  # filtered by kind


def _via(entry: Entry, place: Place, marker: CopyOf) -> Reference | None:
    """Find the copy's reference: beside the copy first, then from the top of the document."""
    named = tuple(part for step in marker.via.split(".") for part in _array_steps(step))
    enclosing = place.steps[:-1]
    while True:
        steps = (*enclosing, *named)
        for each in entry.references:
            if each.place.steps == steps or _attributes(entry, each.place) == (
                *_attributes(entry, Place(enclosing, place.node, None)),
                *named,
            ):
                return each
        if not enclosing:
            return None
        enclosing = enclosing[:-1]


def _array_steps(step: str) -> tuple[str, ...]:
    return (step.removesuffix("[]"), "[]") if step.endswith("[]") else (step,)


def _attributes(entry: Entry, place: Place) -> tuple[str, ...]:
    """The steps of a place by Python's names."""
    names = {each.steps: each.field.attribute if each.field else each.steps[-1] for each in entry.places}
    return tuple(names.get(place.steps[: end + 1], step) for end, step in enumerate(place.steps))


def owners(entry: Entry) -> None:
    """Refuse two owners of one field."""
    owned = {each.steps: owner for each in entry.places if (owner := _only(entry, each, Owner))}
    for steps, owner in owned.items():
        for end in range(1, len(steps)):
            outer = owned.get(steps[:end])
            if outer is not None and outer.actors != owner.actors:
                raise DeclarationError(
                    f"{entry.name}.{shape.declared_path(steps)} has two owners: {', '.join(owner.actors)}, and "
                    f"{', '.join(outer.actors)} by {entry.name}.{shape.declared_path(steps[:end])}; keep one."
                )
