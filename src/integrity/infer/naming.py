"""Names: of classes from collections and fields, and of attributes from stored names."""

from __future__ import annotations

import keyword
import re

from pydantic import BaseModel

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ES = ("sses", "shes", "ches", "xes", "zes", "uses")
_IRREGULAR = {"children": "child", "people": "person", "men": "man", "women": "woman", "mice": "mouse", "feet": "foot"}
_VES = frozenset({"shelves", "halves", "leaves", "wolves", "calves", "selves", "thieves", "loaves"})
_INVARIANT = frozenset({"series", "species", "news", "data", "media", "status", "address", "bus", "business"})

#: Names that the generated module uses itself.
USED = frozenset({
    "Annotated", "Any", "Binary", "Code", "CopyOf", "Decimal", "Field", "Literal", "Model", "ObjectId", "Ref", "Regex",
    "Timestamp", "UUID", "Unique", "bool", "bytes", "datetime", "dict", "float", "int", "list", "str",
})  # fmt: skip


def singular(word: str) -> str:
    """Return an English plural's singular, as far as its ending tells: ``"countries"`` is ``"country"``."""
    low = word.lower()
    if low in _IRREGULAR:
        return word[:1] + _IRREGULAR[low][1:]
    if low in _VES:
        return word[:-3] + "f"
    if low in _INVARIANT or low.endswith("ss") or len(low) < 4:  # noqa: PLR2004 - "bus", "gas"
        return word
    if low.endswith("ies"):
        return word[:-3] + "y"
    if low.endswith(_ES):
        return word[:-2]
    return word[:-1] if low.endswith("s") and not low.endswith("us") else word


def class_name(name: str) -> str:
    """Return the name of a class for a collection or a field: the singular, in CapWords."""
    words = _WORD.findall(name) or ["Thing"]
    words[-1] = singular(words[-1])
    made = "".join(each[:1].upper() + each[1:] for each in words)
    made = made if made[0].isalpha() else f"M{made}"
    return f"{made}_" if made in USED or keyword.iskeyword(made) else made


def attribute(name: str, taken: set[str]) -> str:
    """Return the name of an attribute for a stored name: itself where Python and pydantic let it.

    Args:
        name: The stored name.
        taken: The attributes that are there already.
    """
    made = name
    if not name.isidentifier() or name.startswith("_") or not name.isascii():
        made = "_".join(_WORD.findall(name)).lower() or "field"
        made = f"f_{made}" if made[0].isdigit() else made
    while (
        keyword.iskeyword(made)
        or made in USED
        or made in taken
        or made == "id"
        or hasattr(BaseModel, made)
        or made.startswith("model_")
    ):
        made = f"field_{made}" if made.startswith("model_") else f"{made}_"
    return made


def related(field: str, collection: str) -> bool:
    """Whether a field's name holds the name of a collection: ``"customer_id"`` that of ``"customers"``."""
    words = [each.lower() for each in _WORD.findall(collection)]
    if not words:
        return False
    words[-1] = singular(words[-1])
    text = "".join(each.lower() for each in _WORD.findall(field))
    return "".join(words) in text or "".join(singular(each) for each in words) in text


def names_a_key(field: str) -> bool:
    """Whether a field's name says that it holds a key: ``"source_id"``, ``"sourceId"``, ``"ref"``."""
    words = [each.lower() for each in _WORD.findall(field)]
    return bool(words) and words[-1] in {"id", "ids", "ref", "refs", "key", "uuid", "oid"}
