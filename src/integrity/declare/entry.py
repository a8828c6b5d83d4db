"""What the registry knows of one model: its shape, its references, copies and unique keys, and its validators."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic_core import SchemaValidator

from integrity.declare import shape
from integrity.declare.constraint import Derived, Ref, Revision, Unique
from integrity.declare.model import Model
from integrity.declare.policy import Policy
from integrity.declare.shape import Node, Object, Place
from integrity.declare.validator import partial_validator, reader, validator


@dataclass(frozen=True, eq=False)
class Reference:
    """A declared reference, its names resolved.

    Args:
        entry: The entry that it is declared in.
        place: Where its values stand.
        ref: The marker.
        target: The entry that it refers to.
        field: The stored name of the field that it refers to.
    """

    entry: Entry
    place: Place
    ref: Ref
    target: Entry
    field: str

    @property
    def path(self) -> str:
        """The declared path."""
        return self.place.path

    @property
    def nullable(self) -> bool:
        """Whether null may stand where the reference stands (or, for an array's element, whether it can go)."""
        return self.place.node.nullable or self.place.steps[-1] == "[]"

    @cached_property
    def protected(self) -> bool:
        """Whether it is kept from dangling: not where the declaration says that it may be left so."""
        return self.ref.on_delete != "no_action" or (self.field != "_id" and self.ref.on_update != "no_action")

    @property
    def fixed(self) -> bool:
        """Whether it is the element of a tuple, whose elements cannot go."""
        outer = self.entry.node(self.place.steps[:-1]) if self.place.steps[-1] == "[]" else None
        return outer is not None and any(each.prefix for each in outer.arrays)

    def __str__(self) -> str:
        return f"{self.entry.model.__name__}.{self.path}"


@dataclass(frozen=True, eq=False)
class Copy:
    """A declared copy, its names resolved.

    Args:
        entry: The entry that it is declared in.
        place: Where its values stand.
        via: The reference whose target holds the original.
        field: The stored name (dotted, for an embedded field) of the original in that target.
    """

    entry: Entry
    place: Place
    via: Reference
    field: str

    @property
    def path(self) -> str:
        """The declared path."""
        return self.place.path

    def __str__(self) -> str:
        return f"{self.entry.model.__name__}.{self.path}"


@dataclass(frozen=True, eq=False)
class UniqueKey:
    """A declared unique constraint.

    Args:
        unique: The marker.
        places: Where its values stand, one for each field of the constraint.
    """

    unique: Unique
    places: tuple[Place, ...]

    @property
    def path(self) -> str:
        """The declared paths, joined by ``", "``."""
        return ", ".join(each.path for each in self.places)


@dataclass(eq=False)
class Entry:
    """One model with a collection, and everything that the registry knows of it.

    Args:
        model: The class.
        collection: Its collection's name.
        owner: The actors that insert and delete; empty where anybody may.
        policy: The policy in force.
        document: The shape of its documents.
        places: Every declared place.
        computed: Whether a function of the model's own may change a document that is offered as a whole.
        loose: Whether the fast validator of writes cannot see through the document, since the model wants an instance.
        loose_stored: The same for the fast validator of stored documents.
    """

    model: type[Model]
    collection: str
    owner: tuple[str, ...]
    policy: Policy
    document: Object
    places: tuple[Place, ...]
    references: list[Reference] = field(default_factory=list)
    referrers: list[Reference] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    copied: list[Copy] = field(default_factory=list)
    uniques: list[UniqueKey] = field(default_factory=list)
    computed: bool = False
    loose: bool = False
    loose_stored: bool = False

    @property
    def name(self) -> str:
        """The model's class name."""
        return self.model.__name__

    @property
    def schema(self) -> Any:
        """The core schema of its documents."""
        return self.model.__pydantic_core_schema__

    @cached_property
    def write_validator(self) -> SchemaValidator:
        """Validates what is offered into what is stored."""
        return validator(self.schema, "write")

    @cached_property
    def stored_validator(self) -> SchemaValidator:
        """Passes what is stored as declared, strictly."""
        return validator(self.schema, "stored")

    @cached_property
    def write_glance(self) -> SchemaValidator:
        """Validates as `write_validator` does, and refuses what the policy may refuse."""
        return validator(self.schema, "write", self.policy)

    @cached_property
    def stored_glance(self) -> SchemaValidator:
        """Passes what `stored_validator` passes, without what the policy may refuse."""
        return validator(self.schema, "stored", self.policy)

    @cached_property
    def partial_validator(self) -> SchemaValidator:
        """Validates the fields that are given, each by itself, into what is stored."""
        return partial_validator(self.schema)

    @cached_property
    def reader(self) -> SchemaValidator:
        """Makes an instance of a stored document, whatever codec options it was read with."""
        return reader(self.schema)

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        """What the ``_id`` may be called in what is offered: also ``id``, unless a field of its own is stored so."""
        return ("_id",) if "id" in self.document.fields else ("_id", "id")

    def node(self, steps: tuple[str, ...]) -> Node | None:
        """Return what is declared at the steps of a declared path, or None."""
        return next((each.node for each in self.places if each.steps == steps), None)

    def place(self, attribute: str) -> Place | None:
        """Return the place of a top-level or dotted field by its Python names, or else its stored ones, or None."""
        steps: list[str] = []
        fields = self.document.fields
        found: shape.Field | None = None
        for name in attribute.split("."):
            # Python's first: `id` is the _id, also where another field is stored as "id".
            found = next((each for each in fields.values() if each.attribute == name), None) or fields.get(name)
            if found is None:
                return None
            steps.append(found.name)
            fields = {k: v for each in found.node.objects for k, v in each.fields.items()}
        return Place(tuple(steps), found.node, found) if found else None

    @cached_property
    def derived(self) -> tuple[Place, ...]:
        """The fields that are computed from others, those of embedded models before those of what holds them."""
        found = [each for each in self.places if each.node.marker(Derived)]
        return tuple(sorted(found, key=lambda each: -len(each.steps)))

    @cached_property
    def kept(self) -> tuple[Reference, ...]:
        """Its references that are kept from dangling, or that copies follow.

        What copies follow is pinned even if it may dangle: a pin orders the copy's writer and its owner's.
        """
        followed = {id(each.via) for each in self.copies}
        return tuple(each for each in self.references if each.protected or id(each) in followed)

    @cached_property
    def revision(self) -> Place | None:
        """The field that counts writes, or None."""
        return next((each for each in self.places if each.node.marker(Revision)), None)
