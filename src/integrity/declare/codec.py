"""From the Python values that models hold to the values that PyMongo encodes, and back.

BSON has no type for some of what pydantic validates into. Each of those has one faithful form here; what has
none is refused when it is declared, or when an untyped field (``Any``) turns out to hold it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from bson import Code, DBRef, Decimal128, Int64, ObjectId
from pydantic import AnyUrl, BaseModel, PostgresDsn
from pydantic_core import MultiHostUrl, PydanticCustomError, Url

from integrity.declare.bson_type import ALIASES, BSON_CLASSES
from integrity.declare.convert import from_decimal128, integer, range_error, to_decimal128, type_error

_AS_THEY_ARE = frozenset(ALIASES) - {int, str, dict, list}

# Pydantic's URL classes have two bases, for one host and for many, that it does not export.
_URLS = (Url, MultiHostUrl, AnyUrl.__mro__[1], PostgresDsn.__mro__[1])

_ATOMS = frozenset({str, int, float, bool, type(None), dt.datetime, ObjectId, Int64, uuid.UUID, bytes})


def encode(value: Any) -> Any:  # noqa: C901, PLR0911 - one branch a type
    """Return `value` as PyMongo encodes it; models become dicts of their stored names.

    Decimal becomes Decimal128, an enum's member its value, a date the midnight that begins it, a URL its text,
    a set or tuple a list.

    Raises:
        PydanticCustomError: BSON has no type for it, or its type cannot hold the value.
    """
    cls = type(value)
    if cls is str or cls in _AS_THEY_ARE:
        return value
    if cls is int:
        return integer(value)
    if cls is dict:
        return {_key(name): encode(each) for name, each in value.items()}
    if cls in {list, tuple}:
        return [encode(each) for each in value]
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if isinstance(value, Decimal):
        return to_decimal128(value)
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        return encode(plain(value))
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - PyMongo reads naive as UTC
    if isinstance(value, set | frozenset):
        return _ordered(value)
    if isinstance(value, _URLS):
        return str(value)
    if isinstance(value, Mapping):
        return {_key(name): encode(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [encode(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return integer(value)
    if isinstance(value, tuple(ALIASES)) or cls in BSON_CLASSES:
        return value
    raise type_error(f"BSON has no type for {cls.__qualname__}")


def culprit(value: Any) -> tuple[str | int, ...]:
    """Return the path, below `value`, of the first value that `encode` refuses; ``()`` when it is `value` itself."""
    value = plain(value)
    inside = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    )
    for name, each in inside:
        try:
            encode(each)
        except PydanticCustomError:
            return (name, *culprit(each))
    return ()


def read_once(value: Any) -> tuple[str | int, ...] | None:
    """Return the path, below `value`, of a value that can be read only once, such as a generator; None without one."""
    cls: Any = type(value)
    if cls in _ATOMS:
        return None
    inside: Any = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif cls is list or cls is tuple:
        inside = enumerate(value)
    elif isinstance(value, BaseModel):
        inside = value.__dict__.items()
    elif isinstance(value, Iterator):
        return ()
    for name, each in inside:
        if type(each) not in _ATOMS and (below := read_once(each)) is not None:
            return (name, *below)
    return None


def plain(value: Any) -> Any:
    """Return `value` with every instance in it of a model or dataclass replaced by a dict of its stored names."""
    cls: Any = type(value)
    if cls in _ATOMS:
        return value
    # The atoms are told before the call: most values are, and a call takes longer than the look.
    if cls is dict:
        return {name: each if type(each) in _ATOMS else plain(each) for name, each in value.items()}
    if cls is list:
        return [each if type(each) in _ATOMS else plain(each) for each in value]
    names = _fields_of(cls)
    if names is not None:
        held, extra = value.__dict__, value.__pydantic_extra__
        # Not getattr: that warns of deprecated fields. What `model_construct` left out is left out.
        named = {
            name: each if type(each := held[attribute]) in _ATOMS else plain(each)
            for attribute, name in names
            if attribute in held
        }
        return named | {name: plain(each) for name, each in extra.items()} if extra else named
    if isinstance(value, BaseModel):  # a root model
        return plain(value.__dict__["root"])
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if cls is tuple:
        return tuple(plain(each) for each in value)
    if dataclasses.is_dataclass(cls):
        return _named(value, cls)
    return value


@cache
def _fields_of(cls: Any) -> tuple[tuple[str, str], ...] | None:
    """Return the names of a model's fields, or None for what is no model, or one with a root."""
    if not issubclass(cls, BaseModel) or getattr(cls, "__pydantic_root_model__", False):
        return None
    return stored_names(cls)


def _named(value: Any, cls: Any) -> dict[str, Any]:
    # Not getattr: that warns of deprecated fields. What `model_construct` left out is left out.
    held = getattr(value, "__dict__", {})
    if slots := _slots(cls):
        held = {**{name: getattr(value, name) for name in slots if hasattr(value, name)}, **held}
    names = stored_names(cls)
    found = {
        name: each if type(each := held[attribute]) in _ATOMS else plain(each)
        for attribute, name in names
        if attribute in held
    }
    if (getattr(cls, "__pydantic_config__", None) or {}).get("extra") == "allow":
        # What else there is has no place of its own, as it has in a model; a cached property is the class's.
        known = {attribute for attribute, _ in names}
        found |= {name: plain(held[name]) for name in held if name not in known and not hasattr(cls, name)}
    return found


@cache
def _slots(cls: Any) -> tuple[str, ...]:
    """Return the slots of a class and of those above it: each has its own only."""
    found = [each.__dict__.get("__slots__", ()) for each in cls.__mro__]
    return tuple(name for each in found for name in ((each,) if isinstance(each, str) else each))


@cache
def stored_names(cls: Any) -> tuple[tuple[str, str], ...]:
    """Return each field's attribute and its name in the stored document, of a model or a dataclass."""
    fields = getattr(cls, "__pydantic_fields__", None)
    if fields is None:
        return tuple((each.name, each.name) for each in dataclasses.fields(cls))
    collection = getattr(getattr(cls, "__integrity__", None), "collection", None)
    return tuple(
        (attribute, each.serialization_alias or ("_id" if attribute == "id" and collection else attribute))
        for attribute, each in fields.items()
    )


def decode(value: Any) -> Any:
    """Return a stored or offered value as pydantic's own types take it: Decimal for Decimal128, dict for instances."""
    cls = type(value)
    if cls in _ATOMS:
        return value
    if cls is Decimal128:
        return from_decimal128(value)
    if cls is dict:
        return {name: decode(each) for name, each in value.items()}
    if cls is list:
        return [decode(each) for each in value]
    if cls is tuple:
        return tuple(decode(each) for each in value)
    if isinstance(value, BaseModel | Mapping) or dataclasses.is_dataclass(cls):
        return decode(plain(value))
    return value


def holds_reference(value: Any) -> bool:
    """Whether PyMongo decoded an object in `value` as a DBRef."""
    if type(value) is dict:
        return any(map(holds_reference, value.values()))
    if type(value) is list:
        return any(map(holds_reference, value))
    return type(value) is DBRef


def holds_code(value: Any) -> bool:
    """Whether there is JavaScript code in `value`, which PyMongo reads as a class of strings."""
    if type(value) is dict:
        return any(map(holds_code, value.values()))
    if type(value) is list:
        return any(map(holds_code, value))
    return type(value) is Code


def objects(value: Any) -> Any:
    """Return `value` with every DBRef as the object that is stored."""
    if type(value) is DBRef:
        value = dict(value.as_doc())
    if type(value) is dict:
        return {name: objects(each) for name, each in value.items()}
    if type(value) is list:
        return [objects(each) for each in value]
    return value


def _key(name: Any) -> str:
    if isinstance(name, enum.Enum):
        name = name.value
    if not isinstance(name, str):
        raise type_error("must have strings as keys")
    if "\x00" in name:
        raise range_error("must have keys without NUL")
    return name


def _ordered(values: set[Any] | frozenset[Any]) -> list[Any]:
    encoded = [encode(each) for each in values]
    try:
        return sorted(encoded)
    except TypeError:  # Decimal128, or mixed types: any order will do, as long as it is always the same
        return sorted(encoded, key=repr)
