"""The graph of references: each collection a box with its references, each reference a line as hot as it dangles."""

from __future__ import annotations

from dataclasses import dataclass, field

from integrity.report.as_html.element import Html, element, quoted
from integrity.report.as_html.overview import heat, many
from integrity.report.evidence import Edge, Evidence

#: Collections that are drawn: beyond it a picture shows nothing any more, and the table does.
_BOXES = 40
_ROWS = 400
_WIDTH, _HEAD, _ROW, _GAP, _ASIDE = 280, 28, 22, 22, 92
_NAME, _RATE = 22, 16


@dataclass
class _Box:
    name: str
    edges: list[Edge] = field(default_factory=list)
    column: int = 0
    x: int = 0
    y: int = 0

    @property
    def height(self) -> int:
        return _HEAD + _ROW * len(self.edges) + (6 if self.edges else 0)


def references(evidence: Evidence) -> Html | None:
    """Return the section; None where the declarations are not known or have no reference."""
    edges = evidence.references
    if not edges:
        return None
    boxes: dict[str, _Box] = {}
    for each in edges:
        boxes.setdefault(each.source, _Box(each.source)).edges.append(each)
        boxes.setdefault(each.target, _Box(each.target))
    picture = element("p", f"{len(boxes):,} collections: the table below shows them.", class_="quiet")
    if len(boxes) <= _BOXES:
        width, height = _placed(boxes)
        picture = element(
            "div",
            _drawn(boxes, width, height),
            class_="scroll",
            tabindex=0,
            role="region",
            aria_labelledby="references-title",
        )
    return element(
        "section",
        element("h2", "References", id="references-title"),
        picture,
        element("details", element("summary", "As a table"), _table(edges)),
        id="references",
        aria_labelledby="references-title",
    )


def rate(edge: Edge) -> str:
    """Return how often a reference dangles, in a few characters."""
    if not edge.judged:
        return "not judged" if not edge.dangling else f"{edge.dangling:,} or more"
    if not edge.dangling:
        return "0"
    return f"{edge.dangling:,} · {100 * edge.dangling / max(edge.documents, 1):.2g} %"


def _hot(edge: Edge) -> str:
    return f"h{heat(edge.dangling, edge.documents)}" if edge.judged or edge.dangling else "unseen"


def _placed(boxes: dict[str, _Box]) -> tuple[int, int]:
    """Give every box its place: what nothing refers to on the left, what it refers to to the right of it."""
    sources: dict[str, set[str]] = {name: set() for name in boxes}
    for box in boxes.values():
        for each in box.edges:
            sources[each.target].add(box.name)
    depth = dict.fromkeys(boxes, 0)
    # As often as the longest way without a circle can be long.
    for _ in range(len(boxes)):
        for name, found in sources.items():
            deepest = max((depth[each] + 1 for each in found if not _above(name, each, sources)), default=0)
            depth[name] = max(depth[name], deepest)
    last = max(depth.values())
    columns: list[list[_Box]] = [[] for _ in range(last + 1)]
    for box in boxes.values():
        box.column = depth[box.name]
        columns[box.column].append(box)
    height = 0
    for index, column in enumerate(columns):
        # In the order of what refers to them, so that few lines cross.
        column.sort(key=lambda one: _order(one, boxes))
        y = 4
        for box in column:
            box.x, box.y = 4 + index * (_WIDTH + _ASIDE), y
            y += box.height + _GAP
        height = max(height, y - _GAP)
    for column in columns:  # in the middle
        used = column[-1].y + column[-1].height if column else 0
        for box in column:
            box.y += (height - used) // 2
    return 8 + (last + 1) * (_WIDTH + _ASIDE) - (0 if _loops(boxes) else _ASIDE), height + 6


def _above(name: str, source: str, sources: dict[str, set[str]]) -> bool:
    """Whether what refers to `name` is referred to by it, in any number of steps: they stand in a circle."""
    seen: set[str] = set()
    left = [source]
    while left:
        each = left.pop()
        if each == name:
            return True
        if each not in seen:
            seen.add(each)
            left += sources[each]
    return False


def _loops(boxes: dict[str, _Box]) -> bool:
    last = max(each.column for each in boxes.values())
    return any(boxes[edge.target].column == last and box.column == last for box in boxes.values() for edge in box.edges)


def _order(box: _Box, boxes: dict[str, _Box]) -> tuple[float, str]:
    above = [
        each.y + _HEAD + _ROW * index
        for each in boxes.values()
        if each.column < box.column
        for index, edge in enumerate(each.edges)
        if edge.target == box.name
    ]
    return (sum(above) / len(above) if above else 0.0, box.name)


def _drawn(boxes: dict[str, _Box], width: int, height: int) -> Html:
    lines = [_line(box, index, edge, boxes[edge.target]) for box in boxes.values()
             for index, edge in enumerate(box.edges)]  # fmt: skip
    title = f"{many(len(boxes), 'collection')} and {many(len(lines), 'reference')}; the table below has the same."
    return element(
        "svg",
        element("title", title),
        *lines,
        *(_box(each) for each in boxes.values()),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        class_="graph",
    )


def _line(box: _Box, index: int, edge: Edge, target: _Box) -> Html:
    x1, y1 = box.x + _WIDTH, box.y + _HEAD + _ROW * index + _ROW // 2
    y2 = target.y + _HEAD // 2
    if target.column > box.column:
        x2 = target.x
        bend = max((x2 - x1) // 2, 30)
        path = f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
    else:  # to the same or an earlier column: around the right side
        x2 = target.x + _WIDTH
        path = f"M{x1} {y1} C{x1 + _ASIDE - 20} {y1} {x2 + _ASIDE - 20} {y2} {x2} {y2}"
    said = f"{_cut(edge.source)}.{_cut(edge.path)} → {_cut(edge.target)}.{_cut(edge.field)}: {rate(edge)}"
    return element("path", element("title", said), d=path, class_=f"edge {_hot(edge)}")


def _box(box: _Box) -> Html:
    rows = []
    for index, edge in enumerate(box.edges):
        y = box.y + _HEAD + _ROW * index + 15
        rows += [
            element("circle", cx=box.x + 14, cy=y - 4, r=4, class_=_hot(edge)),
            element("text", _cut(edge.path), x=box.x + 24, y=y),
            element("text", rate(edge)[:_RATE], x=box.x + _WIDTH - 9, y=y, text_anchor="end", class_="rate"),
        ]
    return element(
        "g",
        element("rect", x=box.x, y=box.y, width=_WIDTH, height=box.height, rx=6, class_="box"),
        element("text", _cut(box.name), x=box.x + 10, y=box.y + 19, class_="name"),
        *rows,
    )


def _cut(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _table(edges: tuple[Edge, ...]) -> Html:
    names = ("From", "To", "Documents", "Dangling", "Wrong type")
    rows = [
        element(
            "tr",
            element("th", quoted(f"{each.source}.{each.path}"), scope="row"),
            element("td", quoted(f"{each.target}.{each.field}")),
            element("td", f"{each.documents:,}", class_="number"),
            element("td", rate(each), class_=f"number {_hot(each)}"),
            element("td", f"{each.mistyped:,}", class_="number"),
        )
        for each in edges[:_ROWS]
    ]
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *(element("th", each, scope="col") for each in names))),
            element("tbody", *rows),
        ),
        class_="scroll",
    )
