r"""What the server can say of a string: a pattern that only strings without a fault match.

MongoDB matches by PCRE in UTF mode: a value that is no string, and a string that is no UTF-8, match nothing. What
the pattern lets through must be let through by the policy too; it may refuse more, and Python then looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from integrity.declare.policy import Policy

#: The characters, by code point, that draw nothing where a string begins, and neighbours of theirs: a string that
#: begins with another one is visible. Rounded outwards where Unicode's versions may differ: U+1885 and the next were
#: letters once, and are to older servers.
_INVISIBLE = (
    (0x0, 0x20), (0x7F, 0xA0), (0xAD, 0xAD), (0x34F, 0x34F), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD),
    (0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2), (0x115F, 0x1160), (0x1680, 0x1680), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x1885, 0x1886), (0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x206F), (0x2800, 0x2800),
    (0x3000, 0x3000), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFF),
    (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1345F), (0x1BCA0, 0x1BCAF), (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)  # fmt: skip

#: What every string matches that is valid UTF-8: in another one, PCRE finds nothing at all.
UTF8 = "^"

#: The same of a field's name: those, a server matches byte by byte, where it is not told otherwise.
UTF8_NAME = "(*UTF)^"

#: Marks draw nothing of their own; what is unassigned to the server may be a mark to Python.
_MARKS = r"\p{M}\p{Cn}"

#: Pydantic compiles patterns by Rust's regex, MongoDB by PCRE. In what is made of these, the two agree.
_AGREED = re.compile(
    r"""
    \^ (?: [A-Za-z0-9 _:;,@\#/=!<>~%&-]              # itself
         | \\[.+*?()|\[\]{}^$/-]                     # itself, escaped
         | \[ (?: [A-Za-z0-9 _:;,@\#/=.+]            # a class of single characters and plain ranges
               | (?:a-z)|(?:A-Z)|(?:0-9) )+ -? \]
         | \((?:\?:)? | \) | [|?*+]                  # groups, alternatives, repetition
         | \{[0-9]{1,3}(?:,[0-9]{0,3})?\} )* \$
    """,
    re.VERBOSE,
)

#: Possessive and repeated repetitions, and the groups that begin with more than a colon.
_UNLIKE = re.compile(r"[+*?}][+*{]|[*+?}]\?\?|\(\?[^:]")


def valid(policy: Policy, allowed: frozenset[str] = frozenset()) -> str | None:
    """Return a pattern that only strings without an EMP or FRB fault match, or None where any string is valid.

    Args:
        policy: The policy in force.
        allowed: The strings that the field allows although the policy refuses them.
    """
    placeholders = sorted(each for each in policy.placeholders - allowed if each)
    visible = _class(_INVISIBLE) + _MARKS
    blank = policy.allow_white_space
    if blank and not placeholders:
        return None if policy.allow_empty_strings or "" in allowed else "^(?s:.)"
    firsts = "".join(sorted({each[0] for each in placeholders}))
    # A string that no placeholder begins like is settled by its first character.
    plain = f"[^{_escaped(firsts)}]" if blank else f"[^{visible}{_escaped(firsts)}]"
    parts = [plain]
    if placeholders:
        words = "|".join(map(_literal, placeholders))
        parts.append(f"(?!(?:{words})\\z)[{_escaped(firsts)}]")
    if policy.allow_empty_strings:
        parts.append("\\z")
    parts += [f"{_literal(each)}\\z" for each in sorted(allowed)]
    # Most strings are settled by a class of ASCII, which PCRE looks up in a table; one of Unicode it walks through,
    # which takes a fifth of the time of a whole filter.
    return f"^[{_class(tuple(_visible_ascii(firsts)))}]|^(?:{'|'.join(parts)})"


def empty_or_invisible() -> str:
    """Return a pattern that every string without a visible character matches."""
    return f"^(?:\\z|[{_class(_INVISIBLE)}{_MARKS}])"


def length(least: int | None, most: int | None) -> str:
    """Return a pattern that strings of so many characters match."""
    if most is not None and (least or 0) > most:
        return "(?!)"  # matches nothing
    return f"^(?s:.){{{least or 0},{'' if most is None else most}}}\\z"


def agreed(pattern: str) -> str | None:
    """Return the pattern as PCRE's, where it certainly means the same; None elsewhere."""
    if not _AGREED.fullmatch(pattern) or _UNLIKE.search(pattern):
        return None
    try:
        re.compile(pattern)
    except re.error:
        return None
    # Only the end differs: PCRE's $ stops before a line feed. `^a|b$` anchors each alternative by itself in both.
    return f"^{pattern[1:-1]}\\z"


def _visible_ascii(but: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of the visible ASCII characters that are not in `but`."""
    start, end = 0x21, 0x7F
    for each in sorted({ord(one) for one in but if start <= ord(one) < end} | {end}):
        if start < each:
            yield start, each - 1
        start = each + 1


def _class(ranges: tuple[tuple[int, int], ...]) -> str:
    return "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" if low < high else f"\\x{{{low:x}}}" for low, high in ranges)


def _escaped(characters: str) -> str:
    return "".join(f"\\x{{{ord(each):x}}}" for each in characters)


def _literal(text: str) -> str:
    return _escaped(text)
