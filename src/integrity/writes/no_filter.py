"""A filter that is none; PyMongo's own check comes too late, after ours has stood beside another condition."""

from __future__ import annotations

from collections.abc import Mapping


def refuse_no_filter(filter: object) -> None:
    """Refuse a filter that is no mapping, as PyMongo does: ``[]`` would be taken for one of every document.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(filter, Mapping):
        raise TypeError(f"A filter is a mapping, not {type(filter).__name__}; {{}} is the one of every document.")
