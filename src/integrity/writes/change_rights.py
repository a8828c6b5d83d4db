"""Who may change what, judged by what a write has changed: what it mentions and leaves as it was is nobody's affair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from integrity.declare.constraint import Owner
from integrity.declare.equality import same
from integrity.declare.extract import ABSENT, Path, values_at
from integrity.declare.shape import Place, declared_path
from integrity.rules.judge import dotted
from integrity.rules.ownership import foreign_write
from integrity.rules.rule import At
from integrity.violation import Violation
from integrity.writes.change import Change
from integrity.writes.copies.spots import spots

if TYPE_CHECKING:
    from integrity.writes.guard import Guard


def trespassed(guard: Guard, change: Change) -> Iterator[Violation]:
    """Yield what a write has changed and belongs to another actor.

    Args:
        guard: The model's guard.
        change: The document, before and after; without a before it was inserted.
    """
    if guard.owned and not guard.foreign:
        return
    name = change.after.get("_id")
    if change.before is None and (whole := guard.trespass("inserted", name)) is not None:
        yield whole
        return
    for place, owner in guard.foreign:
        for path, *sides in differences(place, change):
            old, new = (each[0] if each else ABSENT for each in sides)
            for at in list(_changed(old, new, path)) or [path]:
                yield _violation(guard, name, at, owner.actors)
    if guard.owned or change.before is None:
        return
    # What nobody has been named for is the model's owner's, except what the library itself keeps. A copy without its
    # reference follows nobody: it is the document's own.
    entry = guard.entry
    apart = [each.steps for each in entry.places if each.node.marker(Owner) is not None]
    apart += [each.steps for each in entry.derived]
    apart += [entry.revision.steps] if entry.revision is not None else []
    both = (change.before, change.after)
    copies = {spot.path for copy in entry.copies for each in both for spot in spots(copy, each)}
    for path in _changed(change.before, change.after, ()):
        if not any(_within(path, steps) for steps in apart) and copies.isdisjoint(_above(path)):
            yield _violation(guard, name, path, entry.owner)


def differences(place: Place, change: Change) -> Iterator[tuple[Path, list[Any], list[Any]]]:
    """Yield where the values at a place differ: the path, what stood there and what stands there now."""
    before = {} if change.before is None else dict(values_at(change.before, place.steps))
    after = dict(values_at(change.after, place.steps))
    for path in dict.fromkeys([*before, *after]):
        old = [before[path]] if path in before else []
        new = [after[path]] if path in after else []
        if len(old) != len(new) or not all(map(same, old, new)):
            yield path, old, new


def _changed(before: Any, after: Any, path: Path) -> Iterator[Path]:
    """Yield the paths of the values that differ, as far down as they can be told apart."""
    holders = [each for each in (before, after) if isinstance(each, dict)]
    if holders and all(isinstance(each, dict) or each is ABSENT for each in (before, after)) and any(holders):
        for name in dict.fromkeys(name for each in holders for name in each):
            inner = [each.get(name, ABSENT) if isinstance(each, dict) else ABSENT for each in (before, after)]
            yield from _changed(inner[0], inner[1], (*path, name))
    elif isinstance(before, list) and isinstance(after, list):
        for at in range(max(len(before), len(after))):
            inner = [each[at] if at < len(each) else ABSENT for each in (before, after)]
            yield from _changed(inner[0], inner[1], (*path, at))
    elif before is not after and (before is ABSENT or after is ABSENT or not same(before, after)):
        yield path


def _above(path: Path) -> Iterator[Path]:
    """Yield a path, and those that it lies below."""
    return (path[:length] for length in range(len(path) + 1))


def _within(path: Path, steps: tuple[str, ...]) -> bool:
    """Whether a concrete path is at or below a declared place."""
    return len(path) >= len(steps) and all(
        declared == "[]" if isinstance(step, int) else declared in {"*", step}
        for step, declared in zip(path, steps, strict=False)
    )


def _violation(guard: Guard, id: Any, path: Path, owners: tuple[str, ...]) -> Violation:
    field = declared_path(tuple("[]" if isinstance(step, int) else step for step in path))
    at = At(guard.collection, id, dotted(path), field)
    return foreign_write.RULE.violation(at, foreign_write.fault(guard.actor, owners, "written"))
