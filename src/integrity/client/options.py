"""The driver's options that are given to ``connect``: which of them is wrong, without its value."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pymongo import common
from pymongo.errors import PyMongoError

#: What ``connect`` takes besides PyMongo's options.
_OURS = ("models", "database", "actor", "pool", "references", "policy", "unique", "executor", "driver")


def wrong_option(options: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the options; None where it is nothing that the driver tells of one alone."""
    for name, value in options.items():
        if name.lower() not in common.VALIDATORS:
            near = get_close_matches(name, (*_OURS, *common.VALIDATORS), n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see PyMongo's MongoClient for those that there are."
            return f"connect has no option {name!r}, and neither has PyMongo; {hint}"
        try:
            common.validate(name, value)
        except (PyMongoError, ValueError, TypeError):
            return f"PyMongo does not take the value that is given as {name}; correct it."  # it may be a password
    return None
