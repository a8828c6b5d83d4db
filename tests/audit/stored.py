"""Documents as they are stored, built by hand: what PyMongo writes, and what it does not write and a server keeps."""

import math
import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import bson
import numpy as np
from bson import Decimal128
from bson.codec_options import CodecOptions
from bson.errors import BSONError

from integrity.audit.sieve.compile import compiled
from integrity.audit.sieve.page import Mask, Page
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.rules.judge import Judge
from integrity.store.codecs import CODEC
from integrity.store.forgiving import decoded
from integrity.store.pages import Elements

#: The type of a value, and its bytes.
Value = tuple[int, bytes]
#: A type, a name and a value's bytes.
Element = tuple[int, bytes, bytes]

DOUBLE, STRING, OBJECT, ARRAY, BINARY, UNDEFINED, OID, BOOL, DATE, NULL = range(0x01, 0x0B)
REGEX, POINTER, CODE, SYMBOL, SCOPED, INT, TIMESTAMP, LONG, DECIMAL = range(0x0B, 0x14)
MAX_KEY, MIN_KEY = 0x7F, 0xFF
ONE = struct.pack("<i", 1)
_CODEC: CodecOptions[Any] = CodecOptions(**CODEC)
_FIXED = {
    DOUBLE: 8, UNDEFINED: 0, OID: 12, BOOL: 1, DATE: 8, NULL: 0, INT: 4, TIMESTAMP: 8, LONG: 8, DECIMAL: 16,
    MAX_KEY: 0, MIN_KEY: 0,
}  # fmt: skip
_COUNTED = {STRING: 4, CODE: 4, SYMBOL: 4, OBJECT: 0, ARRAY: 0, SCOPED: 0, BINARY: 5, POINTER: 16}


def document(elements: Iterable[Element]) -> bytes:
    """An object, or an array, of its elements."""
    body = b"".join(bytes((kind,)) + name + b"\0" + data for kind, name, data in elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def array(values: Iterable[Value]) -> Value:
    """An array, numbered as one is."""
    return ARRAY, document((kind, b"%d" % number, data) for number, (kind, data) in enumerate(values))


def elements(raw: bytes) -> list[Element]:
    """The elements of an object."""
    found, at = [], 4
    while raw[at]:
        kind, end = raw[at], raw.index(b"\0", at + 1)
        size = _size(kind, raw, end + 1)
        found.append((kind, raw[at + 1 : end], raw[end + 1 : end + 1 + size]))
        at = end + 1 + size
    return found


def _size(kind: int, raw: bytes, at: int) -> int:
    if kind in _FIXED:
        return _FIXED[kind]
    if kind == REGEX:
        return int(raw.index(b"\0", raw.index(b"\0", at) + 1) + 1 - at)
    return int(struct.unpack_from("<i", raw, at)[0]) + _COUNTED[kind]


def value(of: Any) -> Value:
    """What PyMongo stores."""
    raw = bson.encode({"v": of}, codec_options=_CODEC)
    return raw[4], raw[7:-1]


def text(of: str | bytes, kind: int = STRING) -> Value:
    """A string, or what is stored as one is."""
    data = of.encode() if isinstance(of, str) else of
    return kind, struct.pack("<i", len(data) + 1) + data + b"\0"


def binary(size: int, subtype: int) -> Value:
    """Binary data."""
    data = bytes(size) if subtype != 2 else struct.pack("<i", size) + bytes(size)
    return BINARY, struct.pack("<iB", len(data), subtype) + data


def numbered(documents: Sequence[bytes]) -> Elements:
    """A reply's array."""
    return Elements(b"".join(b"\x03%d\0%b" % each for each in enumerate(documents)))


def _scoped(code: str | bytes, scope: bytes) -> Value:
    data = text(code)[1] + scope
    return SCOPED, struct.pack("<i", len(data) + 4) + data


_WORDS: list[Any] = [
    "", "a", " ", "\t", "\n", "x", "abc", "abcdefg", "abcdefgh", "N/A", "-", "--", "---", "?", "\\N", "nan", "Null",
    "nul", "null", "nulls", "None", "N", "undefined", "undefine", "undefined1", "#N/A", "#N/B", "[object Object]",
    "[object Object", "[object Object]]", "[object Objecu]", "!", "~", "\x7f", "\u00a0", "\u200b", "\u200bx", "\x00",
    "\x00a", "a\x00", "-\x00", "\u3164", "\U000e0001", "ABC", "ABC\n", " x", "e\u0301", "\u0301", "red", "c",
    b"\xed\xa0\x80", b"\xc0\x80", b"\xc3",
]  # fmt: skip


def _texts() -> Iterator[Value]:
    """Strings: at the edges of words, of the policy's, and with characters that take more bytes than one."""
    yield from map(text, _WORDS)
    for size in (*range(1, 19), 23, 24, 25, 31, 32):
        yield text("a" * size)
        yield text("\u00e9" * size)
        yield text("a" * (size - 1) + "\u00e9")
        yield text(b"a" * size + b"\xff")
        yield text(b"a" * size + b"\x80" + b"b" * (34 - size))


def _numbers() -> Iterator[Value]:
    for each in (0, 1, -1, 2, 3, 4, 5, 6, 7, 2**31 - 1, -(2**31)):
        yield INT, struct.pack("<i", each)
        yield LONG, struct.pack("<q", each)
        yield DOUBLE, struct.pack("<d", each)
        yield DATE, struct.pack("<q", each)
    for each in (2**32, 2**60, 2**60 + 1, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 2, 2**63 - 1, -(2**63)):
        yield LONG, struct.pack("<q", each)
        yield DOUBLE, struct.pack("<d", each)
    for number in (-0.0, 0.5, 1.5, -0.5, -0.6, 1e300, math.inf, -math.inf, math.nan, 5e-324, 2.9999999999999996):
        yield DOUBLE, struct.pack("<d", number)
    for bits in (0x7FF8000000000001, 0x7FF0000000000001, 0xFFFFFFFFFFFFFFFF):
        yield DOUBLE, struct.pack("<Q", bits)
    first, last = -62135596800000, 253402300799999  # the years that Python has
    for each in (first - 1, first, last, last + 1, 10**15, -(10**15)):
        yield DATE, struct.pack("<q", each)
    for each_ in ("0", "1", "-1", "1.5", "5", "NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "1E+6000", "1E-6176"):
        yield value(Decimal128(each_))
    for low, high in ((1, 0x6C10 << 48), (1, 0x7000 << 48), (2**64 - 1, 2**63 - 2**59 - 1), (5, 0xFE00 << 48)):
        yield DECIMAL, struct.pack("<QQ", low, high)


def _others() -> Iterator[Value]:
    yield from ((NULL, b""), (MAX_KEY, b""), (MIN_KEY, b""), (TIMESTAMP, bytes(8)), (BOOL, b"\0"), (BOOL, b"\1"))
    yield OID, bytes(12)
    yield from (binary(size, subtype) for size in (0, 1, 15, 16, 17) for subtype in (0, 2, 3, 4, 5, 128))
    for each in ("", "a", "-", " ", "x", b"\xff"):
        yield text(each, CODE)
        yield _scoped(each, document([]))


def _old() -> Iterator[Value]:
    """What no program stores any more, or of which only Python tells where it ends."""
    yield UNDEFINED, b""
    yield REGEX, b"x\0i\0"
    for each in ("", "a", "-", " ", "x", "abc", "red", "N/A", b"\xff"):
        yield text(each, SYMBOL)
        yield POINTER, text(each)[1] + bytes(12)


def _objects() -> Iterator[bytes]:
    a, b = (INT, b"a", ONE), (*text("xyz"),)
    yield document([])
    yield document([a])
    yield document([a, (b[0], b"b", b[1])])
    yield document([(b[0], b"b", b[1]), a])
    yield document([(b[0], b"b", b[1])])
    yield document([(INT, b"", ONE)])
    yield document([(INT, b"\xff", ONE)])
    yield document([a, (INT, b"zz", ONE)])
    for kind, data in (text(""), text("x"), text(b"\xff"), (NULL, b""), (OBJECT, document([])), (ARRAY, document([]))):
        yield document([(kind, b"a", data)])
        yield document([a, (kind, b"b", data)])
    yield document([(*text("c")[:1], b"$ref", text("c")[1]), (INT, b"$id", ONE)])


def _arrays() -> Iterator[Value]:
    yield from (array([(OBJECT, each)]) for each in _objects())
    yield from (array([array([(OBJECT, each)])]) for each in _objects())
    for size in (0, 1, 2, 3, 4, 9, 10, 11, 12, 31, 32, 33, 34, 99, 100, 101):
        yield array([(INT, ONE)] * size)
        if size < 35:
            yield array([text("x")] * size)
            yield array([text("abc")] * (size - 1) + [text("")])
    for each in (
        text("-"),
        (DOUBLE, struct.pack("<d", math.nan)),
        (NULL, b""),
        text("\u00e9"),
        value(5),
        (BOOL, b"\1"),
    ):
        yield array([each])
        yield array([(INT, ONE), each])
        yield array([text("abc"), each, text("abd")])


def _wrong_arrays() -> Iterator[Value]:
    """What has a name twice, arrays whose elements are not numbered as an array's are, or that hold what is old."""
    yield OBJECT, document([(INT, b"a", ONE)] * 2)
    yield OBJECT, document([(INT, b"a", ONE), (*text("")[:1], b"b", text("")[1]), (NULL, b"b", b"")])
    for names in ([b"1"], [b"0", b"0"], [b""], [b"0", b"2"], [b"00"], [b"0", b"a"], [b"a"], [b"1", b"0"]):
        yield ARRAY, document((INT, each, ONE) for each in names)
        yield ARRAY, document((*text("abc")[:1], each, text("abc")[1]) for each in names)
    yield ARRAY, document([(INT, b"0", ONE), (NULL, b"", b"")])
    yield from ((ARRAY, each) for each in _objects() if elements(each))
    for each in _old():
        yield array([each])
        yield array([text("abc"), each])
        yield array([each, text("")])


#: What may stand anywhere.
VALUES: list[Value] = [
    *_texts(), *_numbers(), *_others(), *((OBJECT, each) for each in _objects()), *_arrays(),
]  # fmt: skip
#: What may stand anywhere, and is rightly found although nothing is wrong with it: it is rare.
ODD: list[Value] = [*_old(), *_wrong_arrays()]
_NAMES = [b"", b"a", b"b", b"zz", b"\xff", b"0", b"1", b"field0", b"x" * 7, b"y" * 15, b"_id"]


def changed(draw: random.Random, raw: bytes) -> bytes:
    """Return a document with something else at any depth of it: a value, a name, the order, too little, too much."""
    found = elements(raw)
    for _ in range(draw.choice([1, 1, 2])):
        at = draw.randrange(len(found)) if found else 0
        kind, name, data = found[at] if found else (NULL, b"a", b"")
        other, stored = draw.choice(VALUES if draw.random() < 0.9 else ODD)
        match draw.randrange(8) if found else 7:
            case 0 | 1 if kind in {OBJECT, ARRAY}:
                found[at] = (kind, name, changed(draw, data))
            case 0 | 1 | 2:
                found[at] = (other, name, stored)
            case 3:
                del found[at]
            case 4:
                draw.shuffle(found)
            case 5:
                found[at] = (kind, draw.choice([*_NAMES, name + b"x", name[:-1], name + b"\xff"]), data)
            case 6:
                found.insert(draw.randrange(len(found) + 1), found[at])
            case _:
                found.insert(draw.randrange(len(found) + 1), (other, draw.choice(_NAMES), stored))
    return document(found)


class Sifted:
    """What the columns find in the documents of a model, beside what Python's own judge finds.

    Args:
        model: The model.
        names: Whether names that cannot be read are looked for where any name is let in.
    """

    def __init__(self, model: type[Model], *, names: bool = True) -> None:
        self.entry = next(iter(Registry([model])))
        found = compiled(self.entry, names=names)
        assert found is not None
        self._sieve, self._judge = found, Judge(self.entry)

    def suspects(self, documents: Sequence[bytes], *, reply: bool = True) -> list[bool]:
        """Which documents are suspects: of a reply's array, or of a stream as PyMongo makes it."""
        page = Page(numbered(documents) if reply else b"".join(documents))
        assert [page.raw[at : at + 4] for at in page.starts.tolist()] == [each[:4] for each in documents]
        found: Mask = self._sieve.suspects(page)
        assert found.dtype == np.bool_
        return [bool(each) for each in found]

    def faulty(self, raw: bytes) -> bool | None:
        """Whether Python finds something wrong in a document; None where it cannot be decoded at all."""
        try:
            read = decoded(raw)
        except BSONError:
            return None
        return any(each.code.startswith(("SCH", "EMP", "FRB")) for each in self._judge.stored(read))

    def missed(self, documents: Sequence[bytes], *, reply: bool = True) -> list[bytes]:
        """The documents with a fault that are no suspects: there must be none."""
        found = self.suspects(documents, reply=reply)
        return [each for each, suspect in zip(documents, found, strict=True) if not suspect and self.faulty(each)]

    def more(self, documents: Sequence[bytes], *, reply: bool = True) -> list[bytes]:
        """The suspects in which nothing is wrong."""
        found = self.suspects(documents, reply=reply)
        return [each for each, suspect in zip(documents, found, strict=True) if suspect and self.faulty(each) is False]
