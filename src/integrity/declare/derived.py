"""`derived`: a method whose value is stored in the document, and computed anew at every write."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Generic, Self, TypeVar, overload

from pydantic import BaseModel, Field

from integrity.declare.constraint import Derived
from integrity.errors import DeclarationError

T = TypeVar("T")


class derived(Generic[T]):  # noqa: N801 - a decorator, written like property
    """Declare a field that is computed from the document's own other fields.

    ::

        class Line(Model):
            quantity: int
            price: Decimal

            @derived
            def total(self) -> Decimal:
                return self.quantity * self.price

    The value is stored, so that it can be queried and indexed; it is computed at every write, refused from outside
    unless it is equal, and audited by computing it again (OWN002). On an instance it is computed when it is read. The
    method sees the document alone: what is in other documents is a copy's affair, and what changes by itself, such as
    the time, is no formula.

    Args:
        function: The method; its return type is the field's, with `Annotated` constraints and all.

    Raises:
        DeclarationError: The method has no return type.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        self.name = function.__name__
        if "return" not in function.__annotations__:
            raise DeclarationError(
                f"{function.__qualname__} is derived and has no return type; write `def {self.name}(self) -> TYPE:`."
            )

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: Any, owner: type) -> T: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            # As every field of a pydantic model: a subclass would take the descriptor for the field's default.
            raise AttributeError(self.name)
        return self.function(instance)

    def __set__(self, instance: Any, value: Any) -> None:
        raise AttributeError(f"{type(instance).__name__}.{self.name} is derived; change what it is computed from.")

    @property
    def annotation(self) -> Any:
        """The field's type, with its marker."""
        returned: Any = self.function.__annotations__["return"]
        return Annotated[returned, Derived(self.function)]

    def field(self, cls: type) -> Any:
        """Return pydantic's field: not to be given, and there when an instance is dumped."""

        def made(values: dict[str, Any]) -> Any:
            assert issubclass(cls, BaseModel)
            # All of them are given, and computed when they are read: pydantic would make a default of those that are
            # not, this one too, without an end.
            given = dict.fromkeys(getattr(cls, "__integrity_derived__", ()))
            try:
                return self.function(cls.model_construct(**{**given, **values}))
            except Exception:  # noqa: BLE001 - the function is the user's; the write that needs its value says so
                return None

        return Field(default_factory=made, validate_default=False, frozen=True)


def declare(cls: Any) -> None:
    """Make a class's derived methods fields, before pydantic collects them."""
    found = {name: each for name, each in vars(cls).items() if isinstance(each, derived)}
    cls.__integrity_derived__ = {**getattr(cls, "__integrity_derived__", {}), **found}
    if not found:
        return
    own = dict(inspect.get_annotations(cls))
    for name, each in found.items():
        own[name] = each.annotation
        setattr(cls, name, each.field(cls))
    cls.__annotations__ = own


def restore(cls: Any) -> None:
    """Let the derived methods answer on instances, after pydantic has taken the fields off the class."""
    for name, each in cls.__dict__.get("__integrity_derived__", {}).items():
        type.__setattr__(cls, name, each)
