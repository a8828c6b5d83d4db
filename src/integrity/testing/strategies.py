"""Documents that a model accepts, as a strategy for Hypothesis.

What may stand at each place is drawn from the declared shape and its limits, and judged by the model's own rules: what
they refuse is not drawn. So a document that is drawn is one that an insert accepts, but for what others decide: that
its references lead somewhere, and that its unique values are.

Source: https://hypothesis.readthedocs.io/en/latest/reference/strategies.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from integrity.declare.constraint import Allow, CopyOf, Derived, Marker, Revision, Unique
from integrity.declare.extract import ABSENT, values_at
from integrity.declare.model import Model
from integrity.declare.registry import Entry
from integrity.declare.shape import Array, Node, Object, coerces
from integrity.declare.slot import VALUE, Slot, root, slot_at
from integrity.errors import DeclarationError
from integrity.facade.guards import Given, registry
from integrity.repair.place import changed
from integrity.rules.judge import Judge
from integrity.testing.scalars import names, scalars
from integrity.writes.copies.spots import spots
from integrity.writes.unique import repeated

Document = dict[str, Any]

#: Elements, and fields of a mapping, beyond the fewest that are valid.
_MORE = 3
#: How often a model stands inside itself.
_DEEP = 2
#: Fields that the library fills.
_FILLED: tuple[type[Marker], ...] = (CopyOf, Derived, Revision)


def documents(model: type[Model], models: Given | None = None, **fields: Any) -> SearchStrategy[Document]:
    """Return a strategy for documents of a model, as they are stored.

    Copies are left out: the library fills them from their owners on a write.

    Args:
        model: The model.
        models: All models that it is declared with, as `integrity.connect` takes them; itself alone without.
        **fields: What fields hold, by their stored names, as values or as strategies: the keys of documents that are
            there, for a reference.

    Raises:
        DeclarationError: The declarations contradict each other, have no such field, or nothing is known that they
            accept.
    """
    entry = registry([model] if models is None else models, None).entry(model)
    if unknown := fields.keys() - entry.document.fields.keys():
        raise DeclarationError(f"{entry.name} has no field {min(unknown)!r}; name those of its stored documents.")
    judge = Judge(entry)
    given = {name: each if isinstance(each, SearchStrategy) else st.just(each) for name, each in fields.items()}
    try:
        drawn = _object(root(entry), entry.document, (), given)
    except _UnknownError as error:
        raise DeclarationError(
            f"{entry.name}.{error}: what it accepts is not known; give it a strategy: documents({entry.name}, "
            f"{str(error).split('.')[0].removesuffix('[]')}=...)."
        ) from None
    accepted = (
        _with_copies(entry, drawn)
        .map(judge.offered)
        .filter(lambda verdict: not verdict.violations and not repeated(entry, verdict.document))
    )
    return accepted.map(lambda verdict: _without_copies(entry, verdict.document))


def _with_copies(entry: Entry, drawn: SearchStrategy[Document]) -> SearchStrategy[Document]:
    """Draw copies too, since a document is judged with them: what their owners hold is not known here."""
    if not entry.copies:
        return drawn
    copies = st.tuples(*(_value(slot_at(entry, each.place.steps), ()) for each in entry.copies))

    def filled(document: Document, values: tuple[Any, ...]) -> Document:
        for copy, value in zip(entry.copies, values, strict=True):
            for spot in list(spots(copy, document)):
                document = changed(document, spot.path, value)
        return document

    return st.builds(filled, drawn, copies)


def _without_copies(entry: Entry, document: Document) -> Document:
    for copy in entry.copies:
        for path, _ in values_at(document, copy.place.steps):
            document = changed(document, path, ABSENT)
    return document


class _UnknownError(Exception):
    """A place of which nothing is known that it accepts."""


_Above = tuple[Object | Array, ...]


def _object(
    slot: Slot, declared: Object, above: _Above, given: dict[str, SearchStrategy[Any]]
) -> SearchStrategy[Document]:
    if above.count(declared) >= _DEEP:
        raise _UnknownError(slot.path)
    above = (*above, declared)
    if declared.mapping:
        return _mapping(slot, declared, above)
    required: dict[str, SearchStrategy[Any]] = {}
    optional: dict[str, SearchStrategy[Any]] = {}
    for name, each in declared.fields.items():
        if name in given:
            required[name] = given[name]
        elif each.required and each.node.marker(Revision):
            required[name] = st.just(0)  # as a document is inserted
        elif not any(each.node.marker(kind) for kind in _FILLED):
            # A default that is made anew each time would be another in every run.
            wanted = required if each.required or "default_factory" in (each.default or {}) else optional
            try:
                wanted[name] = _value(slot.child(name, declared), above)
            except _UnknownError:
                if each.required:
                    raise
    return st.fixed_dictionaries(required, optional=optional)


def _mapping(slot: Slot, declared: Object, above: _Above) -> SearchStrategy[Document]:
    least = max(declared.least, 0 if slot.may_be_empty else 1)
    schema = slot.bare.schema or {}
    keys = _bared(slot, schema.get("keys_schema")) if schema.get("type") == "dict" else {}
    most = declared.most if declared.most is not None else least + _MORE
    return st.dictionaries(names(keys), _value(slot.child("*", declared), above), min_size=least, max_size=most)


def _value(slot: Slot, above: _Above) -> SearchStrategy[Any]:
    ways = list(_ways(slot, above))
    if not ways:
        raise _UnknownError(slot.path)
    drawn = st.one_of(ways)
    if not slot.known or slot.node.objects or slot.node.arrays:
        return drawn  # what is inside is judged there, and the document as a whole
    judge = Judge(slot.judged)
    return drawn.filter(lambda value: not judge.offered({VALUE: value}).violations)


def _ways(slot: Slot, above: _Above) -> Iterator[SearchStrategy[Any]]:
    """Yield what may stand at a place, each kind by itself."""
    node = slot.node
    if node.nullable and slot.steps != ("_id",):
        yield st.none()
    allowed = node.marker(Allow)
    named = [*node.literals, *(allowed.values if allowed is not None else ())]
    if named:
        yield st.sampled_from(named)
    limits = _limits(slot)
    if not node.literals:
        yield from scalars(limits, node.scalars)
    for array in node.arrays:
        yield from _arrays(slot, array, above)
    for each in node.objects:
        try:
            yield _object(_own(slot, each), each, above, {})
        except _UnknownError:
            if len(node.objects) + len(node.arrays) + len(node.scalars) == 1 and not node.nullable:
                raise
    if node.anything and slot.steps == ("_id",):
        yield from scalars({}, {"objectId"})
    elif node.anything:
        yield st.one_of(st.booleans(), st.integers(-1000, 1000), st.text(min_size=1))


def _own(slot: Slot, declared: Object) -> Slot:
    """Return a slot for one of several objects that may stand at a place: with a schema of its own."""
    schema = getattr(declared.model, "__pydantic_core_schema__", None)
    if len(slot.node.objects) + len(slot.node.arrays) + len(slot.node.scalars) == 1 or schema is None:
        return slot
    return replace(slot, node=Node(objects=(declared,)), schema=schema)


def _arrays(slot: Slot, array: Array, above: _Above) -> Iterator[SearchStrategy[Any]]:
    if array.prefix:
        yield st.tuples(*(_value(slot.element(array, at), above) for at in range(len(array.prefix)))).map(list)
        return
    least = max(array.least, 0 if slot.may_be_empty else 1)
    most = array.most if array.most is not None else least + _MORE
    distinct = array.distinct or slot.element(array).node.marker(Unique) is not None
    try:
        element = _value(slot.element(array), above)
    except _UnknownError:
        if least:
            raise
        yield st.just([])
    else:
        yield st.lists(element, min_size=least, max_size=most, unique_by=repr if distinct else None)


def _limits(slot: Slot) -> dict[str, Any]:
    """Return the core schema of the one scalar that may stand at a place; nothing where there are several."""
    return _bared(slot, slot.schema)


def _bared(slot: Slot, schema: Any) -> dict[str, Any]:
    while schema is not None:
        if schema["type"] in {"default", "nullable"} or coerces(schema) or schema["type"].startswith("function-"):
            schema = schema.get("schema")
        elif schema["type"] == "chain":
            schema = schema["steps"][0]
        elif schema["type"] == "definition-ref":
            schema = slot.definitions.get(schema["schema_ref"])
        else:
            return dict(schema)
    return {}
