"""A rule's page: its module's docstring, for the terminal and for the documentation."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable

from integrity.rules.rule import Rule

#: A terminal's, less the scroll bar.
WIDTH = 78

FAMILIES = {
    "EMP": "empty",
    "FRB": "forbidden",
    "SCH": "schema",
    "REF": "reference",
    "UNQ": "unique",
    "OWN": "ownership",
    "DRF": "drift",
}


def sections(rule: Rule) -> dict[str, str]:
    """Return the page's sections by their titles."""
    found: dict[str, str] = {}
    for part in inspect.cleandoc(rule.page).split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        found[title.strip()] = body.strip("\n")
    return found


def text(rule: Rule) -> str:
    """Return the page for a terminal."""
    lines = [f"{rule.code} {rule.name}: {rule.title}"]
    for title, body in sections(rule).items():
        lines += ["", title]
        for paragraph in body.split("\n\n"):
            lines += [*_wrapped(paragraph), ""]
        lines.pop()
    return "\n".join(lines)


def _wrapped(paragraph: str) -> list[str]:
    if paragraph.startswith(" "):  # code stays as it is
        return [f"  {line}".rstrip() for line in paragraph.splitlines()]
    text = " ".join(paragraph.splitlines())
    return textwrap.wrap(
        text, WIDTH, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def markdown(rule: Rule) -> str:
    """Return the page for the documentation."""
    title, _, body = inspect.cleandoc(rule.page).partition("\n")
    return f"# {rule.code} {rule.name}\n\n{title}\n{body}\n"


def file_name(rule: Rule) -> str:
    """Return the name of the page's file."""
    return f"{rule.code}-{rule.name}.md"


def listing(rules: Iterable[Rule]) -> str:
    """Return the rules as a list for a terminal, by family."""
    lines: list[str] = []
    family = ""
    for rule in rules:
        if rule.family != family:
            family = rule.family
            lines += [*([""] if lines else []), f"{family} {FAMILIES[family]}"]
        lines.append(f"  {rule.code} {rule.name:<20} {rule.title}")
    return "\n".join([*lines, "", "`integrity rule CODE` explains one of them."])


def index(rules: Iterable[Rule]) -> str:
    """Return the documentation's list of the rules."""
    rows = [f"| [{rule.code}]({file_name(rule)}) | {rule.name} | {rule.title} | {rule.repair} |" for rule in rules]
    return "\n".join(
        [
            "# The rules",
            "",
            "A rule is named after the fault. Codes are stable. One value at one path is reported once, under the",
            "first family that applies: EMP and FRB, SCH, REF, OWN, UNQ. `integrity rule CODE` prints the same pages.",
            "",
            "| code | name | finds | repair |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
