"""How documents are decoded and encoded: by the core, and by the applications around it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion, TypeEncoder, TypeRegistry
from bson.raw_bson import RawBSONDocument

#: How the core reads and writes, whatever the application's own options are: UUIDs as subtype 4, plain dicts,
#: and dates beyond Python's years as DatetimeMS and not as an error.
CODEC: Mapping[str, Any] = {
    "document_class": dict,
    "tz_aware": False,
    "tzinfo": None,
    "uuid_representation": UuidRepresentation.STANDARD,
    "datetime_conversion": DatetimeConversion.DATETIME_AUTO,
    "unicode_decode_error_handler": "surrogateescape",
}


class _Encoder(TypeEncoder):
    """The half of an application's codec that encodes."""

    def __init__(self, codec: TypeEncoder) -> None:
        self._codec = codec

    @property
    def python_type(self) -> Any:
        return self._codec.python_type

    def transform_python(self, value: Any) -> Any:
        return self._codec.transform_python(value)


def _of_core(options: Any) -> Any:
    """Return codec options of the core: filters are encoded as the application's, what is read is what BSON has."""
    known = options.type_registry
    if known.codecs:
        encoders = [_Encoder(each) for each in known.codecs if isinstance(each, TypeEncoder)]
        options = options.with_options(type_registry=TypeRegistry(encoders, known.fallback_encoder))
    return options.with_options(**CODEC)


def core_codec(database: Any) -> Any:
    """Return a driver's database with the core's codec options.

    mongomock refuses UUIDs by representation; it keeps its own options and stores them as it does.
    """
    try:
        return database.with_options(codec_options=_of_core(database.codec_options))
    except (NotImplementedError, AttributeError):
        return database


def reader_codec(database: Any) -> Any:
    """Return a driver's database with the application's own codec options.

    UUIDs that it leaves unspecified are read as the core writes them, by subtype 4.
    """
    options = database.codec_options
    if options.uuid_representation != UuidRepresentation.UNSPECIFIED:
        return database
    try:
        return database.with_options(
            codec_options=options.with_options(uuid_representation=UuidRepresentation.STANDARD)
        )
    except (NotImplementedError, AttributeError):  # mongomock, as above
        return database


def result_codec(database: Any) -> Any:
    """Return a driver's database that decodes as the application and writes as the core: for ``find_one_and_*``."""
    standard = {"uuid_representation": UuidRepresentation.STANDARD}
    try:
        return database.with_options(codec_options=database.codec_options.with_options(**standard))
    except (NotImplementedError, AttributeError):  # mongomock, as above
        return database


class Stored(RawBSONDocument):
    """A document of bytes whose ``raw`` is bytes.

    Since PyMongo 4.18 that of a RawBSONDocument of 4,096 bytes or more is a view of the reply that it came in, which
    is no bytes to whatever asks, and keeps the whole reply in memory.
    """

    __slots__ = ()

    def __init__(self, data: bytes | memoryview, options: CodecOptions[Any] | None = None) -> None:
        super().__init__(bytes(data), options)  # bytes are not copied


def raw_codec(database: Any) -> Any:
    """Return a driver's database that reads and writes documents as the bytes that are stored."""
    # With what encodes an application's own types: a filter means the same as outside of this.
    return database.with_options(codec_options=_of_core(database.codec_options).with_options(document_class=Stored))


#: Of a document of bytes: nothing that may be stored is an error to look at, a binary that is called a UUID neither.
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    **{**CODEC, "document_class": Stored, "uuid_representation": UuidRepresentation.UNSPECIFIED}
)


def raw_document(data: bytes) -> RawBSONDocument:
    """Return a document that is written as these bytes.

    The driver decodes it all the same, to see that it is not empty, and its own codec refuses some of what is stored.
    """
    return Stored(data, _RAW)


def without(document: Any, name: str) -> Any:
    """Return a document that an application is given, of its own class, without a field of the library's."""
    if isinstance(document, MutableMapping):
        document.pop(name, None)
    elif isinstance(document, RawBSONDocument) and name in document:
        kept = {each: value for each, value in raw_document(bytes(document.raw)).items() if each != name}
        return RawBSONDocument(bson.encode(kept, codec_options=_RAW))
    return document


def model_codec(database: Any) -> Any:
    """Return a driver's database that decodes what models are made of: as the core, dates as the application."""
    options = database.codec_options
    try:
        core = _of_core(options)
        return database.with_options(codec_options=core.with_options(tz_aware=options.tz_aware, tzinfo=options.tzinfo))
    except (NotImplementedError, AttributeError):  # mongomock, as above
        return database
