"""Making the server enforce what is declared.

Safe to run by many processes at once, as applications do when they start: every step may find that another process
has just taken it. Nothing is locked; each step is one command that MongoDB itself does or refuses as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from integrity.declare.registry import Registry
from integrity.declare.stage import COLLECTION, Constraint, Stage, Stages
from integrity.errors import EnforcementError
from integrity.server import actual as server
from integrity.server import side, state
from integrity.server.actual import Actual
from integrity.server.drift import Drift, drift, ours
from integrity.server.plan import Plan, Step, plan
from integrity.server.step import HELD, at_fault, take
from integrity.store.failure import sentence
from integrity.store.port import Store
from integrity.writes.references.durable import settled

# https://www.mongodb.com/docs/manual/reference/error-codes/
_UNAUTHORIZED = 13


@dataclass(frozen=True)
class Applied:
    """What was done.

    Args:
        plan: What was to be done, and what was left as it is.
        done: The steps that were done; none after a dry run.
        blocked: The steps that the server refused, each with the reason and the way out.
    """

    plan: Plan
    done: tuple[Step, ...] = ()
    blocked: tuple[tuple[Step, str], ...] = ()

    def raise_if_blocked(self) -> None:
        """Raise when something that is declared is not enforced.

        Raises:
            EnforcementError: It names each step that was refused.
        """
        if self.blocked:
            raise EnforcementError("\n".join(f"{step}: {reason}" for step, reason in self.blocked))

    def __str__(self) -> str:
        if self.plan.steps and not (self.done or self.blocked):
            return str(self.plan)  # a dry run
        lines = [f"done: {step}" for step in self.done]
        lines += [f"refused: {step}: {reason}" for step, reason in self.blocked]
        lines += [f"left as it is: {each} {each.fault.hint}" for each in self.plan.left]
        nothing = [] if self.plan.steps else ["Nothing was to be done."]
        return "\n".join([*lines, *self.plan.notes, *nothing])

    def to_json(self) -> dict[str, Any]:
        """Return what was done as a JSON-ready dict."""
        blocked = [{**step.to_json(), "reason": reason} for step, reason in self.blocked]
        return {"plan": self.plan.to_json(), "done": [each.to_json() for each in self.done], "blocked": blocked}


async def diff(store: Store, registry: Registry) -> tuple[Drift, ...]:
    """Return where the server differs from the declarations. Reads only.

    Raises:
        EnforcementError: The database cannot be read.
    """
    try:
        return drift(registry, await state.read(store), await server.read(store, registry))
    except PyMongoError as error:
        raise failed(error, store) from error


async def apply(store: Store, registry: Registry, *, dry_run: bool = False, prune: bool = False) -> Applied:
    """Create collections, validators and indexes as declared, and mend those that are different. Idempotent.

    A constraint without a recorded stage is enforced: but a validator over documents that it would refuse only
    warns, until ``integrity enforce`` finds them repaired. One that was enforced before and is to be set again, as of a
    collection that was restored, refuses new faults first; if old ones are there, it stays at that (``moderate``).

    Args:
        store: The database.
        registry: The declarations.
        dry_run: Only say what would be done.
        prune: Drop indexes that nothing declares, hidden first, and replace validators that this library did not
            make.

    Raises:
        EnforcementError: The database user has no right to, or the server does not answer.
    """
    try:
        actual = await server.read(store, registry)
        stages = await state.read(store)
        known = frozenset(name for name in actual.declared if stages.of(Constraint(name, "schema")) is not None)
        found, notes = await _found_out(store, registry, stages, actual, prune=prune)
        if not dry_run:
            for constraint, stage in found.items():
                await state.note(store, constraint, stage)
            stages = await state.read(store)  # another process may have been first
        else:
            stages = Stages({**{each.name: stage for each, stage in found.items()}, **stages.recorded}, stages.staged)
        made = plan(registry, stages, actual, prune=prune, known=known)
        made = replace(made, notes=(*made.notes, *notes))
        if dry_run:
            return Applied(await _foreseen(store, registry, made))
        applied = await _act(store, registry, made, actual)
        return await _as_recorded(store, registry, applied, stages, prune=prune, known=known)
    except PyMongoError as error:
        raise failed(error, store) from error


async def _found_out(
    store: Store, registry: Registry, stages: Stages, actual: Actual, *, prune: bool
) -> tuple[dict[Constraint, Stage], list[str]]:
    """Return the stage of each validator that has none recorded: enforced, unless there is what it would refuse."""
    found: dict[Constraint, Stage] = {}
    notes = []
    for entry in registry:
        constraint = Constraint(entry.collection, "schema")
        collection = actual.declared.get(entry.collection)
        if stages.of(constraint) is Stage.WARN and constraint.name not in stages.staged:
            notes.append(f"{entry.collection}: its validator warns only; `integrity enforce` goes on when it is clean.")
        if stages.of(constraint) is Stage.MODERATE and constraint.name not in stages.staged:
            notes.append(
                f"{entry.collection}: its validator refuses new faults only; `integrity enforce` goes on when it is "
                "clean."
            )
        if stages.of(constraint) is not None or (collection is not None and collection.kind != "collection"):
            continue
        if collection is not None and collection.validator and not ours(entry, collection) and not prune:
            continue  # somebody else's, and left alone
        found[constraint] = Stage.ENFORCED
        if collection is not None and await at_fault(store, entry):
            found[constraint] = Stage.WARN
            notes.append(
                f"{entry.collection}: holds documents that its validator would refuse, so it warns only; "
                f"`integrity audit` lists them, `integrity enforce` goes on when they are repaired."
            )
    return found, notes


async def _foreseen(store: Store, registry: Registry, made: Plan) -> Plan:
    """Return a plan with what its steps would find."""
    steps, notes = [], []
    for step in made.steps:
        entry = registry.by_collection(step.collection)
        if entry is not None and _enforces(step) and await at_fault(store, entry):
            steps.append(replace(step, stage=Stage.MODERATE))
            notes.append(f"{step.collection}: {HELD}")
        else:
            steps.append(step)
    return replace(made, steps=tuple(steps), notes=(*made.notes, *notes))


def _enforces(step: Step) -> bool:
    return step.act == "set validator" and step.stage is Stage.ENFORCED


async def _act(store: Store, registry: Registry, made: Plan, actual: Actual) -> Applied:
    done: list[Step] = []
    notes: list[str] = []
    blocked: list[tuple[Step, str]] = []
    own = [step for step in made.steps if step.collection.startswith(server.OWN)]
    for step in made.steps:
        if step in own:
            continue
        entry = registry.by_collection(step.collection)
        assert entry is not None
        reason = await take(store, entry, step, actual.declared.get(step.collection))
        if reason is None:
            done.append(step)
        elif reason == HELD:
            # Found out, and asked for by nobody: guarded writes refuse all the same.
            await state.lower(store, Constraint(step.collection, "schema"), Stage.MODERATE)
            done.append(replace(step, stage=Stage.MODERATE))
            notes.append(f"{step.collection}: {reason}")
        else:
            blocked.append((step, reason))
    await side.create(store, registry)
    # Nor may be taken back what another process has done just before, and was not done here.
    await settled(store, COLLECTION)
    return Applied(replace(made, notes=(*made.notes, *notes)), (*done, *own), tuple(blocked))


async def _as_recorded(
    store: Store, registry: Registry, applied: Applied, stages: Stages, *, prune: bool, known: frozenset[str]
) -> Applied:
    """Do again, by the new record, what was done by one that an enforcement has changed meanwhile."""
    while (now := await state.read(store)).recorded != stages.recorded:
        stages, actual = now, await server.read(store, registry)
        more = await _act(store, registry, plan(registry, stages, actual, prune=prune, known=known), actual)
        steps = (*applied.plan.steps, *more.plan.steps)
        notes = tuple(dict.fromkeys((*applied.plan.notes, *more.plan.notes)))
        made = replace(more.plan, steps=steps, notes=notes)
        applied = Applied(made, (*applied.done, *more.done), more.blocked)
    return applied


def failed(error: PyMongoError, store: Store) -> EnforcementError:
    """Return the error for what the server refused, in one sentence."""
    if isinstance(error, OperationFailure) and error.code == _UNAUTHORIZED:
        what = str((error.details or {}).get("errmsg") or error).split(" to execute command")[0]
        return EnforcementError(
            f"The server refused: {what}; the user needs the roles readWrite and dbAdmin on {store.name!r}, "
            "and for a comparison alone the role read."
        )
    return EnforcementError(sentence(error, "The server"))
