"""The refusal of a delete, or of a change of a key, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from integrity.declare.registry import Reference
from integrity.errors import Referrers, RestrictedDelete, RestrictedUpdate, explain
from integrity.rules.reference import restricted_delete, restricted_update
from integrity.rules.rule import At
from integrity.violation import IDENTITY, Violation, quote
from integrity.writes.references.plan import EXAMPLES, Child, DeletePlan


def refuse(plan: DeletePlan) -> None:
    """Raise what a plan is refused for, if it is.

    Raises:
        RestrictedDelete: Something says ``restrict``.
    """
    if plan.allowed:
        return
    asked = plan.roots
    referrers = [_referrers(each) for each in _by_reference(plan.restricted)]
    violations = []
    for reference, found in zip(_by_reference(plan.restricted), referrers, strict=True):
        entry = reference[0].reference.target
        at = At(entry.collection, asked[0].id if len(asked) == 1 and entry is plan.entry else None, "", "")
        fault = restricted_delete.fault(f"{found.collection}.{found.path}", found.count, found.ids)
        violations.append(restricted_delete.RULE.violation(at, fault))
    raise RestrictedDelete(violations, f"{plan.entry.name}, collection {explain(violations)}", referrers)


def unable(child: Child, why: str) -> RestrictedDelete:
    """Return the refusal of a delete whose ``set_null`` cannot happen.

    Args:
        child: The document that would lose its reference.
        why: The end of the sentence: why it cannot, and what to do.
    """
    found = _referrers([child])
    target = child.reference.target
    fault = restricted_delete.fault(f"{found.collection}.{found.path}", found.count, found.ids)
    violation = restricted_delete.RULE.violation(At(target.collection, None, "", ""), fault)
    return RestrictedDelete(
        [violation],
        f"{target.name}, collection {target.collection}: the delete would take the reference "
        f"{found.collection}.{found.path} from the document {quote(child.id, IDENTITY)}, {why}",
        [found],
    )


def unchanged(
    child: Child, why: str = "which cannot be written back as it is; change that document first."
) -> RestrictedUpdate:
    """Return the refusal of a change of a key that a document which refers to it cannot be given.

    Args:
        child: The document.
        why: The end of the sentence: why it cannot, and what to do.
    """
    target, name = child.reference.target.collection, child.reference.field
    refused = refused_change(target, None, name, [child])
    return RestrictedUpdate(
        [refused],
        f"{target}: the change of {name} would change the reference {child.reference.entry.collection}."
        f"{child.reference.path} of the document {quote(child.id, IDENTITY)}, {why}",
        [refused.referrers] if refused.referrers is not None else [],
    )


@dataclass(frozen=True, slots=True)
class Referred(Violation):
    """A change of a key that others refer to, with who they are: what its `RestrictedUpdate` names.

    Args:
        referrers: They.
    """

    referrers: Referrers | None = field(default=None, compare=False)


def refused_change(collection: str, id: Any, name: str, children: Sequence[Child]) -> Referred:
    """Return what is wrong with a change of a key.

    Args:
        collection: The collection of the document whose key changes.
        id: Its ``_id``.
        name: The key's stored name.
        children: Who refers to it, by one reference.
    """
    found = _referrers(children)
    fault = restricted_update.fault(f"{found.collection}.{found.path}", found.count, found.ids)
    violation = restricted_update.RULE.violation(At(collection, id, name, name), fault)
    return Referred(**{each.name: getattr(violation, each.name) for each in fields(violation)}, referrers=found)


def _by_reference(children: Sequence[Child]) -> list[list[Child]]:
    found: dict[Reference, list[Child]] = {}
    for each in children:
        found.setdefault(each.reference, []).append(each)
    return list(found.values())


def _referrers(children: Sequence[Child]) -> Referrers:
    reference = children[0].reference
    ids = tuple(each.id for each in children[:EXAMPLES])
    return Referrers(reference.entry.collection, reference.path, len(children), ids)
