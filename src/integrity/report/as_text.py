"""The text report: for reading, and for a terminal of any width; nothing in it is drawn.

::

    airports: 7,698 documents, all read
      EMP001 empty-string: 49
        city: 49
          _id 641: is an empty string.
          ... and 46 more
          Hint: Leave it out or store null; Allow("") where it means something.

What a database holds is escaped: no control character, and no bidirectional one, reaches the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TextIO

from integrity.audit.result import AuditResult, CollectionResult
from integrity.report.estimates import sentences
from integrity.report.examples import Kind, first, kind
from integrity.rules import BY_CODE
from integrity.violation import IDENTITY, Violation, extended_json

EXAMPLES = 3


def write(result: AuditResult, out: TextIO, max_examples: int | None = None) -> None:
    """Write the report.

    Args:
        result: What the audit found.
        out: Where it is written to.
        max_examples: Show so many violations of each rule at each declared path; None for 3. Counts are of all
            in either case.
    """
    limit = EXAMPLES if max_examples is None else max_examples
    shown: dict[Kind, list[Violation]] = {}
    for each in first(result.violations, limit):
        shown.setdefault(kind(each), []).append(each)
    for collection in result.collections:
        out.writelines(f"{line}\n" for line in _collection(collection, shown, result.warned))
        out.write("\n")
    out.writelines(f"{line}\n" for line in _hint(result))
    out.writelines(f"{line}\n" for line in verdict(result))


def _collection(result: CollectionResult, shown: dict[Kind, list[Violation]], warned: frozenset[str]) -> Iterator[str]:
    yield f"{escape(result.name)}: {_many(result.documents, 'document')}, {_coverage(result)}"
    if not result.counts:
        yield "  no violation" if result.complete else "  no violation in what was read"
    for code, count in sorted(result.counts.items()):
        yield f"  {code} {BY_CODE[code].name}{' (warning)' if code in warned else ''}: {count:,}"
        paths = {key.partition(" ")[2]: n for key, n in result.paths.items() if key.partition(" ")[0] == code}
        for path, here in sorted(paths.items(), key=lambda item: (-item[1], item[0])):
            yield f"    {escape(path) or '(document)'}: {here:,}"
            yield from _examples(shown.get((result.name, code, path), []), path, here)


def _examples(violations: list[Violation], path: str, count: int) -> Iterator[str]:
    if not violations:
        return
    for each in violations:
        at = f" {escape(each.path)}" if each.path != path else ""
        yield f"      _id {identity(each.id)}{at}: {escape(each.message)}"
    if count > len(violations):
        yield f"      ... and {count - len(violations):,} more"
    yield f"      Hint: {escape(violations[0].hint)}"


def _coverage(result: CollectionResult) -> str:
    if result.complete:
        return "all read"
    if not result.documents:
        return f"{result.scanned:,} read, NOT COMPLETE"
    share = min(100.0, 100 * result.scanned / result.documents)
    return f"{result.scanned:,} read ({share:.1f} %), NOT COMPLETE"


def _hint(result: AuditResult) -> Iterator[str]:
    yield from map(escape, sentences(result))
    if result.complete and result.total:
        codes = sorted({code for each in result.collections for code in each.counts})
        yield f"`integrity rule {codes[0]}` explains a rule; --output-format json lists every violation."


def verdict(result: AuditResult) -> Iterator[str]:
    """Yield the last lines of a report: what was found in what was seen."""
    total, collections = result.total, _many(len(result.collections), "collection")
    scanned, seconds = sum(each.scanned for each in result.collections), f"{result.seconds:.1f} s"
    database = escape(result.database)
    if not result.complete:
        # Never the words of a clean verdict: nothing is known of what was not seen.
        yield f"NOT COMPLETE: {escape(result.unseen)}"
        read = f"{scanned:,} of {_many(sum(each.documents for each in result.collections), 'document')} read"
        found = f"{_many(total, 'violation')}{_warned(result)}"
        yield f"{found} in the part of {database} that was seen: {read} in {seconds}."
        if result.compared is not None:
            yield f"Against the baseline: {total:,} new, {result.compared.known:,} known."
        return
    if (compared := result.compared) is not None and compared.gone is not None:
        others = f"; {compared.others:,} in it are of what was not looked at" if compared.others else ""
        yield f"Against the baseline: {total:,} new, {compared.known:,} known, {compared.gone:,} gone{others}."
    word = "violation" if compared is None else "new violation"
    found = f"{_many(total, word) if total else f'No {word}'}{_warned(result)}"
    yield f"{found} in {collections} of {database}: {_many(scanned, 'document')} read in {seconds}."


def _warned(result: AuditResult) -> str:
    if not result.warnings:
        return ""
    return " (none of them an error)" if not result.errors else f" ({result.warnings:,} of them warnings)"


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def identity(value: object) -> str:
    """Return an ``_id`` as it is shown: relaxed extended JSON on one line, shortened."""
    text = escape(json.dumps(extended_json(value), ensure_ascii=False))
    return text if len(text) <= IDENTITY else f"{text[: IDENTITY - 1]}…"


def escape(text: str) -> str:
    r"""Return `text` with every character that does not print as an escape, such as ``\x1b`` or ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
