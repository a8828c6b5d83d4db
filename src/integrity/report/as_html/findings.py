"""The findings, rule by rule: what a rule means, its places with their examples, the query and the repair."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import groupby

from integrity.audit.baseline import fingerprint
from integrity.audit.result import AuditResult
from integrity.report import rule_page
from integrity.report.as_html.element import LENGTH, Html, element, joined, quoted
from integrity.report.as_html.mongosh import query
from integrity.report.as_html.overview import heat, many
from integrity.report.evidence import Evidence, kinds
from integrity.report.excerpt import Line, literal
from integrity.rules import BY_CODE, Rule
from integrity.violation import Violation

_NAME, _MESSAGE, _PATH = 60, 400, 120
_CODE = re.compile(r"`([^`]+)`")
_EXPLAINED = ("What it finds", "Why it matters", "Example", "Repair")

Kind4 = tuple[str, str, str, int]


class Findings:
    """The findings of a result.

    Args:
        result: What the audit found.
        evidence: What is shown beside it.
    """

    def __init__(self, result: AuditResult, evidence: Evidence) -> None:
        self._documents = {each.name: each.documents for each in result.collections}
        self._evidence = evidence
        self._totals: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        for each in result.collections:
            for code, count in each.counts.items():
                self._totals[code] = self._totals.get(code, 0) + count
            for at in each.paths:
                code = at.partition(" ")[0]
                self._paths[code] = self._paths.get(code, 0) + 1
        self._kinds = {code: list(found) for code, found in groupby(kinds(result), key=lambda one: one[1])}
        self._collections = [each.name for each in result.collections if each.counts]

    def filter(self) -> Html | None:
        """Return the inputs that narrow what is shown; a script takes care of them, and shows them."""
        if not self._kinds:
            return None
        fields = [
            element(
                "label",
                "Search ",
                element("input", type="search", id="search", autocomplete="off", spellcheck="false"),
            ),
            _choice("rule", "Rule", [(code, f"{code} {BY_CODE[code].name}") for code in sorted(self._kinds)]),
            _choice("collection", "Collection", [(each, each) for each in self._collections[:LENGTH]]),
            element("button", "Clear", type="button", id="clear"),
            element("output", "", id="shown", for_="search rule collection", aria_live="polite"),
        ]
        return element("form", *fields, id="filter", role="search", aria_label="Filter the findings", hidden=True)

    def rules(self, room: int) -> Iterator[Html]:
        """Yield the sections of the rules.

        Args:
            room: The bytes that they may take; what does not fit is counted and left out.
        """
        left = len(self._kinds)
        for code in sorted(self._kinds):
            section = self._rule(BY_CODE[code], self._kinds[code], room // left)
            room -= len(section.encode())
            left -= 1
            yield section

    def _rule(self, rule: Rule, found: list[Kind4], room: int) -> Html:
        head = joined(
            [
                element("h3", element("span", rule.code, class_="code"), f" {rule.name} ",
                        element("span", f"{self._totals[rule.code]:,}", class_="count"), id=f"{rule.code}-title"),
                element("p", _marked(rule.title), _when(self._evidence, rule.code)),
                _explained(rule),
                _repair(rule, self._evidence.models),
            ]
        )  # fmt: skip
        room -= len(head.encode()) + 1000
        shown: list[Html] = []
        for each in found:
            place = self._kind(each, first=not shown)
            room -= len(place.encode())
            if room < 0:
                break
            shown.append(place)
        hidden = self._paths[rule.code] - len(shown)
        rest = element("p", f"{many(hidden, 'place')} with fewer violations left out; the full list has them.",
                       class_="quiet") if hidden else None  # fmt: skip
        return element(
            "section", head, *shown, rest, id=rule.code, class_="finding", aria_labelledby=f"{rule.code}-title"
        )

    def _kind(self, kind: Kind4, *, first: bool) -> Html:
        collection, code, path, count = kind
        examples = self._evidence.examples.get((collection, code, path), [])
        documents = self._documents.get(collection, 0)
        found = query(code, collection, path, examples, self._evidence.references or ())
        hint = element("p", "Hint: ", quoted(examples[0].hint, _MESSAGE)) if examples else None
        rest = count - len(examples)
        summary = element(
            "summary",
            quoted(collection, _NAME, "collection"),
            element("span", "."),
            quoted(path or "(document)", _PATH, "path"),
            element("span", f"{count:,}", class_=f"count h{heat(count, documents)}"),
        )
        return element(
            "details",
            summary,
            hint,
            element("div", *(self._example(each) for each in examples), class_="examples") if examples else None,
            element("p", f"{rest:,} more of this kind.", class_="quiet") if rest > 0 and examples else None,
            _copied(found.text, f"In mongosh: {found.meaning}") if found is not None else None,
            class_="kind",
            open=first,
            data_collection=collection[:LENGTH],
            data_code=code,
        )

    def _example(self, violation: Violation) -> Html:
        seen = self._evidence.seen.get(fingerprint(violation))
        there: list[Html] = []
        if seen is not None and seen.document is None:
            there.append(element("p", "The document is no longer there.", class_="quiet"))
        elif seen is not None and seen.document is not None:
            there.append(_excerpt("Here" if seen.owner else "In its document", seen.document))
            if seen.owner:
                there.append(_excerpt(joined(["Its owner, ", quoted(seen.owner, _PATH)]), seen.original))
        elif violation.code == "OWN001" and len(violation.values) == 2:  # noqa: PLR2004 - the copy's and the owner's
            there += [
                _excerpt(title, (Line(0, "", value, marked=True),))
                for title, value in zip(("Here", "Its owner"), violation.values, strict=True)
            ]
        where = joined([" at ", quoted(violation.path, _PATH, "path")]) if violation.path != violation.field else None
        return element(
            "article",
            element("h4", "_id ", quoted(literal(violation.id, _NAME)), where),
            element("p", quoted(violation.message, _MESSAGE)),
            element("div", *there, class_="beside") if there else None,
        )


def _when(evidence: Evidence, code: str) -> Html | None:
    ends = evidence.written.ends(code)
    if ends is None:
        return None
    first, last = (f"{each:%Y-%m-%d}" for each in ends)
    said = f" Documents written on {first}." if first == last else f" Documents written from {first} to {last}."
    return element("span", said, class_="quiet")


def _choice(name: str, label: str, options: list[tuple[str, str]]) -> Html:
    found = [element("option", f"All {label.lower()}s", value="")]
    found += [element("option", text[:_NAME], value=value[:LENGTH]) for value, text in options]
    return element("label", f"{label} ", element("select", *found, id=name))


def _excerpt(title: str, lines: tuple[Line, ...]) -> Html:
    shown = []
    for each in lines:
        key = element("span", quoted(each.key), ": ", class_="key") if each.key else None
        value = quoted(each.value, 2 * LENGTH)
        shown.append(
            element("mark" if each.marked else "span", "  " * each.depth, key, value, class_=f"line d{each.depth}")
        )
    return element("figure", element("figcaption", title), element("pre", *shown))


def _explained(rule: Rule) -> Html:
    found = rule_page.sections(rule)
    parts = [joined([element("h4", title), *_paragraphs(found[title])]) for title in _EXPLAINED if title in found]
    return element("details", element("summary", "What it means"), *parts, class_="why")


def _paragraphs(body: str) -> Iterator[Html]:
    for paragraph in re.split(r"\n{2,}", body):
        if paragraph.startswith("    "):
            yield element("pre", "", *_code_lines(paragraph))
        elif paragraph.strip():
            yield element("p", _marked(" ".join(paragraph.split())))


def _code_lines(paragraph: str) -> Iterator[Html]:
    # A line feed is no character that prints: each line is an element of its own.
    for line in paragraph.splitlines():
        yield element("span", line.removeprefix("    ") or " ", class_="line")


def _marked(text: str) -> Html:
    """Return a text of our own with its `code` marked."""
    pieces = _CODE.split(text)
    return joined(element("code", each) if index % 2 else each for index, each in enumerate(pieces))


def _repair(rule: Rule, models: str) -> Html | None:
    if not rule.remedies:
        return None
    safe = [each for each in rule.remedies if each.safe]
    badge = (
        element("b", "Safe repair", class_="safe") if safe else element("b", "Repair is a decision", class_="unsafe")
    )
    words = "; ".join(each.does for each in safe) if safe else "one of: " + ", ".join(map(str, rule.remedies))
    command = f"integrity repair {shlex.quote(models)} --plan --select {rule.code}"
    if not safe:
        command += f" --unsafe {rule.code}={rule.remedies[0]}"
    return element("div", element("p", badge, f" {words}."), _copied(command, "Shows what it would change"),
                   class_="repair")  # fmt: skip


def _copied(text: str, title: str) -> Html:
    return element(
        "div",
        element("span", title, class_="quiet"),
        element("code", text, class_="command"),
        element("button", "Copy", type="button", class_="copy", hidden=True, aria_label=f"Copy: {title}"),
        class_="copied",
    )
