"""The map of facts as a picture: collections in columns by what they refer to, references solid, copies dashed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from integrity.declare.facts import Collection, Fact

_WIDTH, _GAP, _LINE, _MARGIN = 270, 110, 18, 24
_LETTERS = 38


def write(collections: Sequence[Collection]) -> str:
    """Return the map as an SVG document."""
    column = _columns(collections)
    tops: dict[int, int] = {}
    places: dict[str, tuple[int, int]] = {}
    for each in collections:
        at = column[each.name]
        top = tops.get(at, _MARGIN)
        places[each.name] = (_MARGIN + at * (_WIDTH + _GAP), top)
        tops[at] = top + _LINE * (len(each.facts) + 2) + _MARGIN
    width = 2 * _MARGIN + (max(column.values(), default=0) + 1) * (_WIDTH + _GAP) - _GAP
    height = max(tops.values(), default=_MARGIN) + _MARGIN
    body = [line for each in collections for line in _edges(each, collections, places)]
    body += [line for each in collections for line in _box(each, *places[each.name])]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="Helvetica, sans-serif" font-size="12" role="img" '
        'aria-label="Who owns which fact">'
    )
    return "\n".join([
        head,
        "<style>.r,.c{fill:none}.r{stroke:#345;marker-end:url(#refers)}.k{fill:#b50}</style>",
        "<style>.c{stroke:#b50;stroke-dasharray:4 3;marker-end:url(#copies)}</style>",
        f"<defs>{_arrow('refers', '#345')}{_arrow('copies', '#b50')}</defs>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        *body,
        "</svg>\n",
    ])  # fmt: skip


def _arrow(name: str, colour: str) -> str:
    """Return the end of a line: it points at what is referred to, or copied."""
    shape = f'<path d="M0 0L8 4L0 8z" fill="{colour}"/>'
    place = 'viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"'
    return f'<marker id="{name}" {place}>{shape}</marker>'


def _columns(collections: Sequence[Collection]) -> dict[str, int]:
    """Return a column for each collection: right of everything that refers to it, as far as there is no circle."""
    column = {each.name: 0 for each in collections}
    for _ in collections:
        for each in collections:
            for fact in each.facts:
                end = _end(collections, fact.refers)[0] if fact.refers else ""
                if end and end != each.name:
                    column[end] = min(max(column[end], column[each.name] + 1), len(collections) - 1)
    used = sorted(set(column.values()))
    return {name: used.index(at) for name, at in column.items()}


def _box(collection: Collection, x: int, y: int) -> Iterator[str]:
    height = _LINE * (len(collection.facts) + 2)
    owner = " or ".join(collection.owner) or "everybody"
    yield f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{height}" rx="4" fill="#f8fafc" stroke="#345"/>'
    yield f'<text x="{x + 8}" y="{y + 16}" font-weight="bold">{_shown(collection.name)}</text>'
    yield f'<text x="{x + 8}" y="{y + 31}" fill="#567">owner: {_shown(owner)}</text>'
    for number, fact in enumerate(collection.facts):
        own = f" · {' or '.join(fact.owner)}" if fact.kind == "original" and fact.owner != collection.owner else ""
        kind = f" ({fact.kind})" if fact.kind != "original" else ""
        style = ' class="k"' if fact.kind != "original" else ""
        yield f'<text x="{x + 8}" y="{_row(y, number) + 4}"{style}>{_shown(fact.path + kind + own)}</text>'


def _edges(
    collection: Collection, collections: Sequence[Collection], places: dict[str, tuple[int, int]]
) -> Iterator[str]:
    x, y = places[collection.name]
    for number, fact in enumerate(collection.facts):
        for name, style in ((fact.refers, "r"), (fact.source, "c")):
            if not name:
                continue
            end, path = _end(collections, name)
            ex, ey = places[end]
            facts = next(each.facts for each in collections if each.name == end)
            to = _row(ey, next((at for at, each in enumerate(facts) if each.path == path), -1))
            start = (x + _WIDTH, _row(y, number))
            stop = (ex, to) if ex > x else (ex + _WIDTH, to)
            bend = _GAP // 2
            path_ = (
                f"M{start[0]} {start[1]} C{start[0] + bend} {start[1]} "
                f"{stop[0] - bend if ex > x else stop[0] + bend} {stop[1]} {stop[0]} {stop[1]}"
            )
            yield f'<path class="{style}" d="{path_}"><title>{_title(collection, fact, style)}</title></path>'


def _title(collection: Collection, fact: Fact, style: str) -> str:
    where = f"{collection.name}.{fact.path}"
    what = f"refers to {fact.refers}" if style == "r" else f"is a copy of {fact.source} via {fact.via}"
    return escape(f"{where} {what}")


def _end(collections: Sequence[Collection], name: str) -> tuple[str, str]:
    # The longest: a collection's name may be another's with a dot and more.
    found = max((each.name for each in collections if name.startswith(f"{each.name}.")), key=len)
    return found, name.removeprefix(f"{found}.")


def _row(top: int, number: int) -> int:
    return top + _LINE * (number + 2) + _LINE // 2


def _shown(text: str) -> str:
    return escape(text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…")
