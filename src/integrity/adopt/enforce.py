"""Moving constraints from stage to stage, in a system that goes on running.

From ``declared`` to ``warn`` nothing can break, so that nothing is asked. On the way to ``enforced`` the audit is
asked twice: before new faults are refused, and again after that, when none can come in any more between its reading
and the last step.

Guarded writes refuse what nobody has staged. A constraint that is on its way to ``enforced`` takes nothing of that
back: they log, and no more, only where somebody asked for ``warn`` or ``declared``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pymongo.errors import OperationFailure, PyMongoError, WriteConcernError
from pymongo.read_concern import ReadConcern

from integrity.adopt.findings import Findings, find
from integrity.adopt.selection import chosen
from integrity.audit.engine import OnProgress
from integrity.declare.registry import Entry, Registry
from integrity.declare.stage import COLLECTION, Constraint, Stage, Stages, of_entry
from integrity.server import actual as server
from integrity.server import side, state
from integrity.server.actual import Actual
from integrity.server.apply import failed
from integrity.server.drift import drift, ours
from integrity.server.indexes import indexes
from integrity.server.plan import plan
from integrity.server.step import take
from integrity.store.port import Store
from integrity.violation import Violation
from integrity.writes.references.durable import settled
from integrity.writes.staging import KEPT

#: Why a constraint is left to somebody else.
_OVERTAKEN = "another `integrity enforce` was begun meanwhile and moves it; run this again when that has ended"


@dataclass(frozen=True)
class Advance:
    """What became of one constraint.

    Args:
        constraint: Which.
        before: Its stage before.
        after: Its stage now.
        violations: How many the audit found that keep it from going further.
        examples: A few of them.
        reason: What else keeps it.
    """

    constraint: Constraint
    before: Stage
    after: Stage
    violations: int = 0
    examples: tuple[Violation, ...] = field(default=(), compare=False)
    reason: str = ""

    @property
    def held(self) -> bool:
        """Whether it did not get as far as it was asked to."""
        return bool(self.violations or self.reason)

    def __str__(self) -> str:
        moved = f"{self.before} → {self.after}" if self.before is not self.after else f"{self.after}"
        why = f": {self.reason}" if self.reason else ""
        if self.violations:
            why = f": {self.violations} violation{'s' if self.violations != 1 else ''}"
        return f"{self.constraint}: {moved}{why}"


async def enforce(
    store: Store,
    registry: Registry,
    names: Sequence[str] = (),
    *,
    to: Stage = Stage.ENFORCED,
    progress: OnProgress | None = None,
) -> tuple[Advance, ...]:
    """Move constraints to a stage, as far as the data lets them.

    Args:
        store: The database.
        registry: The declarations.
        names: The constraints' names, or collections'; all constraints without any.
        to: The stage. A lower one than a constraint has takes it back.
        progress: Called now and then with how far the audit is.

    Raises:
        EnforcementError: There is no such constraint, no right to, or the server does not answer.
        AuditError: The audit did not see everything; what was moved until then stays moved.
    """
    try:
        return await _Enforcing(store, registry, to, progress).run(chosen(registry, names))
    except PyMongoError as error:
        raise failed(error, store) from error


async def stages_now(store: Store, registry: Registry) -> dict[Constraint, Stage]:
    """Return the stage of every constraint: as recorded, and otherwise as far as the server enforces it already."""
    recorded = await state.read(store)
    actual = await server.read(store, registry)
    missing = {each.constraint for each in drift(registry, Stages({}), actual) if each.constraint is not None}
    served = {each: index for entry in registry for each, index in _served(entry)}
    found = {}
    for each in chosen(registry):
        there = actual.declared.get(each.collection)
        unrecorded = (
            each in missing
            or served.get(each) in missing
            or each.kind == "copy"
            or there is None
            or there.kind != "collection"
        )
        found[each] = recorded.of(each) or (Stage.DECLARED if unrecorded else Stage.ENFORCED)
    return found


def _served(entry: Entry) -> Iterator[tuple[Constraint, Constraint]]:
    """Yield the references that need no index of their own, each with a constraint whose index is theirs too."""
    there = indexes(entry)
    for each in of_entry(entry):
        if each.kind == "reference" and all(one.constraint != each for one in there):
            path = each.path.replace("[]", "")
            yield from ((each, one.constraint) for one in there if one.keys[0] == path)


class _Enforcing:
    def __init__(self, store: Store, registry: Registry, to: Stage, progress: OnProgress | None) -> None:
        self.store = store
        self.registry = registry
        self.to = to
        self.progress = progress
        self.advances: dict[Constraint, Advance] = {}
        self.recorded = Stages({})
        self.before: dict[Constraint, state.Recorded] = {}
        self.claim = ""

    async def run(self, constraints: Sequence[Constraint]) -> tuple[Advance, ...]:
        self.claim, held = await state.claim(self.store, constraints)
        try:
            return await self._run(constraints, held)
        finally:
            with suppress(PyMongoError):  # what is left says nothing of a stage
                await state.release(self.store, self.claim)

    async def _run(self, constraints: Sequence[Constraint], held: Sequence[Constraint]) -> tuple[Advance, ...]:
        # Read when nobody else moves them any more.
        now = await stages_now(self.store, self.registry)
        for each in constraints:
            self.advances[each] = Advance(each, now[each], now[each])
        actual = await server.read(self.store, self.registry)
        recorded = self.recorded = await state.read(self.store)
        for each in constraints:
            self.advances[each] = replace(self.advances[each], reason=self._barred(each, actual, recorded))
        everything, constraints = constraints, [each for each in constraints if not self.advances[each].reason]
        for each in constraints:
            if each not in held:
                self.advances[each] = replace(self.advances[each], reason=_OVERTAKEN)
        if self.to is not Stage.DECLARED:
            await side.create(self.store, self.registry)
        lowered = [each for each in constraints if now[each].rank > self.to.rank]
        await self._move(lowered, self.to)
        raised = [each for each in constraints if each not in lowered]
        # What is recorded may never have been done, or be undone by hand: a stage that is told is one that is there.
        there = [each for each in raised if recorded.of(each) is not None]
        # Recorded once more: who has recorded it before, and fails, is not to take it back.
        await self._record([each for each in there if now[each] is self.to], self.to)
        await self._follow(there)
        await self._raise(raised, min(self.to, Stage.WARN, key=lambda stage: stage.rank))
        if self.to is Stage.MODERATE:
            await self._raise(raised, Stage.MODERATE)
        elif self.to is Stage.ENFORCED:
            await self._enforce(raised)
        await self._note(constraints)
        # What was there already may be what another process has just done, and an election would take back.
        await settled(self.store, COLLECTION)
        await self._overtaken(constraints)
        return tuple(self.advances[each] for each in everything)

    async def _overtaken(self, constraints: Sequence[Constraint]) -> None:
        """Say of what another enforcement moves, or has moved, where it stands now."""
        kept = await state.claimed(self.store, self.claim)
        lost = [each for each in constraints if each.name not in kept]
        now = await stages_now(self.store, self.registry) if lost else {}
        for each in lost:
            self.advances[each] = Advance(each, self.advances[each].before, now[each], reason=_OVERTAKEN)

    def _barred(self, constraint: Constraint, actual: Actual, recorded: Stages) -> str:
        """Return why a constraint is left alone, or nothing."""
        there = actual.declared.get(constraint.collection)
        if there is None:
            return ""
        if there.kind != "collection":
            return f"{there.name} is a {there.kind}; enforce it where its documents are stored"
        entry = self.registry.by_collection(constraint.collection)
        assert entry is not None
        stage = recorded.of(constraint)
        foreign = bool(there.validator) and not ours(entry, there) and stage in {None, Stage.DECLARED}
        if constraint.kind == "schema" and foreign and self.to is not Stage.DECLARED:
            way_out = "`integrity apply --prune` replaces it" if stage is None else "take it off if nobody needs it"
            return f"{there.name} has a validator that this library did not make; {way_out}"
        return ""

    async def _note(self, constraints: Sequence[Constraint]) -> None:
        """Record what was at its stage already and never recorded: guarded writes go by the record."""
        known = (await state.read(self.store)).staged
        there = [each for each in constraints if self.advances[each].after is self.to and each.name not in known]
        await self._record(there, self.to)

    async def _enforce(self, constraints: Sequence[Constraint]) -> None:
        clean = await self._clean(constraints)
        # The server itself looks for duplicates when an index becomes unique, and takes no new ones meanwhile.
        await self._raise([each for each in clean if each.kind == "unique"], Stage.ENFORCED)
        clean = [each for each in clean if each.kind != "unique"]
        # New faults are refused before the last look for old ones: one that came in after the look would stay.
        await self._raise(clean, Stage.MODERATE)
        clean = [each for each in clean if not self.advances[each].held]
        logged = [each for each in clean if not self.recorded.refuses(each)]
        if logged:
            await self.store.sleep(KEPT)  # until every process has heard that it is to refuse
        # Of references and copies the server knows nothing: where guarded writes refused, nothing has changed.
        again = [each for each in clean if each.kind == "schema" or each in logged]
        looked_at = await self._clean(again)
        await self._raise([each for each in clean if each not in again or each in looked_at], Stage.ENFORCED)

    async def _clean(self, constraints: Sequence[Constraint]) -> list[Constraint]:
        """Return those that the audit finds unbroken; note of the others how they are broken."""
        # One that is enforced already is looked at too: what it was enforced over may have come in past it.
        # What a majority has: a repair that an election takes back would let what it has repaired be enforced over.
        await settled(self.store, COLLECTION)
        store = self.store.with_options(read_concern=ReadConcern("majority"))
        found = (await find(store, self.registry, constraints, progress=self.progress)).whole()
        for each in constraints:
            if found.counts[each]:
                self._hold(each, found)
        return [each for each in constraints if not found.counts[each]]

    def _hold(self, constraint: Constraint, found: Findings) -> None:
        self.advances[constraint] = replace(
            self.advances[constraint],
            violations=found.counts[constraint],
            examples=tuple(found.examples[constraint]),
        )

    async def _raise(self, constraints: Sequence[Constraint], stage: Stage) -> None:
        await self._move([each for each in constraints if self.advances[each].after.rank < stage.rank], stage)

    async def _move(self, constraints: Sequence[Constraint], stage: Stage) -> None:
        """Record the stage of constraints, and make the server follow."""
        constraints = [each for each in constraints if self.advances[each].reason != _OVERTAKEN]
        if not constraints:
            return
        # Recorded first: a process that ends between the two leaves a difference, which `integrity apply` mends.
        recorded = await self._record(constraints, stage)
        try:
            # A step to enforced comes after a look, and nothing else does for a validator.
            await self._follow(constraints, looked=True)
        except WriteConcernError:
            raise  # it is done, and perhaps not for long
        except OperationFailure:
            # What the server does not do is not what guarded writes go by either.
            await state.take_back(self.store, recorded)
            raise

    async def _record(self, constraints: Sequence[Constraint], stage: Stage) -> state.Recorded:
        if stage is self.to:
            recorded = await state.record(self.store, constraints, stage, self.claim)
        else:
            recorded = await state.passing(self.store, constraints, stage, self.claim)
        for each in constraints:
            if each in recorded.before:
                self.advances[each] = replace(self.advances[each], after=stage)
            else:
                self.advances[each] = replace(self.advances[each], reason=_OVERTAKEN)
        self._keep(recorded)
        return recorded

    def _keep(self, recorded: state.Recorded) -> None:
        """Remember what was recorded before this enforcement recorded anything."""
        for each, before in recorded.before.items():
            known = self.before.get(each)
            first = before if known is None else known.before[each]
            self.before[each] = state.Recorded(recorded.by, recorded.claim, {each: first})

    async def _follow(self, constraints: Sequence[Constraint], *, looked: bool = False) -> None:
        """Make the server do what is recorded of constraints; `looked` as `take` has it.

        What is done by a record that another enforcement has changed meanwhile is done again by the new one: whoever
        changes the server last has read the record after that, and both are the same.
        """
        if not constraints:
            return
        stages = await state.read(self.store)
        await self._make(constraints, stages, looked=looked)
        while (now := await state.read(self.store)).recorded != stages.recorded:
            stages = now
            await self._make(constraints, stages, looked=False)

    async def _make(self, constraints: Sequence[Constraint], stages: Stages, *, looked: bool) -> None:
        actual = await server.read(self.store, self.registry)
        made = plan(self.registry, stages, actual, known=frozenset(each.collection for each in constraints))
        collections = {each.collection for each in constraints}
        for step in made.steps:
            if step.constraint in constraints or (step.constraint is None and step.collection in collections):
                entry = self.registry.by_collection(step.collection)
                assert entry is not None
                reason = await take(self.store, entry, step, actual.declared.get(step.collection), looked=looked)
                about = step.constraint or Constraint(step.collection, "schema")
                if reason is not None and about in self.advances:
                    await self._take_back(about, reason)

    async def _take_back(self, constraint: Constraint, reason: str) -> None:
        advance = self.advances[constraint]
        refused = advance.after
        previous = Stage.MODERATE if refused is Stage.ENFORCED else advance.before
        if refused is Stage.ENFORCED:
            self._keep(await state.passing(self.store, [constraint], previous, self.claim))
        elif constraint in self.before:
            await state.take_back(self.store, self.before[constraint])
        self.advances[constraint] = replace(advance, after=previous, reason=advance.reason or reason)
        if refused is Stage.ENFORCED:
            await self._follow([constraint])  # the server may refuse that too
