"""Functions of the user's, called so that a value which they were not written for ends nothing but itself.

Pydantic lets only ``ValueError`` and ``AssertionError`` refuse a value; whatever else a validator raises goes through
it. ``value.strip()`` on a stored number would end an audit of a million documents at the first of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticCustomError, core_schema

from integrity.declare import codec

FUNCTION_ERROR = "function_failed"

#: What Python raises where a value is not what the code expects. A database that is away is no fault of the value.
_OF_THE_VALUE = (TypeError, AttributeError, LookupError, ArithmeticError, StopIteration)


def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a validator that refuses the value which makes `function` fail."""

    @functools.wraps(function, assigned=(), updated=())
    def called(*given: Any) -> Any:
        try:
            return function(*given)
        except _OF_THE_VALUE as error:
            reason = f"{type(error).__name__}: {error}".encode(errors="backslashreplace").decode()
            raise PydanticCustomError(FUNCTION_ERROR, "{reason}", {"reason": reason}) from error

    return called


def telling(discriminator: Any) -> Any:
    """Return a union's discriminator; one that is a function tells no branch of the value which makes it fail."""
    if not callable(discriminator):
        return discriminator

    def called(value: Any) -> Any:
        try:
            return discriminator(value)
        except _OF_THE_VALUE:
            return None

    return called


def made(schema: Any) -> Any:
    """Return the schema of a class whose own ``__init__`` or ``model_post_init`` may fail."""
    return dict(core_schema.no_info_wrap_validator_function(refusing(lambda value, handler: handler(value)), schema))


def plain_default(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a default's schema that fills in dicts where the model's own has instances: documents are dicts."""
    if "default" in schema:
        return schema | {"default": codec.plain(schema["default"])}
    factory = schema.get("default_factory")
    if factory is None or (isinstance(factory, type) and not issubclass(factory, BaseModel)):
        return schema  # none, as in OnErrorOmit, or ObjectId, mostly, whose call is not to be paid twice
    return schema | {"default_factory": lambda *given: codec.plain(factory(*given))}
