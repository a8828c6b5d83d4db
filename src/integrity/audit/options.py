"""What an audit is asked to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from integrity.declare.registry import Entry, Registry
from integrity.errors import AuditError
from integrity.rules import RULES

_DRIFT = "DRF"


@dataclass(frozen=True)
class Options:
    """The scope of an audit.

    Args:
        collections: The collections to audit; empty for all that are declared.
        select: The codes, or beginnings of codes such as ``"EMP"``, to report; empty for all.
        ignore: The codes, or beginnings, not to report; wins over `select`.
        pushdown: Let the server find the suspects; without, every document is read and judged in Python. The
            findings are the same.
        partition: About how many documents a task reads; None for whole collections.

    Raises:
        AuditError: No rule has such a code.
    """

    collections: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    pushdown: bool = True
    partition: int | None = None

    def __post_init__(self) -> None:
        for name in ("collections", "select", "ignore"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for code in (*self.select, *self.ignore):
            if not code or not any(rule.code.startswith(code) for rule in RULES):
                families = ", ".join(sorted({rule.family for rule in RULES}))
                raise AuditError(f"No rule has the code {code!r}; `integrity rule` lists them (families: {families}).")

    def wants(self, code: str) -> bool:
        """Whether violations of this code are reported."""
        if self.ignore and code.startswith(self.ignore):
            return False
        return not self.select or code.startswith(self.select)

    @property
    def drift(self) -> bool:
        """Whether validators and indexes are compared: only when DRF is asked for, for they are about no document."""
        return any(code.startswith(_DRIFT) for code in self.select)

    def wants_any(self, codes: Iterable[str]) -> bool:
        """Whether violations of any of these codes are reported."""
        return any(map(self.wants, codes))

    def entries(self, registry: Registry) -> list[Entry]:
        """Return the entries to audit, in the order of their declaration.

        Raises:
            AuditError: A collection is not declared.
        """
        declared = {each.collection: each for each in registry}
        for name in self.collections:
            if name not in declared:
                known = ", ".join(sorted(declared))
                raise AuditError(f"No model declares the collection {name!r}; declared are {known}.")
        return [each for each in registry if not self.collections or each.collection in self.collections]
