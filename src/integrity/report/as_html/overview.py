"""The first screen: the verdict, what was seen, and a rule by collection table as a heat map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from integrity.audit.result import AuditResult, CollectionResult
from integrity.report.as_html.element import LENGTH, Html, element, joined, quoted
from integrity.report.as_html.history import history
from integrity.report.as_text import verdict
from integrity.report.estimates import sentences
from integrity.report.evidence import Evidence
from integrity.rules import BY_CODE

#: Collections in the table; beyond it, those with the most violations.
_ROWS = 150
_NAME, _SENTENCE = 60, 600
#: Sentences about what a sample tells.
_ESTIMATES = 20

#: Where a cell's colour begins: violations for each document of the collection.
_STEPS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5)
LEGEND = ("0", "< 0.01 %", "< 0.1 %", "< 1 %", "< 5 %", "< 20 %", "< 50 %", "50 % or more")


def many(count: int, word: str) -> str:
    """Return a count with its word."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def heat(count: int, documents: int) -> int:
    """Return how hot so many violations in so many documents are: 0 for none, then by their share."""
    if not count:
        return 0
    share = count / max(documents, 1)
    return next((step for step, below in enumerate(_STEPS, start=1) if share < below), len(_STEPS) + 1)


def header(result: AuditResult, evidence: Evidence, made: str) -> Html:
    """Return the page's head: the verdict in one line, the sentences of every other format, and the figures.

    Args:
        result: What the audit found.
        evidence: What is shown beside it.
        made: When the report was made.
    """
    state, mark, title = _verdict(result)
    lines = [element("p", quoted(line, _SENTENCE)) for line in verdict(result)]
    return element(
        "header",
        element(
            "div",
            element("p", "Audit of ", quoted(result.database, _NAME), class_="over"),
            element("h1", element("span", mark, class_="mark", aria_hidden="true"), title),
            *lines,
            element("p", f"Made on {made}.", class_="quiet"),
            class_=f"verdict {state}",
        ),
        element("dl", *_figures(result, evidence), class_="figures"),
        class_="top",
    )


def _verdict(result: AuditResult) -> tuple[str, str, str]:
    new = "" if result.compared is None else "new "
    if not result.complete:
        return "incomplete", "!", f"Not complete: {many(result.total, f'{new}violation')} in what was seen"
    if result.errors:
        return "bad", "✕", many(result.total, f"{new}violation")
    if result.total:
        return "incomplete", "!", f"No error, and {many(result.total, f'{new}warning')}"
    return "clean", "✓", f"Clean: no {new}violation"


def _figures(result: AuditResult, evidence: Evidence) -> Iterator[Html]:
    documents = sum(each.documents for each in result.collections)
    scanned = sum(each.scanned for each in result.collections)
    whole = sum(each.complete for each in result.collections)
    share = 1.0 if result.complete else min(scanned / documents, 0.999) if documents else 0.0
    # Where documents were read and it is not complete all the same, nobody knows how much is missing.
    said = f"{100 * share:.3g} %" if result.complete or scanned < documents else "Not complete"
    coverage = joined(
        [
            element("strong", said),
            _meter(share, complete=result.complete),
            element("span", f"{scanned:,} of {documents:,} documents read"),
            element("span", f"{whole:,} of {many(len(result.collections), 'collection')} seen whole"),
        ]
    )
    yield _figure("Coverage", coverage, None if result.complete else "warn")
    if evidence.judged is not None:
        left = [code for code in BY_CODE if code not in evidence.judged]
        names = element("span", f"Not among them: {', '.join(left)}.", class_="quiet") if left else None
        yield _figure("Rules", joined([element("strong", f"{len(evidence.judged)} judged"), names]))
    if (compared := result.compared) is not None:
        gone = "" if compared.gone is None else f", {compared.gone:,} gone"
        others = f", {compared.others:,} of what was not looked at" if compared.others else ""
        known = element("span", f"{compared.known:,} known{gone}{others}")
        yield _figure("Against the baseline", joined([element("strong", f"{result.total:,} new"), known]))
    if evidence.history:
        yield _figure("Audits so far", history(evidence.history))


def _figure(title: str, content: Html, state: str | None = None) -> Html:
    return element("div", element("dt", title), element("dd", content), class_=state)


def _meter(share: float, *, complete: bool) -> Html:
    width = f"{100 * share:.1f}"
    return element(
        "svg",
        element("rect", width=100, height=6, class_="track"),
        element("rect", width=width, height=6, class_="full" if complete else "part"),
        viewBox="0 0 100 6",
        preserveAspectRatio="none",
        class_="meter",
        aria_hidden="true",
    )


def heat_map(result: AuditResult) -> Html:
    """Return the table of rules and collections."""
    totals: Counter[str] = Counter()
    for each in result.collections:
        totals.update(each.counts)
    codes = sorted(totals)
    rows = sorted(result.collections, key=lambda one: (one.complete, -one.counts.total()))[:_ROWS]
    shown = {id(each) for each in rows}
    ordered = [each for each in result.collections if id(each) in shown]
    head = element("tr", *(element("th", each, scope="col") for each in ("Collection", "Documents", "Read")),
                   *(_rule(code) for code in codes), element("th", "All", scope="col"))  # fmt: skip
    table = element(
        "table",
        element("caption", "Violations by collection and rule; the colour is their number for each document."),
        element("thead", head),
        element("tbody", *(_row(each, codes) for each in ordered)),
        element(
            "tfoot",
            element(
                "tr",
                element("th", "All", scope="row"),
                _number(sum(each.documents for each in result.collections)),
                _number(sum(each.scanned for each in result.collections)),
                *(_number(totals[code]) for code in codes),
                _number(totals.total()),
            ),
        ),
        class_="heat",
    )
    left = len(result.collections) - len(rows)
    note = element("p", f"{many(left, 'collection')} with fewer violations left out.", class_="quiet") if left else None
    legend = element(
        "ol", *(element("li", each, class_=f"h{step}") for step, each in enumerate(LEGEND)), class_="legend"
    )
    return element(
        "section",
        element("h2", "Where", id="where-title"),
        element("div", table, class_="scroll", tabindex=0, role="region", aria_labelledby="where-title"),
        note,
        legend if codes else None,
        *_estimates(result),
        id="where",
        aria_labelledby="where-title",
    )


def _estimates(result: AuditResult) -> Iterator[Html]:
    said = [element("li", quoted(each, _SENTENCE)) for each in islice(sentences(result), _ESTIMATES)]
    if said:
        yield element("h3", "What the sample tells of the whole")
        yield element("ul", *said)


def _rule(code: str) -> Html:
    link = element("a", code, element("small", BY_CODE[code].name), href=f"#{code}")
    return element("th", link, scope="col")


def _row(result: CollectionResult, codes: list[str]) -> Html:
    if result.complete:
        read = element("td", f"{result.scanned:,}", class_="number")
    else:
        read = element("td", f"{result.scanned:,} ", element("b", "not complete"), class_="number warn")
    return element(
        "tr",
        element("th", quoted(result.name, _NAME), scope="row"),
        _number(result.documents),
        read,
        *(_cell(result, code) for code in codes),
        _all(result),
    )


def _cell(result: CollectionResult, code: str) -> Html:
    count = result.counts.get(code, 0)
    if count:
        link = element("a", f"{count:,}", href=f"#{code}", data_collection=result.name[:LENGTH], data_code=code)
        return element("td", link, class_=f"number h{heat(count, result.judged)}")
    # Of what was not seen, nothing is known.
    return element("td", "0" if result.complete else "?", class_=f"number {'h0' if result.complete else 'unseen'}")


def _all(result: CollectionResult) -> Html:
    total = result.counts.total()
    if total or result.complete:
        return _number(total)
    return element("td", "?", class_="number unseen")


def _number(count: int) -> Html:
    return element("td", f"{count:,}", class_="number")
