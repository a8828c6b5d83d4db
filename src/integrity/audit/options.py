"""What an audit is asked to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from integrity.audit.columns import columns
from integrity.audit.severity import known
from integrity.audit.since import Since
from integrity.declare.registry import Entry, Registry
from integrity.errors import AuditError
from integrity.rules import RULES

_DRIFT = "DRF"

#: Where the suspects are found.
Where = Literal["auto", "server", "client"]


@dataclass(frozen=True)
class Options:
    """The scope of an audit.

    Args:
        collections: The collections to audit; empty for all that are declared.
        select: The codes, or beginnings of codes such as ``"EMP"``, to report; empty for all.
        ignore: The codes, or beginnings, not to report; wins over `select`.
        extend: The codes, or beginnings, to report besides those that are selected.
        warn: The codes, or beginnings, whose violations are reported and are no errors.
        pushdown: Let the server find the suspects; without, every document is read and judged in Python. The
            findings are the same.
        partition: About how many documents a task reads; None for whole collections.
        sample: The share of each collection's documents to look at, chosen by chance; None for all of them.
        since: Look only at documents that are new or changed since; None for all of them.
        suspects: Where the suspects are found: by the server, of which only they are fetched; by the client, in
            documents that are fetched as they are stored; ``"auto"``: where that is quicker.

    Raises:
        AuditError: No rule has such a code, none is left to look for, or the sample is no share.
    """

    collections: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    pushdown: bool = True
    partition: int | None = None
    extend: tuple[str, ...] = ()
    warn: tuple[str, ...] = ()
    sample: float | None = None
    since: Since | None = None
    suspects: Where = "auto"

    def __post_init__(self) -> None:
        for name in ("collections", "select", "ignore", "extend", "warn"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for code in (*self.select, *self.ignore, *self.extend, *self.warn):
            known(code)
        if not any(self.wants(rule.code) for rule in RULES):
            raise AuditError("Every rule that is selected is ignored or off: nothing is left to look for.")
        if self.sample is not None and not 0 < self.sample < 1:
            raise AuditError(f"A sample is a share between 0 and 1, such as 0.01; it is {self.sample:g}.")
        if self.suspects == "client" and not columns():
            raise AuditError(
                "To find the suspects in the client takes numpy, which is not installed: pip install "
                "'mongo-integrity[audit]', or let the server find them."
            )
        if self.sample is not None and self.since is not None:
            raise AuditError("A sample of what is new is too little to tell of; give a sample or a time, not both.")

    def wants(self, code: str) -> bool:
        """Whether violations of this code are reported."""
        if self.ignore and code.startswith(self.ignore):
            return False
        return not self.select or code.startswith((*self.select, *self.extend))

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the rules about documents whose violations are reported."""
        return tuple(rule.code for rule in RULES if self.wants(rule.code) and not rule.code.startswith(_DRIFT))

    @property
    def partial(self) -> str | None:
        """What of the collections was asked for, where it is less than everything; else None."""
        if self.sample is not None:
            return f"Only a sample of {100 * self.sample:.4g} % of the documents was asked for."
        return None if self.since is None else self.since.described

    @property
    def drift(self) -> bool:
        """Whether validators and indexes are compared: only when DRF is asked for, for they are about no document."""
        return any(code.startswith(_DRIFT) for code in (*self.select, *self.extend))

    def wants_any(self, codes: Iterable[str]) -> bool:
        """Whether violations of any of these codes are reported."""
        return any(map(self.wants, codes))

    def looks(self, code: str, collection: str, registry: Registry) -> bool:
        """Whether violations of a code in a collection are looked for, where the registry is audited."""
        if not self.wants(code) or (self.collections and collection not in self.collections):
            return False
        if code.startswith(_DRIFT):
            return self.drift
        return registry.by_collection(collection) is not None

    @property
    def narrowed(self) -> bool:
        """Whether fewer collections or rules were asked for than there are."""
        return bool(self.collections or self.select or self.ignore)

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
