"""Reading the shape of a model off pydantic's core schema.

Everything that pydantic resolves (Annotated, aliases of types, generics, forward references, nested models) is
resolved once, by pydantic. What BSON has no type for is refused here, when it is declared.
"""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any, get_args

from pydantic_core import CoreSchema, PydanticCustomError

from integrity.declare import bson_type, codec
from integrity.declare import schema as core
from integrity.declare.bounds import unmeetable
from integrity.declare.node import Array, Field, Node, Object, union
from integrity.errors import DeclarationError

_SCALARS: dict[str, frozenset[str]] = {
    "bool": frozenset({"bool"}),
    "int": bson_type.INTEGERS,
    "float": bson_type.NUMBERS,
    "decimal": frozenset({"decimal"}),
    "str": frozenset({"string"}),
    "bytes": frozenset({"binData", "uuid"}),
    "datetime": frozenset({"date"}),
    "date": frozenset({"date"}),
    "uuid": frozenset({"uuid"}),
    "url": frozenset({"string"}),
    "multi-host-url": frozenset({"string"}),
}

_REFUSED = {
    "time": "time: store a datetime, or a str in ISO format",
    "timedelta": "timedelta: store the seconds as a float, or the milliseconds as an int",
    "complex": "complex numbers: store two floats",
    "callable": "callables",
    "generator": "generators: declare a list",
    "is-subclass": "classes: store a name as str",
    "call": "what a call makes, as of a named tuple: declare a model, or a tuple",
    "arguments": "arguments",
    "json": "text that is parsed when it is validated: declare what is in it, or a str",
    "named-tuple": "named tuples: declare a model, or a tuple",
    "deque": "a deque: declare a list",
    "ordered-dict": "an OrderedDict: declare a dict, which keeps its order",
    "counter": "a Counter: declare dict[str, int]",
    "fraction": "fractions: store a Decimal, or two ints",
}

#: Which of them pydantic before 2.14 tells by their class.
_BY_CLASS = {deque: "deque", OrderedDict: "ordered-dict", Counter: "counter", Fraction: "fraction"}


def read(schema: CoreSchema, owner: str) -> Node:
    """Return the node that a core schema describes.

    Args:
        schema: A pydantic core schema.
        owner: What the schema belongs to, for the error's text, such as ``"Route.price"``.

    Raises:
        DeclarationError: The schema declares what BSON has no type for.
    """
    reader = _Reader(owner)
    node = reader.read(schema)
    reader.settle()
    return node


def nameable(name: str) -> bool:
    """Whether a stored field of this name can be declared.

    A dot or a leading dollar is stored, and can then not be named by an update, a projection or an index. What is no
    valid UTF-8 is read with its bytes escaped, and no command holds it.
    Source: https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
    """
    plain = bool(name) and "." not in name and "\x00" not in name and not name.startswith("$")
    return plain and not any("\ud800" <= each <= "\udfff" for each in name)


class _Reader:
    """Reads one core schema; keeps its definitions, so that what is recursive becomes a cycle."""

    def __init__(self, owner: str) -> None:
        self.where = owner
        self.annotation = "it"
        self.definitions: dict[str, Any] = {}
        self.known: dict[str, Node] = {}
        self.derived: list[tuple[Node, Callable[[], Node]]] = []

    def settle(self) -> None:
        """Compute again what was computed from nodes that refer to themselves and were not known yet."""
        for _ in self.derived:  # a derived node may be derived from one that comes after it
            changed = False
            for node, compute in self.derived:
                found = compute().__dict__
                if found != node.__dict__:
                    changed = True
                    node.__dict__.update(found)
            if not changed:
                break

    def _derive(self, compute: Callable[[], Node]) -> Node:
        node = compute()
        self.derived.append((node, compute))
        return node

    def read(self, schema: Any) -> Node:
        node = self._read(schema)
        markers = core.markers(schema)
        write, stored = (not core.seen_through(schema, mode) for mode in ("write", "stored"))
        if not (markers or write or stored):
            return node
        computed = core.changes(schema)
        return self._derive(
            lambda: replace(
                node,
                markers=tuple(dict.fromkeys((*markers, *node.markers))),
                loose=write or node.loose,
                loose_stored=stored or node.loose_stored,
                computed=computed or node.computed,
                beside=core.asks_others(schema) or node.beside,
            )
        )

    def _union(self, options: list[Node]) -> Node:
        return self._derive(lambda: union(options))

    def _read(self, schema: Any) -> Node:  # noqa: C901, PLR0911, PLR0912 - one branch a kind of schema
        kind = schema["type"]
        if (why := unmeetable(schema)) is not None:
            raise DeclarationError(f"{self.where}: {why}.")
        if kind in _SCALARS:
            finite = not (kind in {"float", "decimal"} and schema.get("allow_inf_nan") is True)
            return Node(scalars=_SCALARS[kind], finite=finite)
        if core.is_encoded(schema):
            raise self._refusal(
                "text that is decoded whenever it is validated, so that what is stored would not be valid again: "
                "declare bytes, or a str"
            )
        if core.is_refused(schema):
            raise self._refusal(f"what {self.annotation} is validated into; declare a type that BSON has")
        if core.is_size(schema):
            return Node(scalars=bson_type.INTEGERS)
        if kind in {"any", "function-plain"}:
            return Node(anything=True, nullable=True)
        if kind == "none":
            return Node(nullable=True)
        if kind == "enum" and issubclass(schema["cls"], enum.Flag):
            raise DeclarationError(
                f"{self.where}: {schema['cls'].__name__} is a flag, whose combinations are none of its members; "
                "declare an int, or a list of an enum's members."
            )
        if kind in {"literal", "enum"}:
            return self._literals(schema["expected"] if kind == "literal" else schema["members"])
        if kind == "is-instance":
            return self._instance(schema["cls"])
        if kind == "nullable":
            return self._union([self.read(schema["schema"]), Node(nullable=True)])
        if kind == "union":
            return self._union([self.read(core.choice(each)) for each in schema["choices"]])
        if kind == "tagged-union":
            return self._tagged(schema)
        if kind in {"list", "set", "frozenset"}:
            return Node(arrays=(self._array(schema),))
        if kind == "tuple":
            return self._tuple(schema)
        if kind == "dict":
            self._keys(schema.get("keys_schema"))
            least, most = schema.get("min_length") or 0, schema.get("max_length")
            values = self._items(schema.get("values_schema"))
            return Node(objects=(Object(values=values, closed=False, least=least, most=most),))
        if kind == "chain":
            return self.read(schema["steps"][0])
        if kind == "lax-or-strict":
            return self.read(schema["strict_schema"])
        if kind == "json-or-python":
            return self.read(schema["python_schema"])
        if kind == "definitions":
            self.definitions |= {each["ref"]: each for each in schema["definitions"]}
            return self.read(schema["schema"])
        if kind == "definition-ref":
            return self._definition(schema["schema_ref"])
        if kind == "model":
            return self._model(schema)
        if kind in {"typed-dict", "model-fields", "dataclass-args"}:
            return Node(objects=(self._object(schema, None, schema.get("config") or {}),))
        if kind == "dataclass":
            self._dataclass(schema)
            return Node(objects=(self._object(schema["schema"], schema["cls"], schema.get("config") or {}),))
        if kind in _REFUSED:
            raise self._refusal(_REFUSED[kind])
        if "schema" in schema:  # default, function-before/-after/-wrap, custom-error, model validators
            return self.read(schema["schema"])
        raise DeclarationError(
            f"{self.where}: this library does not know how BSON holds pydantic's {kind!r}; "
            "declare a type that BSON has."
        )

    def _refusal(self, what: str) -> DeclarationError:
        return DeclarationError(f"{self.where}: BSON has no type for {what}.")

    def _items(self, schema: Any) -> Node:
        return Node(anything=True, nullable=True) if schema is None else self.read(schema)

    def _instance(self, cls: type) -> Node:
        types = bson_type.BSON_CLASSES.get(cls)
        if cls in _BY_CLASS:
            raise self._refusal(_REFUSED[_BY_CLASS[cls]])
        if types is None:
            raise self._refusal(
                f"{cls.__qualname__}; declare a type that BSON has "
                "(str, int, float, bool, datetime, Decimal, UUID, bytes, ObjectId, list, dict, a model, ...)"
            )
        return Node(scalars=types)

    def _literals(self, values: Iterable[Any]) -> Node:
        plain = []
        for each in values:
            value = each.value if isinstance(each, enum.Enum) else each
            try:
                plain.append(codec.encode(value))
            except PydanticCustomError as error:
                raise self._refusal(f"{each!r}, which {error.message()}: declare choices that BSON has") from None
            if isinstance(plain[-1], list | dict):
                raise DeclarationError(
                    f"{self.where}: the choice {each!r} is no single value; declare strings or numbers."
                )
        types: set[str] = set()
        for each in plain:
            if each is not None:
                found = bson_type.alias(each)
                types |= bson_type.INTEGERS if found in bson_type.INTEGERS else {found}
        literals = tuple(each for each in plain if each is not None)
        return Node(scalars=frozenset(types), nullable=None in plain, literals=literals)

    def _keys(self, schema: Any) -> None:
        if schema is None:
            return
        keys = self.read(schema)
        if not (keys.anything or keys.scalars == {"string"}):
            raise DeclarationError(
                f"{self.where}: BSON's keys are strings, not {bson_type.name(keys.types)}; "
                "declare dict[str, ...] or a list of pairs."
            )

    def _array(self, schema: Any) -> Array:
        item = self._items(schema.get("items_schema"))
        distinct = schema["type"] != "list"
        if distinct and (item.objects or item.arrays):
            raise DeclarationError(f"{self.where}: a set of arrays or objects has no faithful form; declare a list.")
        if distinct and (cls := _unhashable(schema.get("items_schema"))) is not None:
            raise DeclarationError(f"{self.where}: Python has no sets of {cls.__name__}; declare a list.")
        return Array(item, (), schema.get("min_length") or 0, schema.get("max_length"), distinct)

    def _tuple(self, schema: Any) -> Node:
        items = [self.read(each) for each in schema["items_schema"]]
        variadic = schema.get("variadic_item_index")
        if variadic is None:
            rest = Node(anything=True, nullable=True)
            return Node(arrays=(Array(rest, tuple(items), len(items), len(items)),))
        if variadic != len(items) - 1:
            raise DeclarationError(f"{self.where}: a tuple's '...' must stand last; declare a list.")
        least = max(schema.get("min_length") or 0, len(items) - 1)
        return Node(arrays=(Array(items[-1], tuple(items[:-1]), least, schema.get("max_length")),))

    def _tagged(self, schema: Any) -> Node:
        tag = schema["discriminator"]
        options = []
        for value, choice in schema["choices"].items():
            node = self.read(choice)
            if isinstance(tag, str):
                for each in node.objects:
                    name = _stored_name(each, tag)
                    values = each.discriminator[1] if each.discriminator else frozenset()
                    raw = value.value if isinstance(value, enum.Enum) else value
                    each.discriminator = (name, values | {raw})
            options.append(node)
        return self._union(options)

    def _definition(self, ref: str) -> Node:
        if ref not in self.known:
            self.known[ref] = node = Node()
            found = self.read(self.definitions[ref])
            # The node is handed out before it is known, so it is filled in place.
            self.derived.append((node, lambda: found))
            node.__dict__.update(found.__dict__)
        return self.known[ref]

    def _model(self, schema: Any) -> Node:
        if schema.get("root_model"):
            return self.read(schema["schema"])
        return Node(objects=(self._object(schema["schema"], schema["cls"], schema.get("config") or {}),))

    def _dataclass(self, schema: Any) -> None:
        knows_aliases = hasattr(schema["cls"], "__pydantic_fields__")
        fields = schema["schema"]
        while "fields" not in fields:
            fields = fields["schema"]
        for name, each in core.named_fields(fields["fields"]):
            if each.get("init") is False or each.get("init_only"):
                raise DeclarationError(
                    f"{schema['cls'].__name__}.{name}: a field with init=False, or an InitVar, is given or kept and "
                    "not both, so that what is stored could not be read again; declare a plain field, or a model."
                )
            if not knows_aliases and (each.get("serialization_alias") or each.get("validation_alias")):
                raise DeclarationError(
                    f"{schema['cls'].__name__}.{name}: an alias is only known to a dataclass of pydantic; "
                    "decorate it with pydantic.dataclasses.dataclass, or declare a model."
                )

    def _object(self, schema: Any, cls: type | None, config: Any) -> Object:
        while "fields" not in schema:  # model validators stand between a model and its fields
            schema = schema["schema"]
        declared = getattr(cls, "__integrity__", None)
        extra = config.get("extra_fields_behavior") or schema.get("extra_behavior")
        values = self._items(schema.get("extras_schema")) if extra == "allow" else None
        found = Object(
            closed=extra != "allow",
            values=values,
            model=cls,
            config=config or None,
            policy=getattr(declared, "policy", None),
        )
        outer = self.where
        for attribute, each in core.named_fields(schema["fields"]):
            self.where = f"{cls.__name__ if cls else outer}.{attribute}"
            self.annotation = _annotation(cls, attribute)
            name = core.stored_name(attribute, each, declared)
            if name in found.fields:
                raise DeclarationError(
                    f"{self.where} is stored as {name!r}, as {found.fields[name].attribute!r} is; give them two names."
                )
            self._name(name)
            self._names(attribute, each, name, found, typed=schema["type"] == "typed-dict")
            default = core.default(each["schema"])
            required = each.get("required", True) and default is None
            found.fields[name] = Field(name, attribute, self.read(each["schema"]), required, default)
        self.where = outer
        return found

    def _name(self, name: str) -> None:
        if not nameable(name):
            raise DeclarationError(
                f"{self.where} would be stored as {name!r}; the name of a field is not empty, has no dot and no NUL "
                "and does not begin with a dollar."
            )

    def _names(self, attribute: str, schema: Any, name: str, parent: Object, *, typed: bool) -> None:
        """Refuse a field that is read by another name than it is stored under: it could not be read again."""
        if typed and name != attribute:
            raise DeclarationError(
                f"{self.where}: an alias of a TypedDict is not in the dict that is read, which could not be written "
                f"again; name the key {name!r}, or declare a model."
            )
        key = attribute == "id" and name == "_id"  # `coerce` lets it be read by both
        if not (key or core.reads(attribute, schema, name, parent.config or {})):
            raise DeclarationError(
                f"{self.where} is stored as {name!r}, and is not read by that name; a stored field has one name: use "
                "Field(alias=...)."
            )


def _unhashable(schema: Any) -> type | None:
    """Return the class of a set's elements when it has no hash."""
    while isinstance(schema, dict):
        cls = schema.get("cls")
        if schema["type"] == "is-instance" and cls is not None and cls.__hash__ is None:
            return cls  # type: ignore[no-any-return]  # an is-instance schema's class
        schema = schema.get("schema")
    return None


def _annotation(cls: Any, attribute: str) -> str:
    field = (getattr(cls, "__pydantic_fields__", None) or {}).get(attribute)
    found = getattr(field, "annotation", None)
    return "it" if found is None else str(found) if get_args(found) else getattr(found, "__name__", str(found))


def _stored_name(parent: Object, attribute: str) -> str:
    return next((each.name for each in parent.fields.values() if each.attribute == attribute), attribute)
