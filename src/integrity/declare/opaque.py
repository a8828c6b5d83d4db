"""What the fast validators do not see through: functions of the user's, and models that want an instance.

Pydantic validates it by its own schema, with instances and all, made strict where BSON is: no field is dropped, a
stored value is not coerced, an offered instance is validated again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from integrity.declare import codec, function
from integrity.declare.coercion import Schema, after, before, branch
from integrity.declare.leaf import Leaf
from integrity.declare.schema import coerces

_OPAQUE = frozenset({"metadata", "default", "expected", "members", "serialization", "discriminator"})
_FUNCTIONS = frozenset({"function-before", "function-wrap", "function-plain"})

#: Marks the labels of a union's branches in pydantic's locations: no field of a document is called so.
BRANCH = "\x00branch "


class Opaque:
    """Makes the schemas of what is not seen through.

    Args:
        leaf: What the scalars become.
        define: Takes the definitions of a schema.
        refer: Returns the name of the form that a definition has in an `Opaque`.
        lax: Whether a function of the user's stands before, whose outcome may be of any type.
    """

    def __init__(
        self,
        leaf: Leaf,
        define: Callable[[Any], None],
        refer: Callable[[str, Opaque], str],
        *,
        lax: bool = False,
    ) -> None:
        self.leaf = leaf
        self.define = define
        self.refer = refer
        self.lax = lax

    def outermost(self, schema: Any) -> Schema:
        """Return the schema of a place: what comes in is decoded, what goes out is encoded."""
        inner = before(codec.decode, self.schema({name: each for name, each in schema.items() if name != "ref"}))
        return after(codec.encode, inner) if self.leaf.write else inner

    def schema(self, schema: Any) -> Any:
        """Return the schema of anything inside."""
        kind = schema["type"]
        if kind == "definition-ref":
            return {**schema, "schema_ref": self.refer(schema["schema_ref"], self)}
        if kind == "definitions":
            self.define(schema["definitions"])
            return self.schema(schema["schema"])
        if kind in _FUNCTIONS and not self.lax and not coerces(schema):
            return Opaque(self.leaf, self.define, self.refer, lax=True).schema(schema)
        if coerces(schema):
            return self.schema(schema["schema"])
        if (made := self.leaf.python(schema, lax=self.lax)) is not None:
            return made
        made = {name: each if name in _OPAQUE else self._below(each) for name, each in schema.items()}
        if kind in {"model", "typed-dict", "dataclass"}:
            return _object(made)
        if kind.startswith("function-"):
            made["function"] = {**schema["function"], "function": function.refusing(schema["function"]["function"])}
        elif kind == "tagged-union":
            made["discriminator"] = function.telling(schema["discriminator"])
        elif kind == "union":
            made["choices"] = [(branch(each, each["type"]), label) for each, label in branches(made["choices"])]
        elif not (self.leaf.write or self.lax) and kind in {"list", "dict"}:
            made["strict"] = True
        elif kind in {"set", "frozenset", "tuple"}:
            made["strict"] = False
        elif kind == "default" and not self.leaf.write:
            made["validate_default"] = False  # what is not stored is not judged
        return made

    def _below(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._below(each) for each in value]
        if isinstance(value, tuple):
            return tuple(self._below(each) for each in value)
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("type"), str) and value["type"] not in {"no-info", "with-info"}:
            return self.schema(value)
        return {name: each if name in _OPAQUE else self._below(each) for name, each in value.items()}


def _object(made: Any) -> Any:
    config = dict(made.get("config") or {})
    # Pydantic's default for a plain model is to drop unknown fields, which would lose data in silence.
    if config.get("extra_fields_behavior") != "allow":
        config["extra_fields_behavior"] = "forbid"
    # A document has the names that are stored, whatever the model reads elsewhere.
    config |= {"validate_by_alias": True, "loc_by_alias": True}
    made |= {"config": config, "strict": False}
    return function.made(made) if made.get("custom_init") or made.get("post_init") else made


def branches(choices: Any) -> Iterator[tuple[Any, str]]:
    """Yield a union's choices with labels that no document has as a key."""
    for index, each in enumerate(choices):
        yield (each[0] if isinstance(each, tuple) else each), f"{BRANCH}{index}"
