"""Sets of characters, as ranges of code points, and how PCRE writes them."""

from __future__ import annotations

Ranges = tuple[tuple[int, int], ...]

LAST = 0x10FFFF
_META = frozenset("\\.+*?()|[]{}^$#&-~")


def union(first: Ranges, second: Ranges) -> Ranges:
    """Return what is in one or the other, in order, without gaps that are none."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted((*first, *second)):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """Return every other character."""
    found, low = [], 0
    for first, last in union(ranges, ()):
        if first > low:
            found.append((low, first - 1))
        low = last + 1
    if low <= LAST:
        found.append((low, LAST))
    return tuple(found)


def overlap(first: Ranges, second: Ranges) -> bool:
    """Whether a character is in both."""
    return any(low <= high2 and low2 <= high for low, high in first for low2, high2 in second)


def text(ranges: Ranges) -> str:
    """Return the pattern that matches one of the characters of ranges, of which there is at least one."""
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return character(ranges[0][0])
    negated = complement(ranges)
    sign, shown = ("^", negated) if negated and len(negated) < len(ranges) else ("", ranges)
    return f"[{sign}{span(shown)}]"


def span(ranges: Ranges) -> str:
    """Return ranges of code points as they stand between the brackets of a class."""
    return "".join(character(low) if low == high else f"{character(low)}-{character(high)}" for low, high in ranges)


def character(code: int) -> str:
    """Return the pattern of one character, also between the brackets of a class."""
    literal = chr(code)
    if literal.isascii() and literal.isprintable():
        return f"\\{literal}" if literal in _META else literal
    return f"\\x{{{code:X}}}"
