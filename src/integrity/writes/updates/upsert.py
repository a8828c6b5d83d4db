"""What an upsert inserts where nothing matches: the filter's equality conditions, then the update's operators.

The document is worked out here, so that an invalid one is known before anything is sent. What this file does not
work out exactly it says is unclear: then the document that the server inserts is judged in a transaction.
Source: https://www.mongodb.com/docs/manual/reference/method/db.collection.update/#upsert-behavior
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import bson
from bson import ObjectId, Timestamp
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.son import SON

from integrity.declare.bson_type import ALIASES, INT_MAX, INT_MIN
from integrity.declare.codec import encode
from integrity.declare.equality import equal
from integrity.errors import UnguardedWrite
from integrity.store.codecs import CODEC
from integrity.violation import Violation
from integrity.writes.updates.arrays import several
from integrity.writes.updates.draft import Draft

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)
_ABSENT: Any = object()
_OBJECTS = frozenset({dict, SON})


class _Unclear(Exception):
    """The document cannot be worked out."""


def inserted(draft: Draft, update: Any) -> tuple[dict[str, Any] | None, tuple[Violation, ...], tuple[str, ...]]:
    """Return the document that an upsert would insert, what is wrong with it, and why it is not known.

    Args:
        draft: The plan in the making.
        update: The coerced update.
    """
    unclear = (*draft.conditions.unclear, *draft.unclear)
    if unclear or not isinstance(update, Mapping):
        return None, (), unclear or ("what a pipeline makes of a document that is not there",)
    try:
        document: dict[str, Any] = {}
        for path, value in draft.conditions.equal.items():
            _sent(path, value)
            _put(document, path, encode(value))
        for operator, operands in update.items():
            for path, operand in operands.items():
                _APPLY[operator](document, path, operand)
        key = draft.targets.judge.key(document)  # not decoded: a DBRef has lost the order of its names
        # As the server would return it: what is judged is what BSON made of it.
        document = bson.decode(bson.encode(document, codec_options=_OPTIONS), _OPTIONS)
    except (_Unclear, ValueError, OverflowError, BSONError) as error:
        return None, (), (str(error) or "the document that would be inserted is not known",)
    found = draft.targets.judge.stored({"_id": ObjectId(), **document})
    known = {each.path for each in found}
    return document, (*(each for each in key if each.path not in known), *found), ()


def _sent(path: str, value: Any) -> None:
    """Look at whether a value of the filter is sent as what it is here.

    Raises:
        _Unclear: An application's codec makes something of it.
        UnguardedWrite: It holds a mapping that may be sent as another document than the one that it reads as.
    """
    if isinstance(value, Mapping):
        if type(value) not in _OBJECTS:
            raise UnguardedWrite(f"The filter of an upsert holds a {type(value).__name__} at {path!r}; give it a dict.")
        for each in value.values():
            _sent(path, each)
    elif type(value) in {list, tuple}:
        for each in value:
            _sent(path, each)
    elif type(value) not in ALIASES:
        raise _Unclear(f"what a {type(value).__name__} in the filter is sent as")


def _walk(document: dict[str, Any], path: str, *, create: bool) -> tuple[dict[str, Any] | None, str]:
    *parents, last = path.split(".")
    at = document
    for part in [*parents, last]:
        if part.startswith("$"):
            raise _Unclear(f"{path} names an element of an array that is not there")
    for part in parents:
        if part not in at:
            if not create:
                return None, last
            at[part] = {}
        if not isinstance(at[part], dict):
            raise _Unclear(f"{path} leads through what is no object")
        at = at[part]
    return at, last


def _get(document: dict[str, Any], path: str) -> Any:
    at, last = _walk(document, path, create=False)
    return _ABSENT if at is None else at.get(last, _ABSENT)


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    at, last = _walk(document, path, create=True)
    assert at is not None
    at[last] = value


def _set(document: dict[str, Any], path: str, operand: Any) -> None:
    _put(document, path, operand)


def _unset(document: dict[str, Any], path: str, _: Any) -> None:
    at, last = _walk(document, path, create=False)
    if at is not None:
        at.pop(last, None)


def _rename(document: dict[str, Any], path: str, operand: Any) -> None:
    value = _get(document, path)
    if value is not _ABSENT:
        _unset(document, path, None)
        _put(document, operand, value)


def _inc(document: dict[str, Any], path: str, operand: Any) -> None:
    value = _get(document, path)
    _put(document, path, operand if value is _ABSENT else _number(path, value, operand, lambda a, b: a + b))


def _mul(document: dict[str, Any], path: str, operand: Any) -> None:
    value = _get(document, path)
    if value is _ABSENT:
        if not isinstance(operand, int | float):
            raise _Unclear(f"{path} would be a zero of another type")
        # The server multiplies a zero of the operand's type: NaN and infinity make it NaN.
        _put(document, path, 0.0 * operand if isinstance(operand, float) else type(operand)(0))
    else:
        _put(document, path, _number(path, value, operand, lambda a, b: a * b))


def _number(path: str, value: Any, operand: Any, compute: Callable[[Any, Any], Any]) -> Any:
    for each in (value, operand):
        if not isinstance(each, int | float) or isinstance(each, bool):
            raise _Unclear(f"{path} is computed from {type(each).__name__}")
    found = compute(value, operand)
    if isinstance(found, int) and not INT_MIN <= found <= INT_MAX:
        raise _Unclear(f"{path} would not fit 64 bits")
    return found


def _least(document: dict[str, Any], path: str, operand: Any) -> None:
    value = _get(document, path)
    _put(document, path, operand if value is _ABSENT else _number(path, value, operand, min))


def _greatest(document: dict[str, Any], path: str, operand: Any) -> None:
    value = _get(document, path)
    _put(document, path, operand if value is _ABSENT else _number(path, value, operand, max))


def _date(document: dict[str, Any], path: str, operand: Any) -> None:
    alias = operand.get("$type") if isinstance(operand, Mapping) else "date"
    # Any moment does: what is judged is the type.
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    _put(document, path, Timestamp(now, 1) if alias == "timestamp" else now)


def _push(document: dict[str, Any], path: str, operand: Any) -> None:
    _new_array(document, path)
    if not (isinstance(operand, Mapping) and "$each" in operand):
        _put(document, path, [operand])
        return
    found = _several(path, operand)
    if "$sort" in operand and len(found) > 1:
        raise _Unclear(f"{path} would be sorted")
    cut = operand.get("$slice")
    if cut is not None:
        if not isinstance(cut, int):
            raise _Unclear(f"$slice at {path} is no integer")
        found = found[:cut] if cut >= 0 else found[cut:]
    _put(document, path, found)


def _add_to_set(document: dict[str, Any], path: str, operand: Any) -> None:
    _new_array(document, path)
    found: list[Any] = []
    for each in _several(path, operand) if several(operand) else [operand]:
        if not any(equal(each, other) for other in found):
            found.append(each)
    _put(document, path, found)


def _several(path: str, operand: Mapping[str, Any]) -> list[Any]:
    if not isinstance(operand["$each"], list | tuple):
        raise _Unclear(f"$each at {path} is no array")
    return list(operand["$each"])


def _new_array(document: dict[str, Any], path: str) -> None:
    if _get(document, path) is not _ABSENT:
        raise _Unclear(f"{path} is given by the filter and by the update")


def _less(document: dict[str, Any], path: str, _: Any) -> None:
    if _get(document, path) is not _ABSENT:
        raise _Unclear(f"{path} is given by the filter and by the update")


def _bit(document: dict[str, Any], path: str, operand: Any) -> None:
    value = _get(document, path)
    found = 0 if value is _ABSENT else value
    if not isinstance(found, int) or isinstance(found, bool):
        raise _Unclear(f"{path} is no integer")
    if not (isinstance(operand, Mapping) and operand.keys() <= {"and", "or", "xor"}):
        raise _Unclear(f"$bit at {path} is no and, or, xor")
    for name, each in operand.items():
        found = {"and": found & each, "or": found | each, "xor": found ^ each}[name]
    _put(document, path, found)


_APPLY: dict[str, Callable[[dict[str, Any], str, Any], None]] = {
    "$set": _set,
    "$setOnInsert": _set,
    "$unset": _unset,
    "$rename": _rename,
    "$inc": _inc,
    "$mul": _mul,
    "$min": _least,
    "$max": _greatest,
    "$currentDate": _date,
    "$push": _push,
    "$addToSet": _add_to_set,
    "$pop": _less,
    "$pull": _less,
    "$pullAll": _less,
    "$bit": _bit,
}
