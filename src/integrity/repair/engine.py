"""The repair: audit, decide, write down, change; document by document, and each as it is at that moment.

First go those of equal documents that are not to stay, so that nothing is mended in them. Then values are mended,
owners before the copies of them. Then whole documents go, those that refer before those that are referred to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pymongo.errors import PyMongoError

from integrity.audit.engine import OnProgress, audit
from integrity.audit.options import Options
from integrity.audit.source import describe
from integrity.declare.registry import Entry, Registry
from integrity.errors import IntegrityError
from integrity.repair.choice import Choices
from integrity.repair.journal import Journal
from integrity.repair.result import Outcome, Summary
from integrity.repair.suspects import AWAY, GROUP, Suspects
from integrity.repair.within import Tell, Within
from integrity.rules.judge import Judge
from integrity.store.port import Store
from integrity.writes.copies.planning import Moved
from integrity.writes.guard import EVERYBODY, Guard
from integrity.writes.references import protocol
from integrity.writes.unique import Indexes

#: Documents of one transaction, at most.
BATCH = 100


async def repair(
    store: Store,
    registry: Registry,
    options: Options | None = None,
    choices: Choices | None = None,
    *,
    journal: Journal | None = None,
    tell: Tell | None = None,
    progress: OnProgress | None = None,
) -> Summary:
    """Audit the declared collections and repair what was found, as far as it is safe or was chosen.

    Args:
        store: The database.
        registry: The declarations.
        options: The scope, as of an audit.
        choices: The unsafe remedies that were chosen.
        journal: Where every change is written down before it is made; None to change nothing and only say what would
            be changed.
        tell: Called with what became of each document.
        progress: Called now and then with how far the audit is.

    Raises:
        RepairError: The journal cannot be written, or the run was undone while it was at work.
        AuditError: What was asked for is not declared, or the server does not answer.
    """
    options, choices = options or Options(), choices or Choices()
    summary = Summary(store.name, made=journal is not None)

    def told(outcome: Outcome) -> None:
        summary.add(outcome)
        if tell is not None:
            tell(outcome)

    suspects = Suspects()
    try:
        with await audit(store, registry, options, progress=progress) as result:
            suspects.fill(result.violations)
            summary.failure = result.failure
            found = result.total
        if not found:
            return summary
        if journal is not None:
            unsafe = [str(each) for each in choices]
            summary.run = await journal.begin({"database": store.name, "unsafe": unsafe})
        collections = await _collections(store, registry, options, choices, journal, told)
        await _mended(collections, suspects)
        if journal is not None:
            await journal.rest()
            await journal.mark(summary.run, {"ended": True, "changes": journal.changes})
    except BaseException as error:
        if journal is not None and journal.at_work:
            with suppress(PyMongoError):
                # What is no error of ours may have come instead of an answer.
                await journal.rest(answered=isinstance(error, IntegrityError))
        raise
    finally:
        suspects.close()
    return summary


async def _mended(collections: Sequence[Within], suspects: Suspects) -> None:
    """Mend what was found, as far as it is to be."""
    # No document is changed twice in a run: undoing tells by its bytes whether a change was made.
    for each in reversed(collections):
        for batch in suspects.of(each.name, each.size, GROUP):
            for gone in await each.whole(batch, GROUP):
                suspects.forget(each.name, gone)
    for at, each in enumerate(collections):
        for batch in suspects.of(each.name, each.size):
            going, owners = await each.values(batch)
            for one in going:
                suspects.goes(each.name, one)
            await _follow(suspects, owners, collections[at + 1 :])
    for each in reversed(collections):
        for batch in suspects.of(each.name, each.size, AWAY):
            await each.whole(batch, AWAY)


async def _follow(suspects: Suspects, owners: Sequence[Moved], collections: Sequence[Within]) -> None:
    """Look at the copies of owners that were mended, in the collections that are still to come."""
    for owner in owners:
        entry = owner.via.entry
        for each in collections:
            if each.name == entry.collection:
                async for ids in each.following(owner):
                    for one in ids:
                        suspects.follow(entry, [copy for copy, _ in owner.values], one)


async def _collections(
    store: Store, registry: Registry, options: Options, choices: Choices, journal: Journal | None, tell: Tell
) -> list[Within]:
    """Return the collections that are there, owners before the copies of them."""
    existing = {each["name"]: each for each in await store.collections()}
    references = protocol("auto", registry)
    indexes = Indexes("trust")  # a repair makes no index: `integrity apply` does
    found = []
    for entry in owners_first(options.entries(registry)):
        if entry.collection in existing:
            guard = Guard(store, registry, entry, Judge(entry), EVERYBODY, references, indexes)
            source = await describe(store, existing[entry.collection])
            found.append(Within(guard, source, options, choices, journal, tell, min(BATCH, source.batch)))
    return found


def owners_first(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries in an order in which an owner comes before the copies of it, as far as there is one."""
    found: list[Entry] = []

    def visit(entry: Entry, above: tuple[Entry, ...]) -> None:
        if entry in found or entry in above:
            return
        for each in targets(entry):
            visit(each, (*above, entry))
        if entry in entries:
            found.append(entry)

    for entry in entries:
        visit(entry, ())
    return found


def targets(entry: Entry) -> Iterator[Entry]:
    """Yield the entries that one refers to, or copies from."""
    yield from dict.fromkeys(each.target for each in entry.references)
