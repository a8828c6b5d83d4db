"""From the Python values that models hold to the values that PyMongo encodes, and back.

BSON has no type for some of what pydantic validates into. Each of those has one faithful form here; what has
none is refused when it is declared, or when an untyped field (``Any``) turns out to hold it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from bson import Binary, Code, DBRef, Decimal128, Int64, ObjectId, Regex
from bson.datetime_ms import DatetimeMS
from pydantic import AnyUrl, BaseModel, PostgresDsn
from pydantic_core import MultiHostUrl, PydanticCustomError, Url

from integrity.declare.bson_type import ALIASES, BSON_CLASSES, INT_MAX, INT_MIN

#: The types of pydantic errors of this library: a type that BSON lacks, a value that it cannot hold, no choice.
TYPE_ERROR, RANGE_ERROR, CHOICE_ERROR = "bson_type", "bson_range", "bson_choice"

_AS_THEY_ARE = frozenset(ALIASES) - {int, str, dict, list}
# Pydantic's URL classes have two bases, for one host and for many, that it does not export.
_URLS = (Url, MultiHostUrl, AnyUrl.__mro__[1], PostgresDsn.__mro__[1])
_ATOMS = frozenset({str, int, float, bool, type(None), dt.datetime, ObjectId, Int64, uuid.UUID, bytes})
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - PyMongo reads naive as UTC


_DIGITS = 34
_EXPONENTS = (-6176, 6111)
_MANTISSA, _MOST = (1 << 113) - 1, 10**34 - 1
_EXACT = decimal.Context(prec=_DIGITS, Emin=-99999, Emax=99999)


def type_error(message: str) -> PydanticCustomError:
    """Return the error for a value that BSON has no type for."""
    return PydanticCustomError(TYPE_ERROR, "{reason}", {"reason": message})


def range_error(message: str) -> PydanticCustomError:
    """Return the error for a value that is outside of what its BSON type holds."""
    return PydanticCustomError(RANGE_ERROR, "{reason}", {"reason": message})


def choice_error(message: str) -> PydanticCustomError:
    """Return the error for a value that is none of those that are declared."""
    return PydanticCustomError(CHOICE_ERROR, "{reason}", {"reason": message})


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
        return _int(value)
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
        return _int(value)
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
    held = value.__dict__ if hasattr(value, "__dict__") else {name: getattr(value, name) for name in cls.__slots__}
    return {
        name: each if type(each := held[attribute]) in _ATOMS else plain(each)
        for attribute, name in stored_names(cls)
        if attribute in held
    }


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


def to_decimal128(value: Any) -> Decimal128:
    """Return the Decimal128 of the same value, a Decimal or a Decimal128.

    Raises:
        PydanticCustomError: It has more than 34 digits, or an exponent that Decimal128 cannot hold.
    """
    if isinstance(value, Decimal128):
        return value
    if not isinstance(value, Decimal):
        raise type_error("must be a decimal")
    sign, digits, exponent = value.as_tuple()
    if type(exponent) is int and len(digits) <= _DIGITS and _EXPONENTS[0] <= exponent <= _EXPONENTS[1]:
        # Four times as fast as Decimal128(value), and the same: binary integer decimal, 113 bits of digits, 14 of the
        # exponent, the sign. https://www.mongodb.com/docs/manual/reference/bson-types/#decimal128
        bits = int(value.scaleb(-exponent, _EXACT).copy_abs()) | (exponent - _EXPONENTS[0]) << 113 | sign << 127
        return Decimal128.from_bid(bits.to_bytes(16, "little"))
    try:
        return Decimal128(value)
    except (decimal.DecimalException, ValueError):  # ValueError: a NaN that carries digits
        raise range_error("must fit Decimal128 (34 digits, exponents from -6143 to 6144)") from None


def from_decimal128(value: Decimal128) -> Decimal:
    """Return the Decimal of the same value, digits and exponent: faster than ``to_decimal``, and the same."""
    bits = int.from_bytes(value.bid, "little")
    if bits >> 125 & 3 == 3 or bits & _MANTISSA > _MOST:  # noqa: PLR2004 - NaN, infinity, and no canonical number
        return value.to_decimal()
    exponent = (bits >> 113 & 0x3FFF) + _EXPONENTS[0]
    found = Decimal(bits & _MANTISSA).scaleb(exponent, _EXACT)
    return found.copy_negate() if bits >> 127 else found


def is_finite(value: Decimal128) -> bool:
    """Whether it is a number: neither NaN nor infinite."""
    return value.bid[15] & 0x78 != 0x78  # noqa: PLR2004 - the bits that say so


def to_object_id(value: Any) -> ObjectId:
    """Return an ObjectId, also for its 24 hexadecimal digits in a string."""
    if isinstance(value, ObjectId):
        return value
    if isinstance(value, str) and ObjectId.is_valid(value):
        return ObjectId(value)
    raise type_error("must be an ObjectId, or its 24 hexadecimal digits")


def plain_integer(value: Any) -> Any:
    """Return an int for a stored long."""
    return int(value) if type(value) is Int64 else value


def to_int64(value: Any) -> Int64:
    """Return an Int64, also for an int that fits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Int64(_int(value))
    raise type_error("must be an integer")


def to_regex(value: Any) -> Regex[Any]:
    """Return a Regex, also for a compiled Python pattern."""
    if isinstance(value, Regex):
        return value
    if isinstance(value, re.Pattern):
        return Regex.from_native(value)
    raise type_error("must be a regular expression")


def to_binary(value: Any) -> Binary:
    """Return a Binary, also for bytes and for a UUID (subtype 4)."""
    if isinstance(value, Binary):
        return value
    if isinstance(value, uuid.UUID):
        return Binary.from_uuid(value)
    if isinstance(value, bytes):
        return Binary(value)
    raise type_error("must be binary data")


def to_date_ms(value: Any) -> Any:
    """Return a date beyond the years of Python's datetime, or a datetime."""
    if isinstance(value, DatetimeMS):
        return value
    if isinstance(value, dt.datetime):
        return DatetimeMS(encodable(value))
    raise type_error("must be a date")


def stored_decimal(value: Any) -> Decimal:
    """Return the Decimal of a stored Decimal128; anything else is the wrong type."""
    if isinstance(value, Decimal128):
        return from_decimal128(value)
    raise type_error("must be a Decimal128")


def stored_date(value: Any) -> dt.date:
    """Return the day of a stored date; a time of day would be lost, and is refused."""
    if not isinstance(value, dt.datetime):
        raise range_error("must lie in the years 1 to 9999")
    if value.time() != dt.time():
        raise range_error("must be a day without a time of day")
    return value.date()


def offered_date(value: Any) -> Any:
    """Return what is offered for a day: the day for the midnight as which it is stored."""
    if isinstance(value, DatetimeMS):
        value = offered_datetime(value)
    if isinstance(value, dt.datetime):
        midnight = naive_datetime(encodable(value))
        return midnight.date() if midnight.time() == dt.time() else value
    return value


def stored_datetime(value: Any) -> dt.datetime:
    """Return a stored date, which is UTC, as an aware datetime."""
    if not isinstance(value, dt.datetime):
        raise range_error("must lie in the years 1 to 9999")
    return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)


def naive_datetime(value: Any) -> Any:
    """Return a date in UTC, without its time zone."""
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    return value


def offered_datetime(value: Any) -> Any:
    """Return what is offered for a date: a datetime for the DatetimeMS of a year that Python knows."""
    if isinstance(value, DatetimeMS):
        try:
            return _EPOCH + dt.timedelta(milliseconds=int(value))
        except OverflowError:
            raise range_error("must lie in the years 1 to 9999") from None
    return value


def encodable(value: dt.datetime) -> dt.datetime:
    """Return a datetime that is in the years 1 to 9999 in UTC too, where it is stored."""
    if value.tzinfo is not None:
        try:
            value.astimezone(dt.UTC)
        except OverflowError:
            raise range_error("must lie in the years 1 to 9999 in UTC") from None
    return value


def offered_bytes(value: Any) -> Any:
    """Return what is offered for bytes: binary data of subtype 4 for a UUID, as which it is read."""
    return Binary.from_uuid(value) if isinstance(value, uuid.UUID) else value


def stored_bytes(value: Any) -> bytes:
    """Return stored binary data of any subtype, its subtype with it."""
    if isinstance(value, uuid.UUID):
        return Binary.from_uuid(value)
    if isinstance(value, bytes):
        return value
    raise type_error("must be binary data")


def _int(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise range_error("must fit 64 bits, the longest integer of BSON")


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
    except TypeError:  # mixed types: any order will do
        return encoded


#: What makes a class of BSON's own out of what may be offered for it.
COERCIONS: dict[type, Callable[[Any], Any]] = {
    ObjectId: to_object_id,
    Decimal128: to_decimal128,
    Int64: to_int64,
    Regex: to_regex,
    Binary: to_binary,
    DatetimeMS: to_date_ms,
}
