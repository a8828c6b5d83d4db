"""What a sample tells of the whole: how many documents break a rule, and between which bounds that number lies.

Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927); its interval holds
for shares near 0 too, where the usual one is empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Of a normal distribution, so many deviations around its middle hold 95 %.
_DEVIATIONS = 1.959964


@dataclass(frozen=True)
class Estimate:
    """How many documents of a collection break a rule.

    Args:
        documents: The likeliest number.
        low: The lower bound of the interval of 95 %.
        high: The upper bound.
    """

    documents: int
    low: int
    high: int


def estimate(faulty: int, read: int, documents: int) -> Estimate:
    """Return what a sample tells.

    Args:
        faulty: The documents of the sample that break a rule.
        read: The documents of the sample.
        documents: The documents of the collection.
    """
    documents = max(documents, read)
    if not read:
        return Estimate(0, 0, documents)
    share, square = faulty / read, _DEVIATIONS**2
    middle = (share + square / (2 * read)) / (1 + square / read)
    half = _DEVIATIONS * math.sqrt(share * (1 - share) / read + square / (4 * read * read)) / (1 + square / read)
    # What was seen is certain: so many are at fault, and so many are not.
    low = max(faulty, math.floor(documents * (middle - half)))
    high = min(documents - (read - faulty), math.ceil(documents * (middle + half)))
    return Estimate(min(max(round(documents * share), low), high), low, high)
