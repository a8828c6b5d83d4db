"""The generated module is tried before it is given away: what its models contradict each other in is left out."""

from __future__ import annotations

import sys
import types

from integrity.declare.registry import Registry
from integrity.errors import IntegrityError
from integrity.infer.code import code
from integrity.infer.found import Found

_NAME = "integrity_inferred_models"


def checked(found: Found) -> str:
    """Return the source of the models; without its copies, and then its references, where they cannot be declared.

    Raises:
        IntegrityError: It cannot be declared at all.
    """
    problem: Exception | None = None
    for lighten in (_everything, _without_copies, _without_references):
        lighten(found)
        source = code(found)
        problem = _tried(source)
        if problem is None:
            return source
    raise IntegrityError(f"The models of {found.database!r} cannot be declared: {problem}") from problem


def _tried(source: str) -> Exception | None:
    module = types.ModuleType(_NAME)
    sys.modules[_NAME] = module  # pydantic looks annotations up by the module's name
    try:
        exec(compile(source, f"<{_NAME}>", "exec"), module.__dict__)  # noqa: S102 - the source was made here
        Registry(module)
    except Exception as error:  # noqa: BLE001 - whatever it is, the next, lighter source is tried
        return error
    finally:
        del sys.modules[_NAME]
    return None


def _everything(found: Found) -> None:
    """The first try."""


def _without_copies(found: Found) -> None:
    for each in found.repeats:
        found.notes.setdefault((each.link.collection, each.steps), []).append(
            f"equal to {each.link.target}.{each.field} in {each.equal:.1%}".replace("%", " %")
        )
    found.repeats = []


def _without_references(found: Found) -> None:
    for each in found.links:
        found.notes.setdefault((each.collection, each.steps), []).append(f"found in {each.target}.{each.field}")
    found.links = []
