"""What the server says of a document that is too large for it: where it is sent, and where an update would make it so.

The driver measures commands, and a document by itself; the server measures each document of a bulk, and what comes of
an update.

Source: https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-BSON-Document-Size
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from integrity.declare.registry import Entry
from integrity.rules.rule import At, Fault
from integrity.rules.schema import constraint_not_met
from integrity.store.codecs import CODEC
from integrity.violation import Violation, quote

#: Bytes of a document: the server's ``maxBsonObjectSize``, which is the same for every server.
MOST = 16 * 1024 * 1024

#: BSONObjectTooLarge; what comes of an update, and of an upsert.
_CODES = frozenset({10334, 17419, 17420})
#: A refused insert has the code of every bad value, BadValue.
_BAD_VALUE = 2
_INSERTED = "object to insert too large"

_OPTIONS: CodecOptions[Any] = CodecOptions(**CODEC)


def tells(details: Mapping[str, Any]) -> bool:
    """Whether the server's error says that a document is too large.

    Args:
        details: The error, with ``code`` and ``errmsg``.
    """
    code = details.get("code")
    return code in _CODES or (code == _BAD_VALUE and str(details.get("errmsg", "")).startswith(_INSERTED))


def violation(entry: Entry, document: Mapping[str, Any] | None = None) -> Violation:
    """Return the violation.

    Args:
        entry: The model's entry.
        document: What was written, where that is known.
    """
    known = (document or {}).get("_id")
    shown = () if known is None else (quote(known),)
    which = "".join(f"with the _id {each} " for each in shown)
    fault = Fault(f"{which}would be larger than the 16 MB that the server takes.", "Store less, or split it.", shown)
    return constraint_not_met.RULE.violation(At(entry.collection, known, "", ""), fault)


def among(error: OperationFailure, documents: Sequence[Mapping[str, Any] | None]) -> int | None:
    """Return which document it is for that the server refused a whole command.

    Args:
        error: What it said.
        documents: What was sent; None where it is not known what would be written.

    Returns:
        The place of the first that is too large; None where the server refused for another reason.
    """
    if not tells({"code": error.code}):
        return None
    return next((at for at, each in enumerate(documents) if each is not None and _size(each) > MOST), None)


def _size(document: Mapping[str, Any]) -> int:
    return len(document.raw if isinstance(document, RawBSONDocument) else bson.encode(document, codec_options=_OPTIONS))
