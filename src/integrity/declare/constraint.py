"""The markers: what pydantic has no word for.

Each is put into ``Annotated[...]`` at a field, an array's element or a mapping's value. A marker carries its
meaning and nothing else; it travels in the pydantic core schema's metadata, so that it is found at any depth,
also inside lists and unions.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from integrity.declare import codec
from integrity.declare.equality import token
from integrity.errors import DeclarationError

#: The key under which a core schema's metadata lists the markers of its node.
METADATA_KEY = "integrity"

OnDelete = Literal["restrict", "cascade", "set_null", "no_action"]
OnUpdate = Literal["restrict", "cascade", "no_action"]


class Marker:
    """What all markers share: they record themselves in the schema of the type that they annotate."""

    __slots__ = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler | None = None) -> CoreSchema:
        if handler is None:  # called on the class, which pydantic takes for a type
            raise DeclarationError(
                "A marker was written without its parentheses, or in place of a type; write "
                "Annotated[str, Unique()], and so the other markers."
            )
        schema = handler(source)
        if schema["type"] == "definition-ref":
            # A reference may be replaced by what it refers to, and its metadata lost with it; a chain of one
            # step validates alike and stays.
            schema = core_schema.chain_schema([schema])
        metadata = dict(schema.get("metadata") or {})
        metadata[METADATA_KEY] = (*metadata.get(METADATA_KEY, ()), self)
        return cast("CoreSchema", {**schema, "metadata": metadata})


@dataclass(frozen=True)
class Ref(Marker):
    """The value is the key of a document of another (or the same) model.

    Null and absent refer to nothing. On an array's element, every element is a reference.

    Args:
        target: The model, or its class name when it is declared later.
        field: The target's field that is referred to: ``"id"``, or one that is `Unique`.
        on_delete: What happens to this document when its target is deleted: ``"restrict"`` refuses the
            delete, ``"cascade"`` deletes this document too, ``"set_null"`` sets the reference to null (for an
            array's element: takes the element out), ``"no_action"`` leaves it dangling.
        on_update: What happens when the referenced field of the target changes: ``"restrict"`` refuses the
            change, ``"cascade"`` changes the reference with it, ``"no_action"`` leaves it dangling.
    """

    target: str | type
    field: str = "id"
    on_delete: OnDelete = "restrict"
    on_update: OnUpdate = "restrict"

    def __init__(
        self,
        target: str | type,
        *,
        field: str = "id",
        on_delete: OnDelete = "restrict",
        on_update: OnUpdate = "restrict",
    ) -> None:
        if not isinstance(target, str | type):
            raise DeclarationError(f"Ref({target!r}): the target is a model class or its name.")
        _one_of("Ref", "on_delete", on_delete, ("restrict", "cascade", "set_null", "no_action"))
        _one_of("Ref", "on_update", on_update, ("restrict", "cascade", "no_action"))
        _assign(self, target=target, field=field, on_delete=on_delete, on_update=on_update)

    @property
    def target_name(self) -> str:
        """The target's class name."""
        return self.target if isinstance(self.target, str) else self.target.__name__


@dataclass(frozen=True)
class Unique(Marker):
    """No two documents have the same value here; null and absent do not collide.

    As a field's marker it stands alone (``Unique()``); in a model's ``constraints=[Unique("a", "b")]`` it names
    the fields whose values are unique together.

    Args:
        *fields: The names of the fields, for a compound constraint.
        case_insensitive: Compare strings without case, by an index with a collation of strength 2.
        nulls: ``"distinct"``: any number of documents may have null or nothing here; ``"equal"``: one may.
    """

    fields: tuple[str, ...] = ()
    case_insensitive: bool = False
    nulls: Literal["distinct", "equal"] = "distinct"

    def __init__(
        self,
        *fields: str,
        case_insensitive: bool = False,
        nulls: Literal["distinct", "equal"] = "distinct",
    ) -> None:
        for name in fields:
            if not isinstance(name, str) or not name:
                raise DeclarationError(f"Unique({name!r}): the arguments are names of fields.")
        _one_of("Unique", "nulls", nulls, ("distinct", "equal"))
        _assign(self, fields=fields, case_insensitive=case_insensitive, nulls=nulls)


@dataclass(frozen=True)
class CopyOf(Marker):
    """The value is a copy of a field of the document that `via` refers to; its owner is that document.

    Args:
        target: The model that holds the original, or its class name.
        field: The original's field.
        via: The field of this document that is the reference (a `Ref` to `target`). A name is looked up beside
            the copy first and then from the top of the document.
    """

    target: str | type
    field: str
    via: str

    def __init__(self, target: str | type, field: str, *, via: str) -> None:
        if not isinstance(target, str | type):
            raise DeclarationError(f"CopyOf({target!r}): the target is a model class or its name.")
        _assign(self, target=target, field=field, via=via)

    @property
    def target_name(self) -> str:
        """The target's class name."""
        return self.target if isinstance(self.target, str) else self.target.__name__


@dataclass(frozen=True)
class Owner(Marker):
    """Only these actors write this field (or anything in this embedded model).

    Args:
        *actors: One name, or several for an explicit delegation.
    """

    actors: tuple[str, ...]

    def __init__(self, *actors: str) -> None:
        if not actors or not all(isinstance(each, str) and each for each in actors):
            raise DeclarationError(f"Owner{actors!r}: name at least one actor, as a non-empty string.")
        _assign(self, actors=actors)


@dataclass(frozen=True)
class Immutable(Marker):
    """The value is written once, by the insert (or when it is first set), and never changes."""


@dataclass(frozen=True)
class Revision(Marker):
    """The field counts the document's writes; a replace or update of an older revision is refused.

    Put on an ``int`` field. The library keeps it: the insert stores 0, every write adds 1.
    """


@dataclass(frozen=True)
class Derived(Marker):
    """The value is computed from the document's own other fields; put there by `derived`.

    Args:
        function: Computes it of an instance of the model.
    """

    function: Callable[[Any], Any]


@dataclass(frozen=True)
class Allow(Marker):
    """These values are valid here although the policy refuses them elsewhere.

    Args:
        *values: Exact whole values, such as ``""``, ``"-"``, ``[]`` or ``float("nan")``.
    """

    values: tuple[Any, ...] = field(default=(), hash=False)
    # Compared too: `typing` takes two annotations that are equal for one, and True is equal to 1.
    _tokens: frozenset[Hashable] = field(init=False, repr=False, hash=False)

    def __init__(self, *values: Any) -> None:
        if not values:
            raise DeclarationError('Allow(): name at least one value, such as Allow("").')
        _assign(self, values=values, _tokens=_tokens(values))

    def admits(self, value: Any) -> bool:
        """Whether `value` is one of the allowed ones, of the same type."""
        return token(value) in self._tokens


@dataclass(frozen=True)
class Forbid(Marker):
    """These values are not valid here.

    Args:
        *values: Exact whole values, compiled patterns (found anywhere in a string, as ``re.search`` does), or
            callables that return true for a value that is forbidden.
    """

    values: tuple[Any, ...] = field(default=(), hash=False)
    # Compared too: `typing` takes two annotations that are equal for one, and True is equal to 1.
    _tokens: frozenset[Hashable] = field(init=False, repr=False, hash=False)

    def __init__(self, *values: Any) -> None:
        if not values:
            raise DeclarationError('Forbid(): name at least one value, pattern or callable, such as Forbid("x").')
        _assign(self, values=values, _tokens=_tokens(values))

    @property
    def asks(self) -> bool:
        """Whether it calls a function of the user's."""
        return any(map(_asked, self.values))

    def reason(self, value: Any) -> str | None:
        """Why `value` is forbidden, or None when it is not."""
        for each in self.values:
            if isinstance(each, re.Pattern):
                if isinstance(value, str) and each.search(value):
                    return f"matches the forbidden pattern {each.pattern!r}"
            elif _asked(each) and each(value):
                return f"is forbidden by {getattr(each, '__name__', repr(each))}"
        return "is a forbidden value" if self._tokens and token(value) in self._tokens else None


def _asked(value: Any) -> bool:
    return callable(value) and not isinstance(value, type)


def _tokens(values: tuple[Any, ...]) -> frozenset[Hashable]:
    """Return what tells the values that are named one by one, as they are stored: an enum's member is its value."""
    named = [each for each in values if not (isinstance(each, re.Pattern) or _asked(each))]
    found = set()
    for each in named:
        with contextlib.suppress(PydanticCustomError):  # what BSON has no type for is never stored
            found.add(token(codec.encode(each)))
    return frozenset(found)


def _one_of(marker: str, name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        listed = ", ".join(repr(each) for each in choices)
        raise DeclarationError(f"{marker}({name}={value!r}): choose one of {listed}.")


def _assign(marker: Marker, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(marker, name, value)
