"""When the documents at fault were written: a histogram, and its table."""

from __future__ import annotations

from integrity.report.as_html.element import Html, element
from integrity.report.as_html.overview import many
from integrity.report.evidence import Evidence
from integrity.report.timeline import Bars

_BARS = 60
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 190, 60, 26, 12
_LABEL = 80
_DAY, _HOUR = 86_400, 3600


def written(evidence: Evidence) -> Html:
    """Return the section."""
    bars = evidence.written.bars(_BARS)
    drawn = table = None
    if bars is not None:
        drawn = element("div", _drawn(bars), class_="scroll", tabindex=0, role="region", aria_labelledby="when-title")
        table = _table(bars)
    return element(
        "section",
        element("h2", "When the documents at fault were written", id="when-title"),
        element("p", *_source(evidence), class_="quiet"),
        drawn,
        table,
        id="when",
        aria_labelledby="when-title",
    )


def _source(evidence: Evidence) -> list[str]:
    known = len(evidence.written)
    if not known:
        return ["Not known: no _id is an ObjectId, and no declared date field says when a document was written."]
    found = [f"{many(known, 'violation')} by the time in the ObjectId"]
    if evidence.dates:
        fields = ", ".join(f"{collection}.{name}" for collection, name in sorted(evidence.dates.items())[:5])
        found.append(f" or in {fields}")
        if evidence.share > 1:
            found.append(f" (looked up for one in {evidence.share:,} and counted for all of them)")
    found.append(".")
    if evidence.undated:
        found.append(f" Of {evidence.undated:,} more it is not known.")
    return found


def _drawn(bars: Bars) -> Html:
    top = max(bars.counts)
    wide = (_WIDTH - _LEFT) / len(bars.counts)
    high = _HEIGHT - _BOTTOM - _TOP
    drawn = []
    for index, count in enumerate(bars.counts):
        if count:
            height = max(high * count / top, 1.5)
            title = element("title", f"{_label(bars, index)}: {many(count, 'violation')}")
            drawn.append(
                element("rect", title, x=f"{_LEFT + index * wide:.1f}", y=f"{_TOP + high - height:.1f}",
                        width=f"{min(max(wide - 2, 1), 60):.1f}", height=f"{height:.1f}", class_="bar")
            )  # fmt: skip
    base = _TOP + high
    axes = [element("line", x1=_LEFT, x2=_WIDTH, y1=y, y2=y, class_="rule") for y in (_TOP, _TOP + high // 2, base)] + [
        element("text", f"{value:,}", x=_LEFT - 8, y=f"{y + 4:.0f}", text_anchor="end")
        for y, value in ((_TOP, top), (base, 0))
    ]
    ticks = max(1, len(bars.counts) // 5)
    for index in range(0, len(bars.counts), ticks):
        x = _LEFT + index * wide
        if x < _WIDTH - _LABEL:
            axes.append(element("text", _label(bars, index), x=f"{x:.1f}", y=_HEIGHT - 8))
    return element(
        "svg",
        element("title", f"From {_label(bars, 0)} to {_label(bars, len(bars.counts) - 1)}; at most {top:,} in a bar."),
        *axes,
        *drawn,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        class_="histogram",
    )


def _table(bars: Bars) -> Html:
    rows = [
        element("tr", element("th", _label(bars, index), scope="row"), element("td", f"{count:,}", class_="number"))
        for index, count in enumerate(bars.counts)
        if count
    ]
    outside = [f"{bars.before:,} before" if bars.before else "", f"{bars.after:,} after" if bars.after else ""]
    note = " and ".join(filter(None, outside))
    return element(
        "div",
        element("p", f"{note} what is drawn.", class_="quiet") if note else None,
        element(
            "details",
            element("summary", f"As a table; a bar is {_named(bars.width)}"),
            element(
                "table",
                element("thead", element("tr", element("th", "From (UTC)", scope="col"),
                                         element("th", "Violations", scope="col"))),
                element("tbody", *rows),
            ),
        ),
    )  # fmt: skip


def _label(bars: Bars, index: int) -> str:
    return f"{bars.begins(index):{'%Y-%m-%d' if bars.width >= _DAY else '%m-%d %H:%M'}}"


def _named(width: int) -> str:
    for size, word in ((_DAY, "day"), (_HOUR, "hour"), (60, "minute")):
        if width >= size:
            return many(width // size, word)
    return many(width, "second")
