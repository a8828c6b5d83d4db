"""What may stand at one path of a document: a tree in a normal form, read off the declarations.

Unions are flattened, so that a node says which scalars, which arrays and which objects are valid. Embedded models
that contain themselves make the tree a graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from integrity.declare import bson_type
from integrity.declare.constraint import Allow, Forbid, Marker
from integrity.declare.equality import token
from integrity.declare.policy import Policy

M = TypeVar("M", bound=Marker)


@dataclass(eq=False)
class Array:
    """An array that may stand at a node.

    Args:
        item: What its elements are.
        prefix: What the elements at fixed positions are, for a tuple.
        least: How many elements it has at least.
        most: How many elements it has at most; None for any number.
        distinct: Whether equal elements count once: it is a set in Python.
    """

    item: Node
    prefix: tuple[Node, ...] = ()
    least: int = 0
    most: int | None = None
    distinct: bool = False

    def at(self, index: int) -> Node:
        """The node of the element at `index`."""
        return self.prefix[index] if index < len(self.prefix) else self.item


@dataclass(eq=False)
class Field:
    """A declared field of an object.

    Args:
        name: Its name in the stored document.
        attribute: Its name in Python; differs for ``id`` and for fields with an alias.
        node: What may stand there.
        required: Whether it must be there.
        default: The core schema's default, when it has one: ``default`` or ``default_factory``.
    """

    name: str
    attribute: str
    node: Node
    required: bool
    default: Any = None


@dataclass(eq=False)
class Object:
    """An object that may stand at a node: a document, an embedded model, or a mapping.

    Args:
        fields: The declared fields by stored name; empty for a mapping.
        values: What every value is, for a mapping; what undeclared values are, where they are allowed.
        closed: Whether undeclared fields are a fault.
        model: The class that declares it, when one does.
        config: The configuration by which that class validates.
        policy: The policy in force inside, when the embedded model names its own.
        discriminator: The stored name and values that tell this object from the others of its union.
        least: How many fields a mapping has at least.
        most: How many fields a mapping has at most; None for any number.
    """

    fields: dict[str, Field] = field(default_factory=dict)
    values: Node | None = None
    closed: bool = True
    model: type | None = None
    config: Any = None
    policy: Policy | None = None
    discriminator: tuple[str, frozenset[Any]] | None = None
    least: int = 0
    most: int | None = None

    @property
    def mapping(self) -> bool:
        """Whether it is a mapping: any key, one kind of value."""
        return not self.fields and self.values is not None

    @property
    def hollow(self) -> bool:
        """Whether it has no field ever: a model without any, or a mapping of none."""
        return self.most == 0 or (self.closed and not self.fields and self.values is None)

    @property
    def judged_values(self) -> Node | None:
        """What undeclared values are judged by: a mapping's, or those of extra fields that have a declared type."""
        return self.values if self.values is not None and (self.mapping or not self.values.anything) else None


@dataclass(eq=False)
class Node:
    """What may stand at one path.

    Args:
        anything: Whether every BSON type is valid.
        nullable: Whether null is declared.
        scalars: The BSON aliases of the scalars that are valid.
        arrays: The arrays that are valid.
        objects: The objects that are valid.
        markers: The markers on the node.
        literals: The values that are declared one by one (``Literal``, enums): the policy lets them through.
        finite: False where the declaration itself lets NaN and infinity through.
        loose: Whether the fast validator of writes cannot tell what stands here (unions, sets, models and fields
            with functions of their own), so that values are looked at one by one.
        loose_stored: The same for the fast validator of stored documents.
        computed: Whether a function of the user's may make another value of what is offered here.
        beside: Whether such a function looks at the other fields, so that only a whole document tells what is stored.
    """

    anything: bool = False
    nullable: bool = False
    scalars: frozenset[str] = frozenset()
    arrays: tuple[Array, ...] = ()
    objects: tuple[Object, ...] = ()
    markers: tuple[Marker, ...] = ()
    literals: tuple[Any, ...] = ()
    finite: bool = True
    loose: bool = False
    loose_stored: bool = False
    computed: bool = False
    beside: bool = False

    def marker(self, kind: type[M]) -> M | None:
        """The node's marker of this kind, or None."""
        return next((each for each in self.markers if isinstance(each, kind)), None)

    @property
    def types(self) -> frozenset[str]:
        """Every BSON alias that is valid here, null aside."""
        return self.scalars | ({"array"} if self.arrays else set()) | ({"object"} if self.objects else set())

    def admits(self, value: Any) -> bool:
        """Whether the declaration names `value` itself (``Allow``, ``Literal``, an enum's member, ``tuple[()]``)."""
        if self.literals and token(value) in set(map(token, self.literals)):
            return True
        if any(each.admits(value) for each in self.markers if isinstance(each, Allow)):
            return True
        return not value and self.only(value)

    def only(self, empty: Any) -> bool:
        """Whether an array or object that holds nothing is the only one that is declared here."""
        if isinstance(empty, list | tuple):
            return any(each.most == 0 for each in self.arrays)
        return isinstance(empty, dict) and any(each.hollow for each in self.objects)

    def forbids(self, value: Any) -> tuple[str, str] | None:
        """Why a ``Forbid`` of the node refuses `value`, with what of it may quote the value; or None."""
        for each in self.markers:
            if isinstance(each, Forbid) and (reason := self._reason(each, value)):
                return reason
        return None

    def _reason(self, forbid: Forbid, value: Any) -> tuple[str, str] | None:
        try:
            reason = forbid.reason(value)
        except Exception as error:  # noqa: BLE001 - the function is the user's, and one value must not end an audit
            if not self.anything and bson_type.alias(value) not in self.types:
                return None  # it was not written for this type, which is a fault of its own
            return f"its Forbid(...) could not judge: {type(error).__name__}: {error}", str(error)
        return None if reason is None else (reason, "")


def union(options: list[Node]) -> Node:
    """Return the node where one of several may stand."""
    return Node(
        anything=any(each.anything for each in options),
        nullable=any(each.nullable for each in options),
        scalars=frozenset().union(*(each.scalars for each in options)),
        arrays=tuple(array for each in options for array in each.arrays),
        objects=tuple(found for each in options for found in each.objects),
        markers=tuple(marker for each in options for marker in each.markers),
        literals=tuple(value for each in options for value in each.literals),
        finite=all(each.finite for each in options),
        loose=any(each.loose for each in options),
        loose_stored=any(each.loose_stored for each in options),
        computed=any(each.computed for each in options),
        beside=any(each.beside for each in options),
    )
