"""How many violations the audits found, one after the other: a line, from the state file."""

from __future__ import annotations

from collections.abc import Sequence

from integrity.audit.state import Run
from integrity.report.as_html.element import Html, element, joined
from integrity.report.timeline import moment

#: Runs that are drawn, the last ones; and that stand in the table.
_RUNS = 60
_ROWS = 12
_WIDTH, _HEIGHT, _EDGE = 240, 48, 5


def history(runs: Sequence[Run]) -> Html:
    """Return the line and its table.

    Args:
        runs: Audits, the oldest first.
    """
    drawn = runs[-_RUNS:]
    if len(drawn) == 1:
        return element("span", "This is the first one in the state file.")
    totals = [sum(each.counts.values()) for each in drawn]
    top = max([*totals, 1])
    step = (_WIDTH - 2 * _EDGE) / max(len(totals) - 1, 1)
    points = [
        (_EDGE + index * step, _HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * total / top)
        for index, total in enumerate(totals)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [
        element("circle", element("title", f"{_when(run)}: {total:,}"), cx=f"{x:.1f}", cy=f"{y:.1f}", r=3)
        for run, total, (x, y) in zip(drawn, totals, points, strict=True)
    ]
    title = f"Violations of the last {len(drawn)} audits: {totals[0]:,} at first, {totals[-1]:,} at last."
    svg = element(
        "svg",
        element("title", title),
        element("polyline", points=line),
        *dots,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        class_="history",
        role="img",
    )
    rows = [
        element("tr", element("th", _when(run), scope="row"), element("td", f"{total:,}", class_="number"))
        for run, total in [*zip(drawn, totals, strict=True)][-_ROWS:]
    ]
    table = element(
        "details",
        element("summary", "As a table"),
        element(
            "table",
            element(
                "thead", element("tr", element("th", "Audit", scope="col"), element("th", "Violations", scope="col"))
            ),
            element("tbody", *rows),
        ),
    )
    return joined([svg, element("span", f"{totals[0]:,} → {totals[-1]:,} violations"), table])


def _when(run: Run) -> str:
    return f"{moment(run.ended):%Y-%m-%d %H:%M} UTC"
