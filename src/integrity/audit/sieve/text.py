"""What finds a fault in a column of strings.

Most strings are settled by their first character and by being ASCII. What is left is asked of the place's own
validator, many at once: it alone knows what a character is, and what a pattern matches.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from integrity.audit import expected
from integrity.audit.sieve.page import LENGTH, Column, Mask
from integrity.audit.sieve.value import Test, equal

_VISIBLE = range(0x21, 0x7F)


def strings(wanted: expected.Text, judged: Callable[[Column], Mask]) -> Test:
    """Return the test of strings.

    Args:
        wanted: What is expected of them.
        judged: The place's own validator, for what is not settled; a pattern it alone knows.
    """
    if wanted.pattern is not None:
        return judged
    policy, allowed, least, most = wanted.policy, wanted.allowed, wanted.least, wanted.most
    placeholders = sorted(each.encode() for each in policy.placeholders - allowed)
    firsts = {each[0] for each in placeholders}
    # A visible character comes first, and no placeholder begins like that.
    plain = np.zeros(256, np.bool_)
    plain[[each for each in _VISIBLE if each not in firsts]] = True
    # A placeholder begins like that, which may be something else as a whole.
    doubtful = np.zeros(256, np.bool_)
    doubtful[[each for each in _VISIBLE if each in firsts]] = True

    empty = policy.allow_empty_strings or "" in allowed
    limited = bool(least) or most is not None

    def test(column: Column) -> Mask:
        page, begin, sizes = column.page, column.at + LENGTH, column.lengths - 1
        words = page.words[begin]
        heads = words.astype(np.uint8)
        settled = plain[heads]
        found = np.zeros(len(column), np.bool_)
        if not settled.all():
            if (index := np.flatnonzero(doubtful[heads])).size:
                found[index] = equal(column.part(index, column.kind), placeholders)
                settled[index] = ~found[index]
            if not empty:
                found |= sizes == 0
        settled &= page.ascii(begin, sizes, words)
        if limited:
            # Of ASCII, a character is a byte.
            found |= settled & ((sizes < (least or 0)) | (sizes > (np.inf if most is None else most)))
        if not settled.all() and (left := np.flatnonzero(~(settled | found))).size:
            found[left] = judged(column.part(left, column.kind))
        return found

    return test
