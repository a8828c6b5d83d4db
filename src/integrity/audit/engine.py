"""The audit itself: collection by collection, batch by batch, every finding read twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable

from bson import Timestamp
from bson.errors import BSONError, InvalidDocument
from pymongo.errors import OperationFailure, PyMongoError

from integrity.audit import changes
from integrity.audit.after import after
from integrity.audit.baseline import UNTOLD, Baseline, Scope
from integrity.audit.facts import Unjudged
from integrity.audit.identity import declarations, identity
from integrity.audit.marks import standing
from integrity.audit.nearer import nearer
from integrity.audit.options import Options
from integrity.audit.pace import OutOfTime, Pace
from integrity.audit.pieces import Means, Pieces
from integrity.audit.plan import FOLLOWING, Known, Plan, planned
from integrity.audit.result import AuditResult, CollectionResult, Compared, Progress
from integrity.audit.source import Source, describe
from integrity.audit.source import identity as stands
from integrity.audit.state import State
from integrity.audit.task import tasks
from integrity.audit.unreadable import unreadable
from integrity.audit.workers import LostWorkers, Workers
from integrity.declare.equality import key
from integrity.declare.registry import Entry, Registry
from integrity.errors import AuditError, EnforcementError
from integrity.rules import RULES
from integrity.server.apply import diff
from integrity.store.failure import reason
from integrity.store.port import Document, Store
from integrity.violation import Violation

OnProgress = Callable[[Progress], None]


async def audit(
    store: Store,
    registry: Registry,
    options: Options | None = None,
    *,
    progress: OnProgress | None = None,
    workers: Workers | None = None,
    state: State | None = None,
    baseline: Baseline | None = None,
    pace: Pace | None = None,
) -> AuditResult:
    """Read the declared collections and report every violation of their declarations. Nothing is written.

    Args:
        store: The database.
        registry: The declarations.
        options: The scope; everything without.
        progress: Called now and then with how far it is.
        workers: Run the audit's tasks; None to run them here, one after the other.
        state: Keeps what is done, and knows what was done before.
        baseline: The violations that are known, which are not reported.
        pace: How fast it may go.

    Returns:
        The result; its `failure` says why, when not everything was seen. The caller closes it.

    Raises:
        AuditError: What was asked for is not declared, or the server does not answer at all.
    """
    run = _Run(store, registry, options or Options(), progress)
    run.means, run.baseline = Means(workers, state, pace or Pace()), baseline
    try:
        return await run.audit()
    except BaseException:
        run.result.close()
        raise


async def plans(store: Store, registry: Registry, options: Options | None = None) -> list[Plan]:
    """Return the plans of an audit, without reading a document.

    Args:
        store: The database.
        registry: The declarations.
        options: The scope; everything without.

    Raises:
        AuditError: What was asked for is not declared, or the server does not answer.
    """
    options = options or Options()
    entries = options.entries(registry)
    try:
        existing = {each["name"]: each for each in await store.collections()}
        kinds = {name: each.get("type") or "collection" for name, each in existing.items()}
        return [
            planned(each, await describe(store, existing[each.collection]), options, kinds)
            for each in entries
            if each.collection in existing
        ]
    except PyMongoError as error:
        raise AuditError(f"The database {store.name!r} cannot be read: {reason(error)}") from error


class _Run:
    def __init__(
        self,
        store: Store,
        registry: Registry,
        options: Options,
        progress: OnProgress | None,
    ) -> None:
        self.means = Means()
        self.baseline: Baseline | None = None
        self._store = store
        self._options = options
        self._progress = progress
        self._registry = registry
        self._entries = options.entries(registry)
        self.result = AuditResult(
            store.name,
            partial=options.partial,
            sampled=options.sample is not None,
            warned=frozenset(each.code for each in RULES if each.code.startswith(options.warn)),
        )
        self._after: Timestamp | None = None
        self._declared = ""
        self._identities: dict[str, str] = {}
        self._history: Counter[str] = Counter()
        self._twice: set[tuple[str, Hashable]] = set()
        self._counted: tuple[tuple[str, Hashable], set[str]] = (("", None), set())

    async def audit(self) -> AuditResult:
        started = time.monotonic()
        if self.means.workers is not None:
            self._declared = declarations(self._registry)
        if self.means.state is not None:
            await self._begin(self.means.state)
        if self.baseline is not None:
            self.result.compared = Compared()
        try:
            existing = {each["name"]: each for each in await self._store.collections()}
        except PyMongoError as error:
            raise AuditError(f"The database {self._store.name!r} cannot be read: {reason(error)}") from error
        kinds = {name: each.get("type") or "collection" for name, each in existing.items()}
        self._identities = {name: stands(each) for name, each in existing.items()}
        for entry in self._entries:
            result = CollectionResult(entry.collection)
            self.result.collections.append(result)
            absent = [each for each in self._needed(entry) if each.collection not in existing]
            if absent:
                self._fail(_absent(entry, absent[0], self._store.name))
                if entry in absent:
                    continue
            if not await self._tried(entry, existing[entry.collection], kinds, result):
                break
        self._unseen()
        if self._options.drift:
            await self._drift()
        self.result.seconds = time.monotonic() - started
        if self.baseline is not None and self.result.compared is not None:
            self._compare(self.baseline, self.result.compared)
        if self.means.state is not None and self.result.done:
            self._remember(self.means.state)
        return self.result

    def _cut(self, result: CollectionResult, why: str) -> None:
        self._fail(f"Reading {result.name!r} ended after {result.scanned:,} of {result.documents:,} documents: {why}")

    async def _tried(self, entry: Entry, listed: Document, kinds: dict[str, str], result: CollectionResult) -> bool:
        """Audit a collection, say what came between, and return whether the others can be audited."""
        again = self.means.state is not None
        try:
            await self._collection(entry, listed, kinds, result)
        except OutOfTime:
            self._fail(
                f"The time that the audit may take was over after {result.scanned:,} of {result.documents:,} "
                f"documents of {entry.collection!r}{'; run it again with the same --state to go on' if again else ''}."
            )
            return False
        except Unjudged as error:
            self._cut(result, str(error))
            return True
        except LostWorkers as error:
            self._cut(result, f"{error}{' Run it again with the same --state to go on.' if again else ''}")
            return False
        except (PyMongoError, BSONError, UnicodeEncodeError) as error:
            self._cut(result, await self._why(error, entry))
            # Where the connection is gone, so is the rest.
            return not isinstance(error, PyMongoError) or isinstance(error, OperationFailure)
        return True

    async def _begin(self, state: State) -> None:
        mark = None
        if self._options.partial is None:
            try:
                mark = await standing(self._store, self._registry, self._options)
            except PyMongoError as error:
                raise AuditError(f"The database {self._store.name!r} cannot be read: {reason(error)}") from error
        state.begin(identity(self._registry, self._store.name, self._options), mark)
        if mark is None:
            return
        # A later audit begins there: what a secondary has not heard of by then, neither of them would see.
        if (mark := state.begun()) is not None:
            self._after = changes.last_before(mark.token)

    def _compare(self, baseline: Baseline, compared: Compared) -> None:
        """Say what is gone, of what this audit looked for: all of it was there when the baseline was written."""

        def looked(scope: Scope) -> bool:
            # Of which rule and collection it is, an earlier file does not say: then only an audit of all can tell.
            return not self._options.narrowed if scope == UNTOLD else self._options.looks(*scope, self._registry)

        compared.looked = looked
        compared.gone, compared.others = (
            (baseline.gone(looked), baseline.others(looked)) if self.result.complete else (None, 0)
        )

    def _remember(self, state: State) -> None:
        if self._options.partial is not None:
            state.abandon()
            return
        state.end(self.result.seconds, self._history)

    async def _drift(self) -> None:
        """Compare the server's validators and indexes with the declarations: rules about no document."""
        try:
            found = await diff(self._store, self._registry)
        except EnforcementError as error:
            self._fail(f"Validators and indexes were not compared: {error}")
            return
        results = {each.name: each for each in self.result.collections}
        for each in found:
            result = results.get(each.collection)
            if result is None:
                if self._options.collections:
                    continue  # not one that was asked for
                result = results[each.collection] = CollectionResult(each.collection, complete=True)
                self.result.collections.append(result)
            self._add([each.violation], result)

    def _needed(self, entry: Entry) -> list[Entry]:
        """The entries whose collections are read for this one's audit."""
        targets = [each.target for each in entry.references] if self._options.wants_any(FOLLOWING) else []
        return list(dict.fromkeys([entry, *targets]))

    def _fail(self, why: str) -> None:
        self.result.failure = f"{self.result.failure} {why}" if self.result.failure else why

    async def _why(self, error: Exception, entry: Entry) -> str:
        if isinstance(error, PyMongoError):
            return reason(error)
        if isinstance(error, UnicodeEncodeError):
            # Read with its bytes kept apart; what it stands in, such as an _id, cannot be asked for by it.
            # And not quoted: this sentence stands in redacted reports too.
            return "a string in it is no valid UTF-8, and nothing can be looked up by it."
        if isinstance(error, InvalidDocument):
            return "a value in it is too large to be looked up, or BSON has no type for it."
        names = {each.collection: None for each in [entry, *self._needed(entry)]}
        for name in names:
            if (which := await unreadable(self._store, name)) is not None:
                return f"{which} of {name!r} is no valid BSON ({error}); delete or replace it."
        return f"a document is no valid BSON ({error})."

    def _unseen(self) -> None:
        """Say what a lost connection left unread: a collection without a result is not a clean one."""
        seen = {each.name for each in self.result.collections}
        for entry in self._entries:
            if entry.collection not in seen:
                self.result.collections.append(CollectionResult(entry.collection))

    async def _collection(
        self, entry: Entry, listed: Document, kinds: dict[str, str], result: CollectionResult
    ) -> None:
        if self.means.state is not None:
            # By what it refers to too: what was missing then is reported.
            stood = " ".join(self._identities.get(each.collection, "") for each in self._needed(entry))
            self.means.state.settle(entry.collection, stood)
        source = await describe(self._store, listed)
        result.documents = await self._many(source)
        known = Known(source, tuple(kinds.items()), self._after, self._declared)
        if self._after is not None and source.kind == "collection":
            # Once with a limit: a member that lags behind for long is told of, and not waited for.
            here = after(self._store, self._after)
            await here.find_one(source.name, {}, {"_id": 1}, max_time_ms=changes.LAG_MS)
        plan = known.plan(entry, self._options)
        known = await nearer(self._store, known, plan, self._options, self.means.pace)
        plan = known.plan(entry, self._options)
        pieces = Pieces(self._store, self._options, known, plan, self.means, watched=self._progress is not None)
        parts = await pieces.parts()
        self._tell(result)
        async for piece in pieces.of(list(tasks(plan, parts))):
            self._add(piece.violations, result)
            if self._options.sample is not None:
                self._count_documents(piece.violations, result)
            if piece.task.step == "partition":
                part = round(piece.task.partition.share * result.documents)
                self._read(result, piece.read or (part if piece.finished and not plan.reads else 0), plan)
        if (gone := await self._exchanged(entry, plan)) is not None:
            self._fail(
                f"The collection {gone!r} was dropped, renamed or replaced while {entry.collection!r} was read; run it "
                "again."
            )
            return
        if not plan.reads:
            result.scanned = result.documents
        result.done = plan.follows or not self._options.wants_any(FOLLOWING)
        result.complete = result.done and not plan.partial
        self._tell(result, finished=True)

    async def _exchanged(self, entry: Entry, plan: Plan) -> str | None:
        """Return the name of a collection that is not the one that it was: what is not there reads as an empty one."""
        now = {each["name"]: stands(each) for each in await self._store.collections()}
        for each in self._needed(entry) if plan.follows else [entry]:
            if now.get(each.collection) != self._identities[each.collection]:
                if self.means.state is not None:
                    self.means.state.settle(entry.collection, "")
                return each.collection
        return None

    async def _many(self, source: Source) -> int:
        if source.kind == "collection":  # kept by the server: to count is to read
            return await self._store.estimated_document_count(source.name)
        return await self._store.count_documents(source.name, {})

    def _read(self, result: CollectionResult, many: int, plan: Plan) -> None:
        result.scanned += many
        if not plan.reads:  # estimated, and less than all until the end
            result.scanned = min(result.scanned, result.documents - 1)
        self._tell(result)

    def _add(self, found: list[Violation], result: CollectionResult) -> None:
        for violation in found:
            if not self._options.wants(violation.code):
                continue
            # Known or new: the line of all audits would fall to nothing where a baseline is written.
            self._history[f"{result.name} {violation.code}"] += 1
            if self.baseline is not None and self.baseline.knows(violation):
                assert self.result.compared is not None
                self.result.compared.known += 1
                result.recognise(violation)
            else:
                result.add(violation)
                self.result.violations.add(violation)

    def _count_documents(self, found: list[Violation], result: CollectionResult) -> None:
        """Count each document once for each rule that it breaks, known to the baseline or not.

        A document's violations come one after the other, but for duplicates: each constraint's come together.
        """
        for violation in found:
            at = (violation.collection, key(violation.id))
            if violation.code == "UNQ001":
                if at not in self._twice:
                    self._twice.add(at)
                    result.faulty[violation.code] += self._options.wants(violation.code)
                continue
            if self._counted[0] != at:
                self._counted = (at, set())
            if violation.code not in self._counted[1] and self._options.wants(violation.code):
                self._counted[1].add(violation.code)
                result.faulty[violation.code] += 1

    def _tell(self, result: CollectionResult, *, finished: bool = False) -> None:
        if self._progress is not None:
            self._progress(
                Progress(result.name, result.scanned, result.documents, self.result.total, finished=finished)
            )


def _absent(entry: Entry, missing: Entry, database: str) -> str:
    what = f"The collection {missing.collection!r} of the model {missing.name} is not in the database {database!r}"
    if missing is entry:
        return f"{what}; check the database's name, or create the collection if it is meant to be empty."
    return f"{what}, and {entry.collection!r} refers to it; its references were not judged."
