"""The shape of the catalogue's entries."""

from dataclasses import dataclass, field
from typing import Any

from integrity.declare.model import Model


@dataclass(frozen=True)
class Bad:
    """One bad write.

    Args:
        name: What is tried, as a sentence.
        model: The model whose collection is called.
        call: The method's name and its arguments.
        expected: The code of the rule that refuses it; or the class of the error, where no rule's code applies.
        options: The method's keyword arguments.
        actor: Who writes.
    """

    name: str
    model: type[Model]
    call: tuple[Any, ...]
    expected: str
    options: dict[str, Any] = field(default_factory=dict)
    actor: str = "*"

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.call[0])

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The method's positional arguments."""
        return self.call[1:]

    def __str__(self) -> str:
        return self.name
