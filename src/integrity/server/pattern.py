r"""From the regular expressions of pydantic (Rust's dialect, or Python's) to PCRE's, which MongoDB matches with.

The dialects differ in what looks alike: ``\d`` is any digit of Unicode in Rust and Python and ``[0-9]`` in PCRE,
``$`` lets a final line feed through in Python and PCRE and not in Rust. What means the same is translated; a class
that depends on a version of Unicode is widened (or narrowed, where the pattern is forbidden) by every character
beyond ASCII; everything else is left out. A translation never says no where the original says yes.

MongoDB's PCRE gives up on long texts, and giving up counts as no match: measured on 6.0.5, a repeated group ends
between 1,000 and 3,000 rounds. Such a pattern is trusted only for texts that are short enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from integrity.server import ranges
from integrity.server.ranges import LAST, Ranges

Dialect = Literal["rust", "python"]

_BEYOND_ASCII: Ranges = ((0x80, LAST),)
_DIGITS: Ranges = ((0x30, 0x39),)
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Ranges = ((0x09, 0x0D), (0x20, 0x20))
# Python's \s has four separators more than Rust's.
_SPACE_WIDE: Ranges = ((0x09, 0x0D), (0x1C, 0x20))
_ESCAPES = {"n": 0x0A, "r": 0x0D, "t": 0x09, "f": 0x0C, "v": 0x0B}

#: Rounds of a group, and of a run beside another run, up to which PCRE was seen to come to an end.
GROUP_ROUNDS, RUNS = 400, 8000
_MOST_REPEATS = 1000
_LONGEST = 8000


class _Untranslatable(Exception):
    """The pattern has what means something else, or nothing, in PCRE."""


@dataclass(frozen=True)
class Translated:
    """A pattern for MongoDB.

    Args:
        pattern: The pattern, to be searched for, as ``$regex`` and ``pattern`` of ``$jsonSchema`` do.
        trusted: The length of a text up to which its "no" counts; None where it always does.
    """

    pattern: str
    trusted: int | None = None


@dataclass(frozen=True)
class _Class:
    """A set of characters, known from both sides where it depends on a version of Unicode."""

    certain: Ranges
    possible: Ranges

    def complement(self) -> _Class:
        return _Class(ranges.complement(self.possible), ranges.complement(self.certain))

    def side(self, *, wide: bool) -> Ranges:
        return self.possible if wide else self.certain


@dataclass
class _Piece:
    """A translated piece: its text, and what matters of it for the question whether PCRE comes to an end."""

    text: str
    ranges: Ranges = ()
    runs: tuple[Ranges, ...] = ()
    group: bool = False
    repeated: bool = False
    delimited: bool = True
    first: Ranges = ()


def translate(pattern: str, dialect: Dialect, *, wide: bool = True) -> Translated | None:
    """Return the pattern for MongoDB, or None where there is no safe one.

    Args:
        pattern: The pattern, searched for anywhere in a text unless it is anchored.
        dialect: ``"rust"``, pydantic's own, or ``"python"``.
        wide: Whether the translation may match more than the original; otherwise it may match less.
    """
    try:
        parser = _Parser(pattern, dialect, wide=wide)
        body = parser.alternatives()
        if parser.at < len(pattern):
            return None
    except (_Untranslatable, IndexError, ValueError):
        return None
    if len(body.text) > _LONGEST:
        return None
    trusted = GROUP_ROUNDS if body.repeated else RUNS if len(body.runs) > 1 else None
    return Translated(body.text, trusted)


class _Parser:
    def __init__(self, pattern: str, dialect: Dialect, *, wide: bool) -> None:
        self.pattern = pattern
        self.rust = dialect == "rust"
        self.wide = wide
        self.at = 0

    def _peek(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def _take(self) -> str:
        character = self.pattern[self.at]
        self.at += 1
        return character

    def alternatives(self) -> _Piece:
        options = [self._sequence()]
        while self._peek("|"):
            self.at += 1
            options.append(self._sequence())
        if len(options) == 1:
            return options[0]
        return _Piece(
            "|".join(each.text for each in options),
            runs=tuple(run for each in options for run in each.runs),
            repeated=any(each.repeated for each in options),
            delimited=all(each.delimited and each.first for each in options)
            and not any(ranges.overlap(a.first, b.first) for a, b in combinations(options, 2)),
        )

    def _sequence(self) -> _Piece:
        pieces: list[_Piece] = []
        while self.at < len(self.pattern) and not self._peek("|") and not self._peek(")"):
            pieces.append(self._quantified(self._atom()))
        return _Piece(
            "".join(each.text for each in pieces),
            runs=tuple(run for each in pieces for run in each.runs),
            repeated=any(each.repeated for each in pieces),
            delimited=_delimited(pieces),
            first=pieces[0].ranges if pieces and not pieces[0].runs else (),
        )

    def _atom(self) -> _Piece:
        character = self._take()
        if character == "^":
            return _Piece(r"\A")
        if character == "$":
            return _Piece(r"\z" if self.rust else r"\Z")
        if character == ".":
            return self._class(_Class(*[ranges.complement(((0x0A, 0x0A),))] * 2))
        if character == "[":
            return self._class(self._bracket())
        if character == "(":
            return self._group()
        if character == "\\":
            return self._escaped()
        if character in "*+?{})]":
            raise _Untranslatable
        return self._class(_single(ord(character)))

    def _group(self) -> _Piece:
        if self._peek("?"):
            if self._peek("?:"):
                self.at += 2
            elif self._peek("?P<") or (self.rust and self._peek("?<") and self.pattern[self.at + 2] not in "=!"):
                self.at = self.pattern.index(">", self.at) + 1
            else:  # flags, look-around, back references, conditions
                raise _Untranslatable
        inner = self.alternatives()
        if not self._peek(")"):
            raise _Untranslatable
        self.at += 1
        return replace(inner, text=f"(?:{inner.text})", ranges=(), group=True)

    def _escaped(self) -> _Piece:
        character = self.pattern[self.at]
        if character in ("Az" if self.rust else "AzZ"):
            self.at += 1
            return _Piece(r"\A" if character == "A" else r"\z")
        return self._class(self._escape())

    def _escape(self) -> _Class:
        character = self._take()
        known = {"d": (_DIGITS, _DIGITS), "w": (_WORD, _WORD), "s": (_SPACE, _SPACE_WIDE)}.get(character.lower())
        if known is not None:
            found = _Class(known[0], ranges.union(known[1], _BEYOND_ASCII))
            return found.complement() if character.isupper() else found
        if character in _ESCAPES:
            return _single(_ESCAPES[character])
        if character == "x":
            return _single(self._hexadecimal(2))
        if character == "u":
            return _single(self._hexadecimal(4))
        if character.isascii() and not character.isalnum():
            return _single(ord(character))
        raise _Untranslatable

    def _hexadecimal(self, digits: int) -> int:
        if self._peek("{"):
            if not self.rust:
                raise _Untranslatable
            end = self.pattern.index("}", self.at)
            text, self.at = self.pattern[self.at + 1 : end], end + 1
        else:
            text = self.pattern[self.at : self.at + digits]
            self.at += digits
            if len(text) < digits:
                raise _Untranslatable
        if not all(each in "0123456789abcdefABCDEF" for each in text):
            raise _Untranslatable
        return int(text, 16)

    def _bracket(self) -> _Class:
        negated = self._peek("^")
        self.at += negated
        if self._peek("]") or self._peek("["):
            raise _Untranslatable
        certain: Ranges = ()
        possible: Ranges = ()
        while not self._peek("]"):
            if self._peek("[") or any(self._peek(each) for each in ("&&", "--", "~~", "||")):
                raise _Untranslatable  # Rust's set operations and nested classes; Python reserves them
            found = self._member()
            certain, possible = ranges.union(certain, found.certain), ranges.union(possible, found.possible)
        self.at += 1
        whole = _Class(certain, possible)
        return whole.complement() if negated else whole

    def _member(self) -> _Class:
        first = self._bracket_character()
        if not self._peek("-") or self._peek("-]"):
            return first
        self.at += 1
        last = self._bracket_character()
        low, high = first.certain, last.certain
        single = first.certain == first.possible and last.certain == last.possible and len(low) == len(high) == 1
        if not single or low[0][0] != low[0][1] or high[0][0] != high[0][1] or low[0][0] > high[0][0]:
            raise _Untranslatable
        both = ((low[0][0], high[0][0]),)
        return _Class(both, both)

    def _bracket_character(self) -> _Class:
        character = self._take()
        return self._escape() if character == "\\" else _single(ord(character))

    def _class(self, found: _Class) -> _Piece:
        chosen = found.side(wide=self.wide)
        if not chosen:
            raise _Untranslatable
        return _Piece(ranges.text(chosen), chosen)

    def _quantified(self, piece: _Piece) -> _Piece:
        least, most, text = self._quantifier()
        if not text:
            return piece
        if self._peek("?"):
            self.at += 1  # lazy: another way to the same yes or no
        if any(self._peek(each) for each in "*+?{") or (not piece.ranges and not piece.group):
            raise _Untranslatable  # a second quantifier, or one of an anchor
        if least > _MOST_REPEATS or (most is not None and most > _MOST_REPEATS):
            raise _Untranslatable
        many = most is None or most > 1
        if piece.group and many and not piece.delimited:
            raise _Untranslatable  # (a+)+ can be cut in exponentially many ways
        runs = piece.runs + ((piece.ranges,) if most != least and piece.ranges else ())
        repeated = piece.repeated or (piece.group and (most is None or most > GROUP_ROUNDS))
        return _Piece(piece.text + text, piece.ranges, runs, piece.group, repeated, piece.delimited)

    def _quantifier(self) -> tuple[int, int | None, str]:
        for sign, least, most in (("*", 0, None), ("+", 1, None), ("?", 0, 1)):
            if self._peek(sign):
                self.at += 1
                return least, most, sign
        if not self._peek("{"):
            return 1, 1, ""
        end = self.pattern.index("}", self.at)
        text, self.at = self.pattern[self.at : end + 1], end + 1
        low, comma, high = text[1:-1].partition(",")
        if not (low.isascii() and low.isdigit()) or (high and not (high.isascii() and high.isdigit())):
            raise _Untranslatable
        return int(low), (int(high) if high else None) if comma else int(low), text


def _delimited(pieces: list[_Piece]) -> bool:
    """Whether each round of a sequence begins with a character that none of its runs can hold."""
    if not any(each.runs or each.group for each in pieces):
        return True
    first = pieces[0]
    if not first.ranges or first.runs or any(each.group for each in pieces):
        return False
    return all(not ranges.overlap(first.ranges, run) for each in pieces for run in each.runs)


def _single(character: int) -> _Class:
    if character > LAST:
        raise _Untranslatable
    return _Class(((character, character),), ((character, character),))
