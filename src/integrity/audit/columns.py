"""Whether there is what columns of documents are looked through with."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec


@cache
def columns() -> bool:
    """Whether numpy is installed: `integrity.audit.sieve` needs it, and nothing else does."""
    return find_spec("numpy") is not None
