"""The reports of one audit: each in its format and file, and beside an HTML report the full list as JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from integrity.audit import AuditResult, Options, State
    from integrity.declare.registry import Registry
    from integrity.report.evidence import Evidence
    from integrity.store.blocking import BlockingStore


@dataclass(frozen=True)
class Target:
    """A report that is to be written.

    Args:
        format: Its format's name.
        file: Its file's name; None or ``"-"`` for stdout.
        full: Whether it lists every violation, whatever number of examples was asked for.
        list: The name of the file beside it that lists every violation.
    """

    format: str
    file: str | None
    full: bool = False
    list: str | None = None


def with_full_lists(targets: Sequence[tuple[str, str | None]]) -> list[Target]:
    """Return the targets, and for each HTML report in a file one for the full list beside it.

    Args:
        targets: Formats and files.
    """
    files = [Path(file).resolve() for _, file in targets if file is not None and file != "-"]
    for each in files:
        if files.count(each) > 1 and (each.is_file() or not each.exists()):  # a device takes several
            raise click.UsageError(f"Two reports would be written to {each}; name a file for each.")
    taken = {Path(file) for _, file in targets if file is not None}
    found: list[Target] = []
    for name, file in targets:
        # A device has nothing beside it, and a folder is refused when it is opened.
        if name != "html" or file is None or file == "-" or (Path(file).exists() and not Path(file).is_file()):
            found.append(Target(name, file))
            continue
        beside = Path(file).with_suffix(".jsonl")
        found.append(Target(name, file, list=beside.name))
        if beside not in taken:
            taken.add(beside)
            found.append(Target("jsonl", str(beside), full=True))
    return found


class Reports:
    """Open reports.

    Args:
        targets: Each with what it is written to.
    """

    def __init__(self, targets: Sequence[tuple[Target, TextIO]]) -> None:
        self._targets = targets

    def write(
        self,
        result: AuditResult,
        store: BlockingStore,
        registry: Registry,
        options: Options,
        *,
        models: str,
        state: State | None,
        limit: int | None,
        redact: bool,
    ) -> None:
        """Write them all.

        Args:
            result: What the audit found.
            store: The database, from which the documents of the examples are read.
            registry: The declarations.
            options: What the audit was asked for.
            models: The command line's MODELS.
            state: The state file, for the audits before this one.
            limit: Examples of each rule at each declared path, or None.
            redact: Whether values are left out.
        """
        from integrity.report import WRITERS, as_html
        from integrity.report.redacted import Redacted

        if redact:
            result.violations = Redacted(result.violations)
        evidence: Evidence | None = None
        for target, out in self._targets:
            if target.format != "html":
                WRITERS[target.format](result, out, None if target.full else limit)
                continue
            if evidence is None:
                evidence = _evidence(result, store, registry, options, limit, redact=redact)
                evidence.models = models
                evidence.history = state.runs() if state is not None else ()
            evidence.full = target.list
            as_html.write(result, out, limit, evidence=evidence)


def _evidence(
    result: AuditResult,
    store: BlockingStore,
    registry: Registry,
    options: Options,
    limit: int | None,
    *,
    redact: bool,
) -> Evidence:
    from integrity.report.evidence import gather
    from integrity.store.run import run

    return run(gather(store, registry, result, limit, options=options, redacted=redact))
