"""Instances of a model out of stored documents."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from integrity.declare import codec
from integrity.declare.model import Model
from integrity.declare.reserved import CONDEMNED
from integrity.errors import InvalidDocument
from integrity.store.port import Document
from integrity.writes.guard import Guard
from integrity.writes.refusal import refusal

M = TypeVar("M", bound=Model)


def instance(model: type[M], guard: Guard, document: Document) -> M:
    """Return the instance that a stored document is.

    Args:
        model: The class.
        guard: Its guard.
        document: As it is stored.

    Raises:
        InvalidDocument: It is not as declared, strictly by its BSON types.
    """
    violations = guard.judge.stored(document)
    if violations:
        raise refusal(violations, model=model.__name__)
    read = {name: value for name, value in document.items() if name != CONDEMNED}
    if codec.holds_reference(read):
        read = codec.objects(read)
    try:
        found: M = guard.entry.reader.validate_python(read)
    except ValidationError as error:
        raise _unreadable(guard, codec.decode(read), error) from error
    return found


def _unreadable(guard: Guard, decoded: dict[str, Any], error: ValidationError) -> InvalidDocument:
    verdict = guard.judge.offered(decoded)
    if verdict.violations:
        return refusal(verdict.violations, model=guard.entry.name)
    return InvalidDocument((), f"{guard.entry.name} {decoded.get('_id')!r} cannot be made an instance: {error}")
