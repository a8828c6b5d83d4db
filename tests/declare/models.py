"""Models made at run time: a test names what it is about and nothing else."""

import itertools
from typing import Any

from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.rules.judge import Judge

_numbers = itertools.count()


def model(
    name: str, fields: dict[str, Any], body: dict[str, Any] | None = None, *, embedded: bool = False, **keywords: Any
) -> type[Any]:
    """Return a model with a collection of its own name, or an embedded one."""
    if not embedded:
        keywords.setdefault("collection", name.lower())
    metaclass: Any = type(Model)
    namespace = {"__annotations__": fields, "__module__": __name__, **(body or {})}
    made: type[Any] = metaclass(name, (Model,), namespace, **keywords)
    return made


def of_field(annotation: Any, body: dict[str, Any] | None = None, **keywords: Any) -> Judge:
    """Return the judge of a model with ``id: int`` and one field, ``f``."""
    made = model(f"Thing{next(_numbers)}", {"id": int, "f": annotation}, body, **keywords)
    return Judge(Registry([made]).entry(made))
