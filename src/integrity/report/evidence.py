"""What the HTML report shows beside the violations: their documents, their owners' values, when they were written.

It is read when the audit is over: a document may have changed since, and then what is shown is what it is now.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from integrity.audit.baseline import fingerprint
from integrity.audit.facts import copied
from integrity.audit.options import Options
from integrity.audit.result import AuditResult
from integrity.audit.state import Run
from integrity.declare.equality import key
from integrity.declare.extract import ABSENT
from integrity.declare.registry import Copy, Entry, Registry
from integrity.report.examples import Kind, kind
from integrity.report.excerpt import Line, excerpt, literal
from integrity.report.timeline import Timeline
from integrity.rules import RULES
from integrity.rules.judge import dotted
from integrity.store.failure import reason
from integrity.store.lookup import look_up
from integrity.store.port import Document, Store
from integrity.violation import Violation

#: Violations of each rule at each declared path that are shown, where nothing else is asked for.
EXAMPLES = 3
#: The declared paths of a rule that are shown, those with the most violations.
KINDS = 40
#: Documents that are read for the examples, and so many at a time: each may have 16 MB.
DOCUMENTS = 600
_TOGETHER = 20
#: Violations whose document's time is looked up: of more, every so many-th.
_DATED = 50_000
_CREATED = ("created_at", "createdat", "created", "creation_date", "inserted_at", "timestamp", "date")


@dataclass(frozen=True)
class Edge:
    """A declared reference.

    Args:
        source: The collection that refers.
        path: The declared path that refers.
        target: The collection that is referred to.
        field: The field that is referred to.
        documents: The documents of the collection that refers.
        dangling: The violations of REF001 at this path.
        mistyped: Those of REF002.
        judged: Whether all of the reference's values were judged.
    """

    source: str
    path: str
    target: str
    field: str
    documents: int
    dangling: int
    mistyped: int
    judged: bool


@dataclass(frozen=True)
class Seen:
    """What stood in the database when a violation's document was read for the report.

    Args:
        document: The lines around what is at fault; None when the document is gone.
        owner: The owner's collection and field, for a copy.
        original: The lines of the owner's document.
    """

    document: tuple[Line, ...] | None
    owner: str = ""
    original: tuple[Line, ...] = ()


@dataclass
class Evidence:
    """What is shown beside the violations.

    Args:
        examples: The first violations of each kind that is shown.
        written: When the violations' documents were written.
        undated: The violations of whose document nobody knows.
        share: Of so many violations without an ObjectId the time of one was looked up, and counted for all of them.
        dates: The declared field that tells the time, by collection; the others' are in their ObjectIds.
        seen: What was read, by the violation's fingerprint.
        references: The declared references; None where the declarations are not known.
        judged: The codes that were asked for; None where that is not known.
        history: The audits before this one, from the state file, this one last.
        models: The command line's MODELS.
        note: What could not be read; one sentence.
        full: The name of the file with every violation, beside the report.
        redacted: Whether no value of a document is shown.
    """

    examples: dict[Kind, list[Violation]] = field(default_factory=dict)
    written: Timeline = field(default_factory=Timeline)
    undated: int = 0
    share: int = 1
    dates: dict[str, str] = field(default_factory=dict)
    seen: dict[int, Seen] = field(default_factory=dict)
    references: tuple[Edge, ...] | None = None
    judged: frozenset[str] | None = None
    history: Sequence[Run] = ()
    models: str = "MODELS"
    note: str | None = None
    full: str | None = None
    redacted: bool = False


def survey(result: AuditResult, limit: int | None = None) -> Evidence:
    """Return what the violations alone tell, reading them once.

    Args:
        result: What an audit found.
        limit: Examples of each rule at each declared path; None for 3.
    """
    evidence = Evidence(examples={each: [] for each in _shown(result)})
    limit = EXAMPLES if limit is None else limit
    for each in result.violations:
        examples = evidence.examples.get(kind(each))
        if examples is not None and len(examples) < limit:
            examples.append(each)
        if isinstance(each.id, ObjectId):
            evidence.written.add(each.code, int(str(each.id)[:8], 16))
        else:
            evidence.undated += 1
    return evidence


async def gather(
    store: Store,
    registry: Registry,
    result: AuditResult,
    limit: int | None = None,
    *,
    options: Options | None = None,
    redacted: bool = False,
) -> Evidence:
    """Return what the violations and the database tell. Nothing is written.

    Args:
        store: The database that was audited.
        registry: The declarations.
        result: What the audit found.
        limit: Examples of each rule at each declared path; None for 3.
        options: What the audit was asked for; everything without.
        redacted: Show no value of a document, and read none.
    """
    evidence = survey(result, limit)
    evidence.redacted = redacted
    evidence.judged = judged(options or Options())
    evidence.references = tuple(_edges(registry, result, evidence.judged))
    try:
        if not redacted:  # the only date of a document may be somebody's birthday
            await _date(store, registry, result, evidence)
            await _documents(store, registry, evidence)
    except PyMongoError as error:
        evidence.note = f"Not every document of an example could be read again: {reason(error)}"
    return evidence


def _shown(result: AuditResult) -> Iterator[Kind]:
    for collection, code, path, _ in kinds(result):
        yield collection, code, path


def kinds(result: AuditResult) -> list[tuple[str, str, str, int]]:
    """Return the collections, codes and declared paths that are shown, and how many violations each has.

    Of each rule, those with the most.
    """
    found: dict[str, list[tuple[str, str, str, int]]] = {}
    for collection in result.collections:
        for at, count in collection.paths.items():
            code, _, path = at.partition(" ")
            found.setdefault(code, []).append((collection.name, code, path, count))
    # Of a million undeclared fields, each is a path of its own.
    return [
        each
        for _, many in sorted(found.items())
        for each in sorted(many, key=lambda one: (-one[3], one[0], one[2]))[:KINDS]
    ]


def judged(options: Options) -> frozenset[str]:
    """Return the codes that an audit with these options judges."""
    return frozenset(
        each.code
        for each in RULES
        if each.audited and options.wants(each.code) and (each.family != "DRF" or options.drift)
    )


def _edges(registry: Registry, result: AuditResult, codes: frozenset[str]) -> Iterator[Edge]:
    results = {each.name: each for each in result.collections}
    for entry in registry:
        found = results.get(entry.collection)
        for each in entry.references:
            # What the baseline knows dangles too.
            counts = found.paths + found.known if found is not None else Counter()
            yield Edge(
                entry.collection,
                each.path,
                each.target.collection,
                each.field,
                found.judged if found is not None else 0,
                counts.get(f"REF001 {each.path}", 0),
                counts.get(f"REF002 {each.path}", 0),
                # What was not asked for, and what was not seen, does not count as none.
                found is not None and found.complete and "REF001" in codes,
            )


async def _date(store: Store, registry: Registry, result: AuditResult, evidence: Evidence) -> None:
    """Look up when the documents without an ObjectId were written, where a field is declared that says so."""
    fields = {each.collection: name for each in registry if (name := _dated(each)) is not None}
    if not evidence.undated or not fields:
        return
    evidence.share = -(-evidence.undated // _DATED)
    waiting: dict[str, list[Violation]] = {}
    number = 0
    for each in result.violations:
        if isinstance(each.id, ObjectId) or each.collection not in fields:
            continue
        number += 1
        if number % evidence.share == 0:
            many = waiting.setdefault(each.collection, [])
            many.append(each)
            if len(many) == 1000:  # noqa: PLR2004 - as many ids as fit a command whatever they are
                await _look(store, fields[each.collection], waiting.pop(each.collection), evidence)
    for collection, many in waiting.items():
        await _look(store, fields[collection], many, evidence)


async def _look(store: Store, name: str, violations: list[Violation], evidence: Evidence) -> None:
    collection = violations[0].collection
    found = await look_up(store, collection, "_id", [each.id for each in violations], [name])
    for each in violations:
        when = found.get(key(each.id), {}).get(name)
        if isinstance(when, dt.datetime):
            evidence.written.add(each.code, when.replace(tzinfo=dt.UTC).timestamp(), evidence.share)
            evidence.undated -= evidence.share
            evidence.dates[collection] = name
    evidence.undated = max(0, evidence.undated)


def _dated(entry: Entry) -> str | None:
    """Return the declared field that says when a document was written: one of the usual names, or the only date."""
    dates = [each.steps[0] for each in entry.places if len(each.steps) == 1 and "date" in each.node.scalars]
    usual = sorted((each for each in dates if each.lower() in _CREATED), key=lambda one: _CREATED.index(one.lower()))
    return usual[0] if usual else dates[0] if len(dates) == 1 else None


async def _documents(store: Store, registry: Registry, evidence: Evidence) -> None:
    chosen = _first_of_each(evidence.examples.values())
    by_collection: dict[str, list[Violation]] = {}
    for each in chosen[:DOCUMENTS]:
        if not each.code.startswith("DRF"):
            by_collection.setdefault(each.collection, []).append(each)
    for collection, violations in by_collection.items():
        entry = registry.by_collection(collection)
        for start in range(0, len(violations), _TOGETHER):
            some = violations[start : start + _TOGETHER]
            # Not $in, to which some ids are patterns.
            wanted = {key(each.id): {"_id": {"$eq": each.id}} for each in some}
            batches = store.find(collection, {"$or": [*wanted.values()]})
            documents: dict[Any, Document] = {}
            while batch := await batches.next(_TOGETHER):
                documents.update((key(each.get("_id")), each) for each in batch)
            for each in some:
                document = documents.get(key(each.id))
                evidence.seen[fingerprint(each)] = await _seen(store, entry, each, document)


def _first_of_each(examples: Any) -> list[Violation]:
    """Return the first example of every kind, then the second of every kind, and so on."""
    many = list(examples)
    longest = max(map(len, many), default=0)
    return [each[rank] for rank in range(longest) for each in many if rank < len(each)]


async def _seen(store: Store, entry: Entry | None, violation: Violation, document: Document | None) -> Seen:
    if document is None:
        return Seen(None)
    lines = excerpt(document, violation.path)
    if violation.code != "OWN001" or entry is None:
        return Seen(lines)
    for copy in (each for each in entry.copies if each.path == violation.field):
        for path, _, _, via in copied(copy, document):
            if dotted(path) == violation.path and via is not None and via is not ABSENT:
                return await _beside_owner(store, copy, via, lines)
    return Seen(lines)


async def _beside_owner(store: Store, copy: Copy, via: Any, lines: tuple[Line, ...]) -> Seen:
    target, name = copy.via.target.collection, copy.via.field
    found = await look_up(store, target, name, [via], [copy.field])
    owner = next(iter(found.values()), None)
    title = f"{target}.{copy.field}"
    if owner is None:
        return Seen(lines, title)
    return Seen(lines, title, (Line(0, "_id", literal(owner.get("_id"))), *excerpt(owner, copy.field)))
