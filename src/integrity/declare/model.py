"""`Model`: a pydantic model that says where its documents live and who owns them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, get_args, get_origin

from bson import ObjectId
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from integrity.declare import derived
from integrity.declare.coercion import coerce
from integrity.declare.constraint import Unique
from integrity.declare.policy import Policy
from integrity.errors import DeclarationError

_OBJECT_ID = ("ObjectId", "bson.ObjectId")
_KEYWORDS = ("collection", "owner", "policy", "constraints")


@dataclass(frozen=True)
class Declared:
    """What a model says about itself besides its fields.

    Args:
        collection: The collection's name; None for an embedded model.
        owner: The actors that insert and delete, and write every field that has no owner of its own.
        policy: The model's own policy; None for the database's.
        constraints: The compound constraints.
    """

    collection: str | None = None
    owner: tuple[str, ...] = ()
    policy: Policy | None = None
    constraints: tuple[Unique, ...] = ()


class Model(BaseModel):
    """A document's declaration.

    A pydantic model with keyword arguments in its class line::

        class Airport(Model, collection="airports", owner="ourairports"):
            id: int
            name: str

    ``id`` is stored as ``_id``. A model with a collection that declares no ``id`` gets one of any type, an ObjectId
    when nothing is given; an ``id: ObjectId`` without a default is generated too. Without a collection, the model is
    embedded in others. Unknown fields are refused unless ``model_config`` says ``extra="allow"``.

    Args:
        collection: The name of the collection.
        owner: The actor, or several, that write its documents.
        policy: The guardrails of this model, in place of the database's.
        constraints: Compound constraints, such as ``[Unique("source", "destination")]``.

    Raises:
        DeclarationError: The class line, or a field, declares what cannot be kept.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid", validate_default=True, ignored_types=(derived.derived,)
    )

    __integrity__: ClassVar[Declared] = Declared()
    __integrity_derived__: ClassVar[dict[str, derived.derived[Any]]] = {}

    def __init_subclass__(
        cls,
        *,
        collection: str | None = None,
        owner: str | Sequence[str] | None = None,
        policy: Policy | None = None,
        constraints: Sequence[Unique] = (),
        **kwargs: Any,
    ) -> None:
        if kwargs and not _takes_keywords(cls):
            raise _unknown_keyword(cls, next(iter(kwargs)))
        super().__init_subclass__(**kwargs)
        above = cls.__integrity__
        cls.__integrity__ = Declared(
            collection=_collection(cls, collection) if collection is not None else above.collection,
            owner=_owner(cls, owner) if owner is not None else above.owner,
            policy=_policy(cls, policy) if policy is not None else above.policy,
            constraints=(*above.constraints, *_constraints(cls, constraints)),
        )
        if cls.__integrity__.collection is not None:
            _give_id(cls)
        derived.declare(cls)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse what pydantic would let pass and a document database would lose."""
        derived.restore(cls)
        if cls.model_config.get("extra") == "ignore":
            raise DeclarationError(
                f'{cls.__name__}: extra="ignore" would drop unknown fields in silence; '
                'say extra="forbid" (refuse them) or extra="allow" (keep them).'
            )
        for name, each in cls.model_fields.items():
            alias = each.validation_alias
            if alias != each.serialization_alias:
                read, stored = (name if one is None else one for one in (alias, each.serialization_alias))
                raise DeclarationError(
                    f"{cls.__name__}.{name}: reads {read!r} and stores {stored!r}; a stored field has one name: use "
                    "Field(alias=...)."
                )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if cls.__integrity__.collection is not None:
            _keep_id(cls)
        schema = handler(source)
        coerce(handler.resolve_ref_schema(schema), document=cls.__integrity__.collection is not None)
        return schema


def _keep_id(cls: Any) -> None:
    """Keep an alias generator from naming the ``id`` of a document, which is stored as ``_id``."""
    field = cls.__pydantic_fields__.get("id")
    generated = cls.model_config.get("alias_generator") is not None
    if field is not None and generated and field.alias_priority != 2:  # noqa: PLR2004 - an alias of the user's
        field.alias = field.validation_alias = field.serialization_alias = "_id"
        field.alias_priority = 2


def _takes_keywords(cls: type) -> bool:
    """Whether a class beside `Model` has an ``__init_subclass__`` of its own, which may take other keywords."""
    beside = cls.__mro__[cls.__mro__.index(Model) + 1 :]
    return any("__init_subclass__" in vars(each) for each in beside if each not in {Generic, object})


def _unknown_keyword(cls: type, name: str) -> DeclarationError:
    close = difflib.get_close_matches(name, [*_KEYWORDS, *ConfigDict.__annotations__], n=1)
    way = f"did you mean {close[0]}=?" if close else "take it away."
    return DeclarationError(
        f"{cls.__name__}: {name}= is no keyword of a model; there are {', '.join(_KEYWORDS)} and the settings of "
        f"pydantic's ConfigDict, such as extra and frozen: {way}"
    )


def _collection(cls: type, name: object) -> str:
    # https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
    if (
        not isinstance(name, str)
        or not name
        or "$" in name
        or "\x00" in name
        or name.startswith("system.")
        or _dotted(name)
    ):
        raise DeclarationError(
            f"{cls.__name__}: collection={name!r} is no name for a collection; "
            'a non-empty string without "$" and NUL, not beginning with "system.", its dots between names.'
        )
    return name


def _dotted(name: str) -> bool:
    return "" in name.split(".")


def _owner(cls: type, owner: object) -> tuple[str, ...]:
    actors = (owner,) if isinstance(owner, str) else tuple(owner) if isinstance(owner, Sequence) else ()
    if not actors or not all(isinstance(each, str) and each and each != "*" for each in actors):
        raise DeclarationError(f"{cls.__name__}: owner={owner!r}; name an actor, or a tuple of actors.")
    return actors


def _policy(cls: type, policy: object) -> Policy:
    if not isinstance(policy, Policy):
        raise DeclarationError(f"{cls.__name__}: policy={policy!r} is no Policy; write policy=Policy(...).")
    return policy


def _constraints(cls: type, constraints: object) -> tuple[Unique, ...]:
    if not isinstance(constraints, Sequence) or not all(
        isinstance(each, Unique) and each.fields for each in constraints
    ):
        raise DeclarationError(
            f"{cls.__name__}: constraints={constraints!r}; write a list of compound constraints, "
            'such as [Unique("first", "second")].'
        )
    return tuple(constraints)


def _give_id(cls: Any) -> None:
    """Declare ``id`` where it is not, and let an ObjectId be generated, as PyMongo does."""
    own = inspect.get_annotations(cls)
    if "id" in own:
        declared: Any = own["id"]
        origin: Any = get_origin(declared)
        plain = get_args(declared)[0] if origin is Annotated else declared
        if (plain is ObjectId or plain in _OBJECT_ID) and "id" not in cls.__dict__:
            cls.id = Field(default_factory=ObjectId)
    elif not any("id" in getattr(base, "model_fields", {}) for base in cls.__mro__[1:]):
        cls.__annotations__ = {"id": Any, **own}
        cls.id = Field(default_factory=ObjectId)
