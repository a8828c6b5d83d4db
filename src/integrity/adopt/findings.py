"""What the audit finds of each constraint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from integrity.audit import Options, audit
from integrity.audit.engine import OnProgress
from integrity.declare.registry import Registry
from integrity.declare.stage import Constraint
from integrity.errors import AuditError
from integrity.store.port import Store
from integrity.violation import Violation

#: Violations of one constraint that are kept to be shown.
EXAMPLES = 5


@dataclass(frozen=True)
class Findings:
    """How often each constraint is broken.

    Args:
        counts: By constraint.
        examples: A few violations of each.
        unseen: Why not everything was seen, in one sentence; by the collections of which it was not.
    """

    counts: Counter[Constraint] = field(default_factory=Counter)
    examples: Mapping[Constraint, list[Violation]] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)

    def whole(self) -> Findings:
        """Return these.

        Raises:
            AuditError: Not everything was seen: nothing may be concluded then.
        """
        if reason := next(iter(self.unseen.values()), ""):
            raise AuditError(f"the audit is incomplete. {reason}")
        return self


async def find(
    store: Store,
    registry: Registry,
    constraints: Sequence[Constraint],
    *,
    progress: OnProgress | None = None,
) -> Findings:
    """Audit what these constraints are about, and sort what is found by them."""
    if not constraints:
        return Findings()
    collections = tuple(dict.fromkeys(each.collection for each in constraints))
    codes = tuple(dict.fromkeys(code for each in constraints for code in each.codes))
    counts: Counter[Constraint] = Counter()
    examples: dict[Constraint, list[Violation]] = {}
    options = Options(collections=collections, select=codes)
    with await audit(store, registry, options, progress=progress) as result:
        parts = [each.name for each in result.collections if not each.complete] or collections
        unseen = {} if result.complete else dict.fromkeys(parts, result.unseen)
        for violation in result.violations:
            for each in constraints:
                if each.broken_by(violation):
                    counts[each] += 1
                    if len(shown := examples.setdefault(each, [])) < EXAMPLES:
                        shown.append(violation)
    return Findings(counts, examples, unseen)
