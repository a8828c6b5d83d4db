"""Where the suspects of a collection can be found: here too, where there is what columns are looked through with."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from integrity.audit.source import Source

#: Of fewer documents, it does not matter where.
_LEAST = 20_000
#: Documents that it is tried with, and the most bytes of them; where there are fewer than so many in these, they are
#: large, and the server's to read.
_TRIED, _BYTES, _FEWEST = 4000, 4_000_000, 200


@cache
def columns() -> bool:
    """Whether numpy is installed: `integrity.audit.sieve` needs it, and nothing else does."""
    return find_spec("numpy") is not None


def trial(source: Source) -> int:
    """Return with how many documents of a collection it is tried where it is quicker; 0 where it is the server."""
    if not columns() or source.documents < _LEAST or not source.average:
        return 0
    many = min(_TRIED, _BYTES // source.average)
    return many if many >= _FEWEST else 0
