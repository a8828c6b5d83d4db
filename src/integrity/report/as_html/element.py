"""HTML elements out of texts: what is not `Html` already is escaped, so that forgetting a word shows too much escaping.

A database holds anything: markup, scripts, characters that reorder or hide a line. Every text is first shortened,
then made of characters that print (`integrity.report.as_text.escape`), then escaped for HTML.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from integrity.report.as_text import escape

#: Characters of a text of the database, where nothing else is said.
LENGTH = 200

_VOID = frozenset({"br", "input", "link", "meta"})
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")


class Html(str):
    """A text that is HTML already. Nothing outside of this module makes one of a value."""

    __slots__ = ()


Child = Html | str | None


def element(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Html:
    """Return an element.

    Args:
        name: Its name.
        children: Texts, which are escaped, and elements; None for nothing.
        attributes: Its attributes, ``class_`` for ``class`` and ``aria_label`` for ``aria-label``; True for one
            without a value, False and None for none.
    """
    found = [name]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if not _NAME.fullmatch(attribute):
            raise ValueError(f"{attribute!r} is no name of an attribute.")
        if value is True:
            found.append(attribute)
        elif value is not False and value is not None:
            found.append(f'{attribute}="{text(str(value))}"')
    start = f"<{' '.join(found)}>"
    return Html(start if name in _VOID else f"{start}{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Html:
    """Return texts and elements one after the other."""
    return Html("".join(each if isinstance(each, Html) else text(each) for each in children if each is not None))


def text(value: str) -> Html:
    """Return a text as HTML that means nothing but itself, in content and in a quoted attribute."""
    return Html(html.escape(escape(value), quote=True))


def quoted(value: str, limit: int = LENGTH, class_: str | None = None) -> Html:
    """Return a text of the database: shortened, and apart from the direction in which its neighbours are written."""
    return element("bdi", shortened(value, limit), class_=class_)


def shortened(value: str, limit: int = LENGTH) -> str:
    """Return a text with at most `limit` of its characters, and how many there were."""
    return value if len(value) <= limit else f"{value[:limit]}… ({len(value):,} characters)"
