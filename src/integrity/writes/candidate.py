"""A candidate: a document that is offered, made what would be stored, with everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, RootModel

from integrity.declare import codec
from integrity.declare.extract import Path, value_at, values_at
from integrity.rules.judge import Verdict, dotted
from integrity.rules.ownership import foreign_write
from integrity.rules.rule import At
from integrity.rules.schema import missing_field
from integrity.store.port import Document
from integrity.violation import Violation
from integrity.writes import derived
from integrity.writes.copies import Originals, faults, fill, late, lead, originals
from integrity.writes.transaction import joins
from integrity.writes.unique import repeated

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

Offered = Mapping[str, Any] | BaseModel


async def candidates(
    guard: Guard,
    offered: Sequence[Offered],
    session: Any = None,
    *,
    revisions: Sequence[int] | None = None,
    foreign: bool = True,
) -> list[Verdict]:
    """Return the verdict over each document, by every rule but its references'.

    Args:
        guard: The model's guard.
        offered: The documents, or instances of the model.
        session: The session to look originals up in; None for none.
        revisions: The revision that each is stored with; None for the first.
        foreign: Whether what belongs to others is refused; a replacement compares it with what is stored.

    Raises:
        TypeError: One of them is neither a mapping nor an instance of a model.
    """
    all_offerable(guard, offered)
    trespass = guard.trespass("inserted" if revisions is None else "replaced") if foreign else None
    if guard.judged and trespass is None:
        return [guard.judge.offered(each) for each in offered]
    if guard.entry.copies and not joins(session):
        await guard.copies.lazily(guard.store)
    documents = [given(each, guard.filled) for each in offered]
    _left_to_others(guard, documents, offered)
    trespasses = [_trespasses(guard, each, trespass, foreign=foreign) for each in documents]
    known = await _originals(guard, documents, session)
    verdicts: list[Verdict] = []
    computed: list[list[Violation]] = []
    for index, document in enumerate(documents):
        if guard.entry.revision is not None:
            document[guard.entry.revision.steps[-1]] = 0 if revisions is None else revisions[index]
        fill(guard, document, known)
        wrong = []
        if guard.entry.derived:
            if isinstance(offered[index], BaseModel):
                derived.strip(guard.entry, document)
            wrong = derived.settle(guard.entry, document)
        computed.append(wrong)
        verdicts.append(guard.judge.offered(document))
    if known:
        known = await _followed(guard, verdicts, computed, known, session)
    made = []
    for index, verdict in enumerate(verdicts):
        found = [
            *trespasses[index],
            *_but(computed[index], derived.without_echo(guard.entry, verdict.violations)),
            *faults(guard, verdict.document, known),
        ]
        if guard.repeated:
            found += repeated(guard.entry, verdict.document)
        if guard.foreign:
            found = [_way_out(guard, each) for each in found]
        made.append(Verdict(verdict.document, tuple(once(found))))
    return made


async def _originals(guard: Guard, documents: Sequence[Document], session: Any) -> Originals:
    """Return what the copies follow, also by a reference that is left to its default."""
    if not guard.entry.copies:
        return {}
    for each in documents:
        lead(guard, each)
    return await originals(guard, documents, session)


async def _followed(
    guard: Guard, verdicts: list[Verdict], computed: list[list[Violation]], known: Originals, session: Any
) -> Originals:
    """Fill, in place, the copies that follow what only the judge has made; return all originals that are known."""
    behind = [at for at, each in enumerate(verdicts) if not each.violations and late(each.document, known)]
    if not behind:
        return known
    more = await originals(guard, [verdicts[at].document for at in behind], session)
    known = {copy: {**owners, **more[copy]} for copy, owners in known.items()}
    for at in behind:
        document = verdicts[at].document
        fill(guard, document, known)
        computed[at] += derived.recompute(guard.entry, document)
        verdicts[at] = Verdict(document, guard.judge.stored(document))
    return known


def all_clean(guard: Guard, offered: Sequence[Offered]) -> list[Document] | None:
    """Return what is stored of documents that are to be inserted, where the judge alone tells all of them to be clean.

    None says nothing: they are to be judged by `candidates`.

    Args:
        guard: The model's guard.
        offered: The documents, or instances of the model.

    Raises:
        TypeError: One of them is neither a mapping nor an instance of a model.
    """
    all_offerable(guard, offered)
    return guard.judge.clean(offered) if guard.judged else None


def all_offerable(guard: Guard, offered: Sequence[Offered]) -> None:
    """Refuse what is no document among those that are offered.

    Raises:
        TypeError: One of them is neither a mapping nor an instance of a model.
    """
    for each in offered:
        if type(each) is not dict:
            offerable(guard, each)


def offerable(guard: Guard, offered: object) -> None:
    """Refuse what is no document.

    Raises:
        TypeError: It is neither a mapping nor an instance of a model.
    """
    if not isinstance(offered, Mapping | BaseModel):
        raise TypeError(
            f"A document of {guard.entry.name} is a mapping or an instance of it, not {type(offered).__name__}."
        )


def settled(guard: Guard, verdict: Verdict, references: Sequence[Violation]) -> Verdict:
    """Return the verdict with what is wrong with the document's references: one violation a path.

    A copy that is missing because what it is a copy of does not exist is not reported beside the reference.
    """
    if not references:
        return verdict
    found = verdict.violations
    if guard.entry.copies:
        broken = {each.field for each in references}
        filled = {each.path for each in guard.entry.copies if each.via.path in broken}
        found = tuple(each for each in found if not (each.code == missing_field.RULE.code and each.field in filled))
    return Verdict(verdict.document, tuple(once([*found, *references])))


def named(document: object, made: Document) -> None:
    """Give the caller's document the ``_id`` that was generated for it, as PyMongo does."""
    if not (type(document) is dict or isinstance(document, MutableMapping)):
        return
    if "_id" in made and "_id" not in document and ("id" not in document or "id" in made):
        document["_id"] = made["_id"]


def once(violations: Sequence[Violation]) -> Iterator[Violation]:
    """Yield one violation a path: the first, in the order of the families that the caller has put them in."""
    seen: set[str] = set()
    for each in violations:
        if each.path not in seen or not each.path:
            seen.add(each.path)
            yield each


def given(offered: Offered, left: frozenset[str] = frozenset()) -> Document:
    """Return a copy of what was offered, that is free to be changed.

    Args:
        offered: The document, or an instance of the model.
        left: The stored names of fields that the write itself fills in where an instance has no more than its default.
            Any other default is the instance's: the caller knows a generated value by it.
    """
    if isinstance(offered, BaseModel):
        plain: Document = codec.plain(offered)
        if not left:
            return plain
        names = dict(codec.stored_names(type(offered)))
        unset = {name for attribute, name in names.items() if attribute not in offered.model_fields_set}
        return {name: value for name, value in plain.items() if name not in left or name not in unset}
    return {name: codec.plain(value) for name, value in offered.items()}


def _left_to_others(guard: Guard, documents: Sequence[Document], offered: Sequence[Offered]) -> None:
    """Leave out, in place, defaults of another owner's fields that nobody has set: the write makes them anew."""
    for place, _ in guard.foreign:
        for document, whole in zip(documents, offered, strict=True):
            for path, _ in list(values_at(document, place.steps)):
                holder, name = value_at(document, path[:-1]), path[-1]
                source = _at(whole, path[:-1])
                if not (isinstance(source, BaseModel) and isinstance(holder, dict)):
                    continue
                attribute = next((each for each, stored in codec.stored_names(type(source)) if stored == name), None)
                if attribute is not None and attribute not in source.model_fields_set:
                    del holder[name]


def _at(offered: Any, path: Path) -> Any:
    """Return what stands at a stored path of what was offered, instances as they are; None where it is not told."""
    for step in path:
        offered = _unwrapped(offered)
        if isinstance(offered, BaseModel):
            names = {stored: attribute for attribute, stored in codec.stored_names(type(offered))}
            offered = offered.__dict__.get(names.get(str(step), ""))
        elif isinstance(offered, Mapping):
            offered = offered.get(step)
        elif isinstance(offered, list | tuple) and isinstance(step, int):
            offered = offered[step]
        else:
            return None
    return _unwrapped(offered)


def _unwrapped(value: Any) -> Any:
    while isinstance(value, RootModel):
        value = value.root
    return value


def _way_out(guard: Guard, violation: Violation) -> Violation:
    """Say, of a missing field that the actor may not write, what its declaration lacks."""
    owner = next((owner for place, owner in guard.foreign if place.path == violation.field), None)
    if owner is None or violation.code != missing_field.RULE.code:
        return violation
    who = " or ".join(map(repr, owner.actors))
    hint = f"It belongs to {who}: declare a default, which stands until they have written it."
    return replace(violation, hint=hint)


def _but(computed: Sequence[Violation], violations: Sequence[Violation]) -> list[Violation]:
    """Return what is wrong with derived values before what is wrong with the rest, once a path."""
    paths = {each.path for each in computed}
    return [*computed, *(each for each in violations if each.path not in paths)]


def _trespasses(guard: Guard, document: Document, whole: Violation | None, *, foreign: bool) -> list[Violation]:
    found = [] if whole is None else [replace(whole, id=document.get("_id"))]
    for place, owner in guard.foreign if foreign else ():
        for path, _ in values_at(document, place.steps):
            at = At(guard.collection, document.get("_id"), dotted(path), place.path)
            found.append(foreign_write.RULE.violation(at, foreign_write.fault(guard.actor, owner.actors, "written")))
    return found
