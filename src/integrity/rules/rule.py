"""What a rule is: a code, a name, a page; and the place that a violation of it names."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from integrity.rules import page
from integrity.rules.remedy import Remedy
from integrity.violation import Violation

Repair = Literal["safe", "unsafe", "none"]


@dataclass(frozen=True)
class At:
    """The place of a value: what a violation says about where.

    Args:
        collection: The collection's name.
        id: The document's ``_id``, or None when it has none yet.
        path: The concrete path, such as ``"items.2.qty"``.
        field: The declared path, such as ``"items[].qty"``.
    """

    collection: str
    id: Any
    path: str
    field: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with a value, before it is known where it stands.

    Args:
        message: One sentence.
        hint: One sentence that says what to do next.
        values: The pieces of the message that quote the value.
    """

    message: str
    hint: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A rule's identity.

    Args:
        code: Stable, three letters of the family and three digits.
        name: The fault, in kebab-case.
        module: The name of the rule's module, whose docstring is its page.
        repair: Whether a repair is known, and whether it is safe.
        remedies: What `integrity repair` can do about it: the safe remedies by itself, the others when they are
            chosen.
        audited: Whether a stored document may break it; if not, it is about writes alone.
    """

    code: str
    name: str
    module: str
    repair: Repair = "none"
    remedies: tuple[Remedy, ...] = ()
    audited: bool = True

    @property
    def family(self) -> str:
        """The three letters."""
        return self.code[:3]

    @cached_property
    def page(self) -> str:
        """The docstring of the rule's module: its explanation."""
        return page.of(self.module)

    @property
    def title(self) -> str:
        """The first line of the page."""
        return inspect.cleandoc(self.page).splitlines()[0]

    def violation(self, at: At, fault: Fault) -> Violation:
        """Return the violation of this rule at a place."""
        return Violation(
            code=self.code,
            rule=self.name,
            collection=at.collection,
            id=at.id,
            path=at.path,
            message=fault.message,
            hint=fault.hint,
            values=fault.values,
            field=at.field,
        )
