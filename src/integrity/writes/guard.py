"""The guard of one model: what every write of its documents is judged by and goes through."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

from integrity.declare.constraint import Immutable, Owner
from integrity.declare.registry import Entry, Registry
from integrity.declare.shape import Place
from integrity.errors import UnguardedWrite
from integrity.rules.judge import Judge
from integrity.rules.ownership import foreign_write
from integrity.rules.rule import At
from integrity.store.port import Store
from integrity.violation import Violation
from integrity.writes.copies.keeping import Keeper
from integrity.writes.references import References
from integrity.writes.staging import Staging
from integrity.writes.unique import Indexes

#: An actor that is openly not restricted.
EVERYBODY = "*"

Acts = Literal["inserted", "replaced", "deleted"]


@dataclass(frozen=True, eq=False)
class Guard:
    """Everything that an operation on one model's documents needs.

    Args:
        store: The database.
        registry: All models.
        entry: The model.
        judge: The verdict over one document.
        actor: Who writes; ``"*"`` is not restricted, None owns nothing.
        references: How references are kept from dangling.
        indexes: What is known of the unique indexes.
    """

    store: Store
    registry: Registry
    entry: Entry
    judge: Judge
    actor: str | None
    references: References
    indexes: Indexes

    @property
    def copies(self) -> Keeper:
        """How copies are kept equal to their owners."""
        return self.references.copies

    @property
    def staging(self) -> Staging:
        """How far constraints have been introduced."""
        return self.indexes.staging

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self.entry.collection

    def over(self, store: Store) -> Self:
        """Return the same guard over another store, such as one with another write concern."""
        return replace(self, store=store)

    def owns(self, owners: tuple[str, ...]) -> bool:
        """Whether the actor is one of `owners`; what nobody owns is everybody's."""
        return not owners or self.actor == EVERYBODY or self.actor in owners

    @cached_property
    def owned(self) -> bool:
        """Whether the actor owns the model: may insert, replace and delete its documents."""
        return self.owns(self.entry.owner)

    @cached_property
    def foreign(self) -> tuple[tuple[Place, Owner], ...]:
        """The fields that belong to another actor."""
        return tuple(
            (each, owner)
            for each in self.entry.places
            if (owner := each.node.marker(Owner)) is not None and not self.owns(owner.actors)
        )

    @cached_property
    def immutable(self) -> tuple[Place, ...]:
        """The fields that are written once."""
        return tuple(each for each in self.entry.places if each.node.marker(Immutable))

    @cached_property
    def filled(self) -> frozenset[str]:
        """The top-level fields that every write fills in where they are not given."""
        revision = [self.entry.revision] if self.entry.revision is not None else []
        return frozenset(each.steps[0] for each in (*(copy.place for copy in self.entry.copies), *revision))

    @cached_property
    def carried(self) -> frozenset[str]:
        """The top-level fields that a replacement takes over from what it replaces where they are not given."""
        kept = (*self.immutable, *(place for place, _ in self.foreign))
        return self.filled | {each.steps[0] for each in kept}

    @cached_property
    def beside(self) -> tuple[Place, ...]:
        """The values that a validator makes of what is offered by looking at the other fields; a set has no places."""
        found = []
        for each in self.entry.places:
            outer = self.entry.node(each.steps[:-1]) if each.steps[-1] == "[]" else None
            if each.node.beside and not each.node.objects and not (outer and any(one.distinct for one in outer.arrays)):
                found.append(each)
        return tuple(found)

    @cached_property
    def repeated(self) -> tuple[Place, ...]:
        """The places where a unique value may stand more than once in one document, which no index sees."""
        return tuple(place for key in self.entry.uniques for place in key.places if "[]" in place.steps)

    @cached_property
    def simple(self) -> bool:
        """Whether the judge alone decides: nothing to look up, to fill in or to keep from other actors."""
        return self.judged and not self.entry.references

    @cached_property
    def judged(self) -> bool:
        """Whether the judge decides about everything but references."""
        entry = self.entry
        return self.owned and not (entry.copies or entry.revision or entry.derived or self.foreign or self.repeated)

    @cached_property
    def plain(self) -> bool:
        """Whether an update is about the values that it writes, and nothing else that is kept."""
        return self.simple and not (self.immutable or self.entry.copied or self.references.keyed(self))

    @cached_property
    def direct(self) -> bool:
        """Whether an update of places without markers is about the values that it writes, and nothing else.

        What others refer to is unique, and bears that marker: no declaration lets a reference name anything else.
        """
        return self.judged and not self.entry.copied

    def trespass(self, act: Acts, id: Any = None) -> Violation | None:
        """Return what is wrong when the actor does not own the model, or None."""
        if self.owned:
            return None
        at = At(self.collection, id, "", "")
        return foreign_write.RULE.violation(at, foreign_write.fault(self.actor, self.entry.owner, act))


def sendable(session: Any, comment: Any = None, **options: Any) -> dict[str, Any]:
    """Return the options that were given: PyMongo's defaults are left to PyMongo."""
    if session is not None:
        options["session"] = session
    if comment is not None:
        options["comment"] = comment
    return {name: value for name, value in options.items() if value is not None} if options else options


#: What the command behind ``find_one_and_*`` may be given besides, as PyMongo hands it on: nothing that says what is
#: written, or where.
_OF_THE_COMMAND = frozenset(
    {"array_filters", "collation", "comment", "hint", "let", "maxTimeMS", "projection", "sort", "writeConcern"}
)


def commanded(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a ``find_one_and_*``; PyMongo hands on what it does not know, past its own arguments.

    Raises:
        UnguardedWrite: One of them would change what is written, or where.
    """
    for name in ("bypass_document_validation", "bypassDocumentValidation"):
        refuse_bypass(options.pop(name, None))
    for name in options:
        if name not in _OF_THE_COMMAND:
            raise UnguardedWrite(
                f"{name}= would go into the server's command unguarded; use PyMongo's named arguments, or "
                "`unsafe_raw`, which says so."
            )
    return {name: value for name, value in options.items() if value is not None}


def refuse_bypass(bypass: object) -> None:
    """Refuse ``bypass_document_validation=True``.

    Raises:
        UnguardedWrite: It is true.
    """
    if bypass:
        raise UnguardedWrite(
            "bypass_document_validation=True asks for an unguarded write; write through `unsafe_raw`, which says so."
        )
