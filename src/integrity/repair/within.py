"""The repair of one collection: some documents at a time are read, decided about, written down and changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from bson.errors import BSONError

from integrity.audit.facts import Facts
from integrity.audit.options import Options
from integrity.audit.source import Source
from integrity.declare.equality import key
from integrity.declare.reserved import CONDEMNED
from integrity.repair.choice import Choice, Choices
from integrity.repair.decide import Decider, Decision, persists, shown, worse
from integrity.repair.group import ALONE, PREFERRED, Group
from integrity.repair.journal import Entry, Journal
from integrity.repair.record import Record, Records
from integrity.repair.result import Changed, Outcome
from integrity.repair.supply import Supplies
from integrity.repair.suspects import AWAY, Suspect
from integrity.repair.swap import GONE, PERSISTS, Edit, Swap
from integrity.repair.verbatim import NO_WAY_BACK, encoded, writes_back
from integrity.rules.ownership import stale_copy
from integrity.rules.remedy import DELETE, QUARANTINE
from integrity.rules.unique import duplicate_value
from integrity.store.forgiving import decoded
from integrity.store.port import Document
from integrity.violation import Violation
from integrity.writes.change import Change
from integrity.writes.copies.planning import Moved, moved
from integrity.writes.guard import Guard
from integrity.writes.references.plan import naming

Tell = Callable[[Outcome], None]

_PAGE = 1000

_SHOWN = "it is seen only now that the value is mended; repair again"
_TOO_LARGE = "the document is too large for the journal"


class Within:
    """Repairs the documents of one collection.

    Args:
        guard: The model's guard.
        source: The collection.
        options: What is repaired.
        choices: The unsafe remedies that were chosen.
        journal: Where changes are written down; None to change nothing.
        tell: Called with what became of each document.
        size: How many documents are read, and written in one transaction, at once.
    """

    def __init__(
        self,
        guard: Guard,
        source: Source,
        options: Options,
        choices: Choices,
        journal: Journal | None,
        tell: Tell,
        size: int,
    ) -> None:
        self.name = guard.collection
        self.size = size
        self._guard = guard
        self._options = options
        self._journal = journal
        self._tell = tell
        self._swap = Swap(guard, source.exact, journal)
        self._facts = Facts(guard.store, guard.entry)
        self._decider = Decider(guard.entry, choices)
        self._supplies = Supplies(guard.store, guard.entry)
        self._referring = {each.via.path for each in guard.entry.copies}
        self._records = Records(guard.store, guard.collection)
        self._group = Group(guard.store, guard.entry, source)

    async def values(self, batch: Sequence[Suspect]) -> tuple[list[Any], list[Moved]]:
        """Mend the values of some documents; return which are to go as a whole, and the owners that changed."""
        decided = await self._decided(batch)
        edits = []
        for decision, _, before in decided:
            if decision.mended and (after := _after(decision, before)) is not None:
                edits.append(Edit(decision, before, after))
        if edits:
            await self._look_ahead(edits)
            edits = [each for each in edits if each.decision.mended]
            await self._change(edits)
        for decision, gone, _ in decided:
            if decision.whole is None:
                self._told(decision, gone)
        going = [decision.id for decision, _, _ in decided if decision.whole is not None]
        made = [Change(each.decision.before, each.decision.after) for each in edits if each.decision.mended]
        return going, list(moved(self._guard.entry, made)) if self._journal is not None else []

    async def following(self, owner: Moved) -> AsyncIterator[list[Any]]:
        """Yield the ``_id`` of the documents of this collection that name an owner, some at a time."""
        named = naming(owner.via, [owner.key])
        batches = self._guard.store.find(self.name, named, projection={"_id": 1}, batch_size=_PAGE)
        try:
            while batch := await batches.next(_PAGE):
                yield [each["_id"] for each in batch]
        finally:
            await batches.close()

    async def _change(self, edits: list[Edit]) -> None:
        """Write changes down, and make them."""
        if self._journal is None:
            return
        entries = []
        for each in list(edits):
            codes = tuple(sorted({one.violation.code for one in each.decision.mended}))
            entry = Entry(self.name, each.decision.id, each.before, each.after, codes)
            if entry.fits:
                entries.append(entry)
            else:
                each.decision.drop(_TOO_LARGE)
                edits.remove(each)
        if not edits:
            return
        # Written down first: a change that is made and not written down could not be undone after a crash.
        first = self._journal.written + 1
        await self._journal.record(entries)
        reasons = await self._swap.edit(edits, self._judged)
        for each, reason in zip(edits, reasons, strict=True):
            if reason:
                each.decision.drop(reason)
        refused = {first + at: entries[at] for at, reason in enumerate(reasons) if reason}
        if refused:
            # Without a transaction, an error may come after the write: what stands there then can still be undone.
            now = await self._swap.read([each.id for each in refused.values()], None)
            made = {number for number, each in refused.items() if each.is_after(now.get(key(each.id)))}
            await self._journal.refuse(sorted(refused.keys() - made))

    async def whole(self, batch: Sequence[Suspect], how: int) -> list[Any]:
        """Take whole documents away, one after the other; return which are gone.

        Args:
            batch: The documents.
            how: `AWAY` for what is wrong with them alone, `GROUP` for a value that others have too.
        """
        went: list[Any] = []
        decided = {key(each.id): (each, before) for each, _, before in await self._decided(batch)}
        for name, known in batch:
            decision, before = decided[key(name)]
            chosen = decision.whole if how == AWAY else decision.group
            if chosen is None:
                if how == AWAY:
                    self._tell(Outcome(self.name, name, gone=known))
                continue
            choice, why = chosen
            if reason := await self._away(decision, before, choice, why):
                # As one of several documents, what else is wrong with it is told with its values.
                several = decision.violations if how == AWAY else [why]
                self._tell(Outcome(self.name, name, left=[(each, reason) for each in several], why=why))
                continue
            went.append(name)
            remedy = QUARANTINE if choice.remedy is QUARANTINE else DELETE
            self._tell(Outcome(self.name, name, away=remedy, mended=decision.violations, why=why))
        return went

    async def _away(self, decision: Decision, before: bytes, choice: Choice, why: Violation) -> str:
        """Take a document away; return why not, or an empty text."""
        grouped = decision.whole is None
        if grouped and (stays := await self._group.stays(decision.before, why, choice)):
            return stays
        if choice.remedy is not QUARANTINE and self._group.preferred(decision.id):
            return PREFERRED
        reason = await self._gone(decision, before, choice, why, grouped=grouped)
        if grouped and not reason:
            self._group.went(decision.before, why, choice)
        return reason

    async def _gone(self, decision: Decision, before: bytes, choice: Choice, why: Violation, *, grouped: bool) -> str:
        if self._journal is None:
            return await self._swap.referred(decision.id)
        entries = [Entry(self.name, decision.id, before, None, (why.code,))]
        kept: Record | None = None
        if choice.remedy is QUARANTINE:
            kept = await self._records.of(self._journal.run, before, decision.violations)
            # As if nothing had been left there: what is undone is then in one place.
            entries.insert(0, Entry(kept.collection, kept.id, None, kept.data, (why.code,)))
        if not all(each.fits for each in entries):
            return _TOO_LARGE
        # Written down first, as above.
        first = self._journal.written + 1
        await self._journal.record(entries)

        async def still(session: Any) -> str:
            if grouped:
                return await self._group.stays(decision.before, why, choice, session)
            (found,) = await self._judged([decision.before], session)
            return "" if (why.code, why.path) in _places(found) else GONE

        alone = grouped and not await self._swap.transactional()
        if grouped and not alone:
            await self._group.prepare()
        reason = await self._swap.away(decision.id, before, kept, still)
        if alone and not reason and not await self._group.stands(decision.before, why, choice):
            # Of two repairs that took each other's away, the later one sees it.
            reason = ALONE if await self._swap.put_back(before, kept) else ""
        if reason:
            await self._journal.refuse(range(first, first + len(entries)))
        return reason

    async def _decided(self, batch: Sequence[Suspect]) -> list[tuple[Decision, list[Violation], bytes]]:
        """Return, for each document, what is to be done, what is no longer wrong with it, and its bytes."""
        found: list[tuple[Decision, list[Violation], bytes]] = []
        read = await self._swap.read([each for each, _ in batch], None)
        there = [(known, read[key(each)]) for each, known in batch if key(each) in read]
        for each, known in batch:
            if key(each) not in read:
                here_no_more = [one for one in known if not _marks(one)]
                found.append((Decision(each, {"_id": each}, {"_id": each}), here_no_more, b""))
        documents = [decoded(data) for _, data in there]
        following = [{each.field for each in known if _marks(each)} for known, _ in there]
        wanted = [
            # The audit has counted the equal values; they are counted again when one of them is to go.
            [each for each in one if self._options.wants(each.code) or _follows(each, owned)]
            + [each for each in known if each.code == duplicate_value.RULE.code]
            for one, (known, _), owned in zip(await self._judged(documents, None), there, following, strict=True)
        ]
        supplied = await self._supplies.of(documents, wanted)
        for (known, data), document, several, given in zip(there, documents, wanted, supplied, strict=True):
            if CONDEMNED in document:
                decision = Decision(document["_id"], document, document)
                decision.left = [(each, "the document is being deleted") for each in several]
            else:
                decision = self._decider.decide(document, several, given)
            decision.violations = several
            if {each.violation.field for each in decision.mended} & self._referring:
                await self._follow(decision)
            here = _places(several)
            gone = [each for each in known if (each.code, each.path) not in here and not _marks(each)]
            found.append((decision, gone, data))
        return found

    async def _follow(self, decision: Decision) -> None:
        """Fill the copies that follow a reference which is mended: nothing could be said of them before."""
        (found,) = await self._judged([decision.after], None)
        known = {each.field for each in decision.violations}
        stale = [each for each in found if each.code == stale_copy.RULE.code and each.field not in known]
        (supplied,) = await self._supplies.of([decision.after], [stale])
        self._decider.go_on(decision, stale, supplied)

    async def _look_ahead(self, edits: Sequence[Edit]) -> None:
        """Judge documents as they would be, with all that is known of others; what is worse then is not done."""
        documents = [each.decision.before for each in edits] + [each.decision.after for each in edits]
        judged = await self._judged(documents, None)
        for at, each in enumerate(edits):
            decision, before, after = each.decision, judged[at], judged[at + len(edits)]
            reason = PERSISTS if persists(decision.mended, before, after) else worse(before, after)
            decision.shown = shown(decision.mended, before, after)
            if reason:
                decision.drop(reason)

    async def _judged(self, documents: list[Document], session: Any) -> list[list[Violation]]:
        return await self._facts.judge(documents, again=True, session=session)

    def _told(self, decision: Decision, gone: list[Violation]) -> None:
        changes = [
            Changed(each.violation.code, each.remedy, each.path, each.before, each.after) for each in decision.mended
        ]
        mended = [each.violation for each in decision.mended]
        left = decision.left + [(each, _SHOWN) for each in decision.shown]
        if changes or left or gone:
            self._tell(Outcome(self.name, decision.id, changes, mended=mended, left=left, gone=gone))


def _after(decision: Decision, before: bytes) -> bytes | None:
    """Return the bytes that a document is to have, or None where its other values would not keep theirs."""
    if writes_back(decision.before, before):
        try:
            return encoded(decision.after)
        except (BSONError, UnicodeEncodeError, OverflowError, ValueError):
            pass
    decision.drop(f"{NO_WAY_BACK}; choose delete or quarantine")
    return None


def _marks(violation: Violation) -> bool:
    """Whether it is none, but says that an owner was mended (`Suspects.follow`)."""
    return violation.code == stale_copy.RULE.code and not violation.path


def _follows(violation: Violation, owned: set[str]) -> bool:
    return violation.code == stale_copy.RULE.code and violation.field in owned


def _places(violations: Sequence[Violation]) -> set[tuple[str, str]]:
    return {(each.code, each.path) for each in violations}
