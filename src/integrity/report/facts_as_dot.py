"""The map of facts for Graphviz: a table a collection, a line a reference, a dashed line a copy.

Source: https://graphviz.org/doc/info/shapes.html#html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from integrity.declare.facts import Collection


def write(collections: Sequence[Collection]) -> str:
    """Return the map in Graphviz's language."""
    return "\n".join(_lines(collections)) + "\n"


def _lines(collections: Sequence[Collection]) -> Iterator[str]:
    yield "digraph facts {"
    yield '  rankdir=LR; node [shape=plain, fontname="Helvetica"]; edge [fontname="Helvetica", fontsize=10];'
    for each in collections:
        head = f"<b>{escape(each.name)}</b><br/>{escape(' or '.join(each.owner) or 'everybody')}"
        rows = [f'<tr><td bgcolor="#e8eef4">{head}</td></tr>']
        rows += [
            f'<tr><td port="{escape(fact.path)}" align="left">{escape(fact.path)}'
            f"{' <i>' + fact.kind + '</i>' if fact.kind != 'original' else ''}</td></tr>"
            for fact in each.facts
        ]
        table = f'<table border="0" cellborder="1" cellspacing="0">{"".join(rows)}</table>'
        yield f"  {_quoted(each.name)} [label=<{table}>];"
    for each in collections:
        for fact in each.facts:
            start = f"{_quoted(each.name)}:{_quoted(fact.path)}"
            if fact.refers:
                yield f"  {start} -> {_end(collections, fact.refers)} [label={_quoted(fact.on_delete)}];"
            if fact.source:
                yield f"  {start} -> {_end(collections, fact.source)} [style=dashed, constraint=false];"
    yield "}"


def _end(collections: Sequence[Collection], name: str) -> str:
    """Return a node and its port: a collection's name may have dots of its own."""
    for each in collections:
        if name.startswith(f"{each.name}."):
            return f"{_quoted(each.name)}:{_quoted(name.removeprefix(f'{each.name}.'))}"
    return _quoted(name)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
