"""The audit's plan for one collection: what the server decides, what is fetched, which keys are looked up how.

A plan is a value: it is made before anything is read, printed by `describe`, and run by `integrity.audit.scan`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bson import Timestamp, json_util

from integrity.audit.columns import columns, trial
from integrity.audit.options import Options, Where
from integrity.audit.pushdown import Pushdown, compiled
from integrity.audit.source import Index, Source
from integrity.audit.unique import groups
from integrity.declare.registry import Copy, Entry, Reference, UniqueKey
from integrity.rules.schema import unknown_field
from integrity.store.port import Document

#: The codes that one document alone decides.
FIELDS = ("SCH", "EMP", "FRB")
_FIELD_CODES = ("SCH001", "SCH002", "SCH003", "SCH004", "SCH005", "EMP001", "EMP002", "EMP003", "EMP004", "EMP005",
                "FRB001", "FRB002", "FRB003")  # fmt: skip
_REFERENCE_CODES = ("REF001", "REF002")

_NUMBERS = frozenset({"int", "long", "double", "decimal"})

#: Of fewer documents, it takes as long to find out where copies are compared sooner as that saves.
LEAST = 100_000

#: The codes that need what references refer to; a duplicate is one only where nothing of these comes first.
FOLLOWING = (*_REFERENCE_CODES, "OWN001", "UNQ001")


@dataclass(frozen=True)
class KeyLookup:
    """How a reference's values are found.

    Args:
        reference: The reference.
        pipeline: Yields each value once.
        index: The index that is read instead of the documents, or None.
        counted: Whether the target's ids need only be counted: they are there once each.
        single: Whether one scalar stands at the place, so that a query asks for it as it is declared.
    """

    reference: Reference
    pipeline: tuple[Document, ...]
    index: Index | None = None
    counted: bool = False
    single: bool = False

    @property
    def field(self) -> str:
        """The dotted name by which a query finds a value."""
        return ".".join(each for each in self.reference.place.steps if each != "[]")


@dataclass(frozen=True)
class CopyLookup:
    """How a copy's values are found, each with its reference's.

    Args:
        copy: The copy.
        pipeline: Yields each pair of the reference's value and the copy's once.
        counted: Whether the owners are told by their ids, and are as many as their collection has documents.
        where: Who looks for the pairs that differ from their owners, where the owners are few: the server, which lists
            each pair once; the client, which fetches every pair as it is stored; ``"auto"``: that is not decided yet.
    """

    copy: Copy
    pipeline: tuple[Document, ...]
    counted: bool = False
    where: Where = "server"


@dataclass(frozen=True)
class Known:
    """What a plan is made of besides the declarations: enough to make the same plan in another process.

    Args:
        source: The collection.
        kinds: The kind of every collection that exists, by name.
        after: What was written up to this time is to be seen, wherever is read; None where a later audit of what has
            changed does not begin there.
        declared: What tells the declarations from others, where another process is to have the same.
        suspects: Where the suspects are found, as it turned out; ``"auto"`` where that was not tried.
        compared: The numbers of the copies whose pairs the client fetches and compares; None where that is not decided.
    """

    source: Source
    kinds: tuple[tuple[str, str], ...]
    after: Timestamp | None = None
    declared: str = ""
    suspects: Where = "auto"
    compared: frozenset[int] | None = None

    def plan(self, entry: Entry, options: Options) -> Plan:
        """Return the plan for the collection of `entry`."""
        plan = planned(entry, self.source, options, dict(self.kinds))
        if (compared := self.compared) is not None:
            copies = enumerate(plan.copies)
            plan = replace(
                plan,
                copies=tuple(replace(each, where="client" if at in compared else "server") for at, each in copies),
            )
        return plan if self.suspects == "auto" else replace(plan, suspects=self.suspects)


@dataclass(frozen=True)
class Plan:
    """What an audit does to one collection.

    Args:
        entry: The model's entry.
        source: The collection.
        reads: Why every document is read as a whole; empty where the server decides what can be decided.
        fields: What the server decides of the field rules; None where no field rule was asked for.
        suspects: Where the suspects are found: by the server, of which only they are fetched; by the client, in
            documents that are fetched as they are stored; ``"auto"``: that is tried first.
        references: The references whose values the server lists.
        copies: The copies whose values the server lists.
        uniques: The constraints whose values the server groups.
        follows: Whether references are judged at all: their targets can be read.
        partial: Whether less than the whole collection was asked for.
    """

    entry: Entry
    source: Source
    reads: str = ""
    fields: Pushdown | None = None
    references: tuple[KeyLookup, ...] = ()
    copies: tuple[CopyLookup, ...] = ()
    uniques: tuple[UniqueKey, ...] = field(default=())
    follows: bool = True
    partial: bool = False
    suspects: Where = "server"


def planned(entry: Entry, source: Source, options: Options, kinds: Mapping[str, str]) -> Plan:
    """Return the plan for one collection.

    Args:
        entry: The model's entry.
        source: What is known of the collection.
        options: What the audit was asked for.
        kinds: The kind of every collection that exists, by name.
    """
    uniques = tuple(entry.uniques) if options.wants("UNQ001") and options.partial is None else ()
    follows = options.wants_any(FOLLOWING) and all(each.target.collection in kinds for each in entry.references)
    references = entry.references if follows and options.wants_any(_REFERENCE_CODES) else []
    copies = entry.copies if follows and options.wants("OWN001") else []
    reads = ""
    found: Pushdown | None = None
    if options.sample is not None:
        reads = f"by chance, {100 * options.sample:.4g} % of them"
    elif options.since is not None:
        reads = "of those that are new or changed"
    elif not options.pushdown:
        reads = "the server was not to decide anything (--no-pushdown)"
    elif not source.partitionable:
        reads = f"it is a {source.kind}"
    elif entry.derived and options.wants("OWN002"):
        reads = "its derived fields are computed again"
    elif any("*" in each.place.steps for each in references) or any("*" in each.place.steps for each in copies):
        reads = "a reference or copy stands under the keys of a mapping"
    elif not all(map(_listable, copies)):
        reads = "a copy stands in an array that its reference is not in"
    elif options.wants_any(_FIELD_CODES):
        found = compiled(entry, names=options.wants(unknown_field.RULE.code))
        if found.whole:
            reads = "a validator judges the document as a whole"
    if reads:
        return Plan(entry, source, reads, uniques=uniques, follows=follows, partial=options.partial is not None)
    return Plan(
        entry,
        source,
        fields=found,
        references=tuple(_keys(each, source, kinds) for each in references),
        copies=tuple(_copied(each, source, options, kinds) for each in copies),
        uniques=uniques,
        follows=follows,
        suspects=_where(source, options) if found is not None else "server",
    )


def _where(source: Source, options: Options) -> Where:
    return options.suspects if options.suspects != "auto" or trial(source) else "server"


def _keys(reference: Reference, source: Source, kinds: Mapping[str, str]) -> KeyLookup:
    name, unwound = _unwound(reference.place.steps)
    # An index on an array has no entry for the array as it stands in one document.
    index = None if unwound else next((each for each in source.indexes if each.fields[0] == name), None)
    # Not sorted: that takes the server half as long again as the grouping; `scan` sorts what it has.
    pipeline = (*unwound, {"$group": {"_id": f"${name}"}})
    node = reference.place.node
    single = not (unwound or node.anything or node.arrays or node.objects)
    return KeyLookup(reference, pipeline, index, _counted(reference, kinds), single)


def _copied(copy: Copy, source: Source, options: Options, kinds: Mapping[str, str]) -> CopyLookup:
    counted = _counted(copy.via, kinds)
    where = options.suspects
    # Without numpy "client" is refused before: nobody asks for what he cannot have.
    few = not trial(source) or source.documents < LEAST
    if not (counted and columns() and _fetched(copy)) or (where == "auto" and few):
        where = "server"
    return CopyLookup(copy, _pairs(copy), counted, where)


def _fetched(copy: Copy) -> bool:
    """Whether a projection has a copy's pair, and its owner's field, as single values at their places."""
    paths = {("_id",), copy.via.place.steps, copy.place.steps}
    if any(not name or "." in name or name[0] == "$" or name in {"[]", "*"} for path in paths for name in path):
        return False
    owner = {("_id",), tuple(copy.field.split("."))}
    return not any(
        path != other and path[: len(other)] == other for some in (paths, owner) for path in some for other in some
    )


def _counted(reference: Reference, kinds: Mapping[str, str]) -> bool:
    """Whether what it refers to is there once each: the ids of a collection, and not those of a view."""
    return reference.field == "_id" and kinds[reference.target.collection] == "collection"


def _pairs(copy: Copy) -> tuple[Document, ...]:
    via, unwound = _unwound(copy.via.place.steps)
    value, _ = _unwound(copy.place.steps)
    pair: Document = {"v": f"${via}", "c": f"${value}"}
    if copy.place.node.scalars & _NUMBERS:
        pair["t"] = {"$type": f"${value}"}  # the server calls 1 and 1.0 equal; a faithful copy is of the same type
    return (*unwound, {"$group": {"_id": pair}})


def _unwound(steps: tuple[str, ...]) -> tuple[str, tuple[Document, ...]]:
    """Return the dotted name of a place, and the stages that take its arrays apart."""
    name, stages = "", []
    for step in steps:
        if step == "[]":
            stages.append({"$unwind": f"${name}"})
        else:
            name = f"{name}.{step}" if name else step
    return name, tuple(stages)


def _listable(copy: Copy) -> bool:
    """Whether the copy and its reference stand in the same arrays, and the copy's value is compared by its type."""
    arrays = [_arrays(copy.place.steps), _arrays(copy.via.place.steps)]
    node = copy.place.node
    plain = not node.anything and not node.arrays and not node.objects
    return arrays[0] == arrays[1] and plain


def _arrays(steps: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [steps[:end] for end, step in enumerate(steps) if step == "[]"]


def describe(plan: Plan) -> str:
    """Return the plan as text."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    # Of a view and of time series the server keeps no count.
    counted = plan.source.kind == "collection"
    yield f"{plan.source.name}: {f'{plan.source.documents:,} documents' if counted else f'a {plan.source.kind}'}"
    if plan.partial:
        yield f"  every document that is chosen is read and judged in Python: {plan.reads}"
    elif plan.reads:
        yield f"  every document is read and judged in Python: {plan.reads}"
    elif plan.fields is None:
        yield "  field rules: not asked for"
    elif plan.suspects == "client":
        yield "  field rules: every document is fetched as it is stored, and the suspects are found here, by columns"
    else:
        yield "  field rules: the server reads every document and returns the suspects:"
        yield f"    {_shown(plan.fields.filter)}"
        if plan.fields.undecided:
            names = ", ".join(each.path for each in plan.fields.undecided)
            yield f"  only Python can decide, and only these are fetched of every document: {names}"
        if plan.suspects == "auto":
            yield "  or, where documents come quicker than that answer, each as it is stored: they are found here"
    for each in plan.references:
        how = f"the index {each.index.name}" if each.index else "the documents"
        yield f"  reference {each.reference.path}: its values, each once, from {how}; then"
        yield f"    {each.reference.target.collection}.{each.reference.field} by $in"
        if each.counted and each.single and not each.index:
            yield f"    or, where {each.reference.target.collection} is small, the documents with none of its ids"
    for copied in plan.copies:
        owners, pair = copied.copy.via.target.collection, f"its values with those of {copied.copy.via.path}"
        if copied.where == "client":
            yield f"  copy {copied.copy.path}: {pair}, of every document as they are stored, compared here by columns"
            yield f"    with {owners}.{copied.copy.field}; or, where {owners} is large, each pair once, with it by $in"
        else:
            yield f"  copy {copied.copy.path}: {pair}, each pair once; then {owners}.{copied.copy.field} by $in"
        if copied.where == "auto":
            yield f"    or, where {owners} is small and that is quicker, of every document, compared here by columns"
    for unique in plan.uniques:
        yield f"  unique {unique.path}: {_shown(list(groups(unique)))}"


def _shown(value: Any) -> str:
    return json.dumps(json_util._json_convert(value, json_util.RELAXED_JSON_OPTIONS), ensure_ascii=True)  # noqa: SLF001 - the public form is text
