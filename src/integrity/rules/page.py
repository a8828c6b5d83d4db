"""A rule's page: the docstring of its module, which `integrity rule` prints and reports quote."""

from __future__ import annotations

import ast
import inspect
import sys

_LEFT_OUT = "Its page was left out, as Python was told to by -OO."


def of(module: str) -> str:
    """Return the docstring of a rule's module.

    Args:
        module: The module's name; it has been imported.

    Returns:
        The docstring; under ``python -OO``, which leaves docstrings out, what the module's source has in its place.
    """
    found = sys.modules[module]
    if found.__doc__ is not None:
        return found.__doc__
    try:
        source = inspect.getsource(found)
    except OSError:  # nor is the source there
        return _LEFT_OUT
    return ast.get_docstring(ast.parse(source), clean=False) or _LEFT_OUT
