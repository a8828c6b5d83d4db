"""How grave a broken rule is: an error fails a run, a warning is reported and does not, and off is not looked for."""

from __future__ import annotations

from collections.abc import Mapping

from integrity.errors import AuditError
from integrity.rules import RULES

LEVELS = ("error", "warn", "off")


def codes_of(level: str, levels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the codes of the rules that are at a level.

    Args:
        level: One of `LEVELS`.
        levels: The levels by code, or by the beginning of codes; the longest counts. What none of them names is an
            error.

    Raises:
        AuditError: No rule has such a code, or there is no such level.
    """
    for code, each in levels.items():
        if each not in LEVELS:
            raise AuditError(f"The severity of {code} is {each!r}; there are {', '.join(LEVELS)}.")
        known(code)
    return tuple(rule.code for rule in RULES if _of(rule.code, levels) == level)


def known(code: str) -> None:
    """Refuse what no rule's code begins with.

    Raises:
        AuditError: No rule has such a code.
    """
    if not code or not any(rule.code.startswith(code) for rule in RULES):
        families = ", ".join(sorted({rule.family for rule in RULES}))
        raise AuditError(f"No rule has the code {code!r}; `integrity rule` lists them (families: {families}).")


def _of(code: str, levels: Mapping[str, str]) -> str:
    named = [each for each in levels if code.startswith(each)]
    return levels[max(named, key=len)] if named else "error"
