"""What PyMongo refuses to decode, read as it is stored: one value must not hide the documents beside it.

A binary of subtype 4 that is not 16 bytes long is no UUID, and PyMongo then decodes nothing of the whole reply. A
reply that was refused is decoded once more: such a value becomes a `Binary`, whose rule is then told by its type, and
every real UUID stays one. A reply without such a value is decoded once, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import bson
from bson import Binary
from bson.binary import UUID_SUBTYPE, UuidRepresentation
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument

from integrity.store.codecs import CODEC, reader_codec
from integrity.store.port import Document

_UUID_BYTES = 16
_NO_TYPES = TypeRegistry()
_CODEC: CodecOptions[Document] = CodecOptions(**CODEC)

#: Reads that may be asked again when their reply was refused.
READS = frozenset({"find_one", "distinct"})


class _Uuids(TypeDecoder):
    """Makes a UUID of every binary that is one."""

    bson_type = Binary  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType] - as the driver has it

    def transform_bson(self, value: Binary) -> UUID | Binary:
        return UUID(bytes=bytes(value)) if value.subtype == UUID_SUBTYPE and len(value) == _UUID_BYTES else value


_UUIDS = TypeRegistry([_Uuids()])


def forgiving(options: CodecOptions[Any]) -> CodecOptions[Any] | None:
    """Return codec options that decode what these refuse; None where the application has types of its own."""
    if options.uuid_representation != UuidRepresentation.STANDARD or options.type_registry != _NO_TYPES:
        return None
    return options.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED, type_registry=_UUIDS)


def decoded(stored: Any) -> Document:
    """Return a document as the core reads it: of its bytes, of one that was read as bytes, or one as it is."""
    data = stored.raw if isinstance(stored, RawBSONDocument) else stored
    if not isinstance(data, bytes | memoryview):
        return stored  # type: ignore[no-any-return]  # a document already
    try:
        return bson.decode(data, codec_options=_CODEC)
    except InvalidBSON:
        return bson.decode(data, codec_options=forgiving(_CODEC))


def forgive(cursor: Any) -> Any:
    """Let a cursor of the driver's decode a reply that it refuses, once more, and return it.

    Asking again would not do: the reply's documents are taken from the server's cursor. The driver has no public word
    for it; where it decodes in some other way, its refusal stands.
    """
    own = getattr(cursor, "delegate", cursor)  # Motor's
    if hasattr(own, "_unpack_response"):
        own._unpack_response = _unpacked  # noqa: SLF001 - see above
    return cursor


def _unpacked(
    response: Any,
    cursor_id: int | None,
    codec_options: CodecOptions[Any],
    user_fields: Mapping[str, Any] | None = None,
    legacy_response: bool = False,  # noqa: FBT001, FBT002 - the driver's signature
) -> Any:
    try:
        return response.unpack_response(cursor_id, codec_options, user_fields, legacy_response)
    except InvalidBSON:
        if (options := forgiving(codec_options)) is None:
            raise
        return response.unpack_response(cursor_id, options, user_fields, legacy_response)


def again(collection: Any) -> Any:
    """Return a collection of the driver's that decodes what `collection` refused; itself where there is no such way."""
    options = forgiving(collection.codec_options)
    return collection if options is None else collection.with_options(codec_options=options)


def forgives(given: Any, codec: Callable[[Any], Any]) -> bool:
    """Whether a store reads what the driver refuses.

    The core does; an application too, unless it has told the driver itself that subtype 4 is a UUID: then it gets the
    driver's own answer.

    Args:
        given: The driver's database as the application made it.
        codec: Gives it the codec options of the store.
    """
    return codec is not reader_codec or given.codec_options.uuid_representation == UuidRepresentation.UNSPECIFIED


def writes(pipeline: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a pipeline does more than read, so that it is not run again."""
    return bool(pipeline) and not {"$out", "$merge"}.isdisjoint(pipeline[-1])
