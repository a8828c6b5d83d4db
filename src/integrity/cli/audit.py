"""`integrity audit`: what breaks the declared rules in collections that exist. Reads only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from integrity.cli import server, settings
from integrity.cli.executor import running
from integrity.cli.failure import Failure
from integrity.cli.finite import Finite

if TYPE_CHECKING:
    from integrity.audit import AuditResult, Baseline, Options, State
    from integrity.audit.state import Mark
    from integrity.declare.registry import Entry, Registry
    from integrity.store.blocking import BlockingStore

VIOLATIONS = 1
_LAST = "last"
FORMATS = ("text", "concise", "json", "jsonl", "sarif", "junit", "github", "gitlab", "markdown", "html")


@click.command(
    context_settings={"auto_envvar_prefix": "INTEGRITY_AUDIT"},
    epilog="Exit status: 0 nothing found, 1 violations found, 2 not done or not everything seen.",
)
@click.argument("models", metavar="MODELS")
@settings.option
@server.options
@click.option(
    "--collection",
    "-c",
    "collections",
    metavar="NAME",
    multiple=True,
    envvar="INTEGRITY_AUDIT_COLLECTION",
    help="Audit this collection; repeatable.",
)
@click.option("--select", metavar="CODES", multiple=True, help="Report these only, such as EMP,REF001.")
@click.option("--ignore", metavar="CODES", multiple=True, help="Do not report these; wins over --select.")
@click.option(
    "--extend-select", metavar="CODES", multiple=True, help="Report these besides; DRF is reported only when named."
)
@click.option(
    "--severity",
    metavar="CODE=LEVEL",
    multiple=True,
    help="Make a rule an error, a mere warning (warn), or off; repeatable. The longest CODE counts.",
)
@click.option("--sample", metavar="SHARE", type=float, help="Look at a share of the documents, such as 0.01.")
@click.option(
    "--since",
    metavar="TIME|ID|last",
    help="Look at what is new since a time or an _id, or at what has changed since the --state file's last audit.",
)
@click.option("--timestamp", metavar="FIELD", help="The field that says when a document was changed, for --since TIME.")
@click.option(
    "--output-format", "-f", type=click.Choice(FORMATS), default="text", show_default=True, help="How it is reported."
)
@click.option(
    "--output-file", "-o", metavar="FILE", type=click.Path(dir_okay=False), help="Report here, not on stdout."
)
@click.option(
    "--output",
    "outputs",
    metavar="FORMAT=FILE",
    multiple=True,
    envvar="INTEGRITY_AUDIT_OUTPUT",
    help="Report in one more format; repeatable.",
)
@click.option(
    "--max-examples",
    metavar="N",
    type=click.IntRange(min=0),
    help="Show so many violations of each rule at each path: 3 by default as text, all as json. Counts are never cut.",
)
@click.option("--statistics", is_flag=True, help="Report how many violations of each rule, and no more.")
@click.option("--redact", is_flag=True, help="Report no value of a document but its _id.")
@click.option("--plan", is_flag=True, help="Print what would be read and how, and read nothing.")
@click.option("--no-pushdown", is_flag=True, help="Read every document; do not let the server find the suspects.")
@click.option(
    "--suspects",
    type=click.Choice(["auto", "server", "client"]),
    default="auto",
    show_default=True,
    help="Where the suspects are found: by the server, here in documents that are fetched, or where it is quicker.",
)
@click.option(
    "--jobs", "-j", metavar="N", type=click.IntRange(1, 1024), default=1, show_default=True, help="Processes that read."
)
@click.option("--executor", metavar="dask://HOST:PORT", help="Read by the workers of a Dask cluster.")
@click.option(
    "--state", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Go on where a run was stopped."
)
@click.option(
    "--baseline", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Report what is new against it."
)
@click.option(
    "--write-baseline",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was found as the baseline of later runs.",
)
@click.option("--max-rate", metavar="N", type=Finite(min=1), help="Read at most N documents a second.")
@click.option("--max-time", metavar="SECONDS", type=Finite(min=0), help="Stop after so long, as incomplete.")
@click.option(
    "--pause-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),  # a folder is there for ever
    help="Read nothing while this file is there.",
)
@click.option("--back-off", is_flag=True, help="Read in short pieces, and wait while the server is busy.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 although there are violations (not when it is incomplete).")
def audit(
    *,
    models: str,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    collections: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    extend_select: tuple[str, ...],
    severity: tuple[str, ...],
    sample: float | None,
    since: str | None,
    timestamp: str | None,
    output_format: str,
    output_file: str | None,
    outputs: tuple[str, ...],
    max_examples: int | None,
    statistics: bool,
    redact: bool,
    plan: bool,
    no_pushdown: bool,
    suspects: Literal["auto", "server", "client"],
    jobs: int,
    executor: str | None,
    state: Path | None,
    baseline: Path | None,
    write_baseline: Path | None,
    max_rate: float | None,
    max_time: float | None,
    pause_file: Path | None,
    back_off: bool,
    exit_zero: bool,
) -> int:
    """Report what breaks the rules of MODELS in existing collections.

    MODELS is a dotted module (shop.models) or a .py file with Model classes. The audit never writes to the
    database; a user with the role `read` is enough.
    """
    from pymongo.read_preferences import ReadPreference

    from integrity.audit import Options, Pace
    from integrity.audit import baseline as files
    from integrity.audit.load import Load
    from integrity.audit.severity import codes_of
    from integrity.audit.since import parsed
    from integrity.cli import models as declared
    from integrity.cli.output import writing
    from integrity.cli.reports import Reports, with_full_lists

    registry = declared.registry(models)
    if write_baseline is not None and (sample is not None or since is not None):
        raise click.UsageError("--write-baseline needs an audit of everything: take --sample and --since away.")
    with _told():
        levels = settings.severities(severity)
        options = Options(
            collections=collections,
            select=_codes(select),
            ignore=_ignored(_codes(ignore), levels),
            extend=_codes(extend_select),
            warn=codes_of("warn", levels),
            pushdown=not no_pushdown,
            suspects=suspects,
            sample=sample,
            since=None if since in {None, _LAST} else parsed(str(since), timestamp),
        )
        _dated(timestamp, options.entries(registry))
        known = None if baseline is None else files.read(baseline)
    targets = with_full_lists([("statistics" if statistics else output_format, output_file), *map(_output, outputs)])
    # Opened before the work: what cannot be written is known now, and not after an hour.
    with ExitStack() as stack:
        with _told():
            kept = stack.enter_context(_state(state))
        reports = Reports([(each, stack.enter_context(writing(each.file, private=True))) for each in targets])
        with _told():
            store, address = stack.enter_context(server.opened_at(uri, embedded, database))
            standing = None
            if since == _LAST:
                options, standing = _since_last(store, registry, options, kept, timestamp)
            if plan:
                return _plan(store, registry, options)
            if "readpreference=" not in address.lower():
                store = store.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
            workers = stack.enter_context(running(jobs, executor, models, address, store.name))
            pace = Pace(rate=max_rate, seconds=max_time, pause=pause_file, load=Load() if back_off else None)
            tasks = kept if standing is None else None  # what has changed is read anew each time, and not gone on with
            result = _run(store, registry, options, tasks, workers=workers, baseline=known, pace=pace)
        with result:
            if write_baseline is not None:
                _write_baseline(write_baseline, result, known)
            with _told():  # what a report reads besides may be away by now
                reports.write(
                    result, store, registry, options, models=models, state=kept, limit=max_examples, redact=redact
                )
                if standing is not None and kept is not None and result.done:
                    kept.move(standing)
            incomplete, errors, why = not result.done, result.errors, result.unseen
            if write_baseline is not None and result.complete:
                errors = 0  # they are known from now on
            hint = _next(result, models, state)
    if incomplete:
        raise Failure(f"the audit is incomplete. {why}")
    if hint and sys.stderr.isatty():
        click.echo(hint, err=True)
    return VIOLATIONS if errors and not exit_zero else 0


def _ignored(ignore: tuple[str, ...], levels: dict[str, str]) -> tuple[str, ...]:
    """Return what is not to be reported: but a --select forgets what the file says of that."""
    from integrity.audit.severity import codes_of

    selected = not settings.from_file("select")
    if selected and settings.from_file("ignore"):
        ignore = ()
    if selected and settings.from_file("severity"):
        return ignore
    return (*ignore, *codes_of("off", levels))


def _dated(timestamp: str | None, entries: list[Entry]) -> None:
    from integrity.errors import AuditError

    if timestamp is not None and not any(timestamp in each.document.fields for each in entries):
        raise AuditError(f"--timestamp {timestamp}: no model that is audited declares such a field.")


def _since_last(
    store: BlockingStore, registry: Registry, options: Options, kept: State | None, timestamp: str | None
) -> tuple[Options, Mark]:
    """Return the options with what has changed since the last audit, and where the database stands now."""
    from dataclasses import replace

    from integrity.audit.identity import judged
    from integrity.audit.marks import since_last, standing
    from integrity.errors import AuditError
    from integrity.store.run import run

    if kept is None:
        raise click.UsageError("--since last needs --state FILE, which knows when the last audit was.")
    if (last := kept.last(store.name, judged(options.entries(registry)), options.codes)) is None:
        raise AuditError(
            f"{kept.path} knows of no audit that saw all that is asked for, in the database {store.name!r} and by the "
            "declarations as they are now; run one with --state and without --since."
        )
    mark = run(
        standing(store, registry, options)
    )  # before the changes are read: what comes between is read twice, and never missed
    return replace(options, since=run(since_last(store, registry, options, last, timestamp))), mark


def _next(result: AuditResult, models: str, state: Path | None) -> str:
    """Return the last line: what to do next."""
    if not result.done or not result.total:
        return ""
    code = max(sorted({c for each in result.collections for c in each.counts}), key=lambda one: _many(result, one))
    if result.partial:
        return f"Next: `integrity audit {models}` without --{'sample' if result.sampled else 'since'} sees everything."
    kept = "" if state is None else f" --state {state}"
    return (
        f"Next: `integrity rule {code}` explains the most frequent rule, `integrity repair {models} --plan` shows what "
        f"can be mended, and `integrity audit {models} --output html=report.html{kept}` shows where it came from."
    )


def _many(result: AuditResult, code: str) -> int:
    return sum(each.counts[code] for each in result.collections)


@contextmanager
def _told() -> Iterator[None]:
    """Make every error one sentence."""
    from pymongo.errors import PyMongoError

    from integrity.errors import IntegrityError
    from integrity.store.failure import sentence

    try:
        yield
    except IntegrityError as error:
        raise Failure(str(error)) from error
    except PyMongoError as error:
        raise Failure(sentence(error, "The server")) from error


def _run(store: BlockingStore, registry: Registry, options: Options, state: State | None, **how: object) -> AuditResult:
    from integrity.audit import audit as run_audit
    from integrity.cli.progress import progress
    from integrity.store.run import run

    with progress() as shown:
        try:
            return run(run_audit(store, registry, options, progress=shown, state=state, **how))  # type: ignore[arg-type]  # passed on
        except KeyboardInterrupt:
            if state is not None:
                click.echo(f"{state.path} holds what is done; the same command goes on from there.", err=True)
            raise


def _plan(store: BlockingStore, registry: Registry, options: Options) -> int:
    from integrity.audit import describe, plans
    from integrity.store.run import run

    found = run(plans(store, registry, options))
    for each in found:
        click.echo(describe(each))
    there = {each.source.name for each in found}
    for entry in options.entries(registry):
        if entry.collection not in there:
            click.echo(f"{entry.collection}: not in the database {store.name!r}; the audit would not be complete.\n")
    return 0


def _output(given: str) -> tuple[str, str | None]:
    name, equals, file = given.partition("=")
    if not equals or not file or name not in FORMATS:
        raise click.UsageError(f"--output {given}: write FORMAT=FILE, with one of {', '.join(FORMATS)}.")
    return name, file


@contextmanager
def _state(path: Path | None) -> Iterator[State | None]:
    from integrity.audit import State

    if path is None:
        yield None
        return
    with State(path, deferred=True) as state:
        yield state
        # The reports are whole: what has been told of only now is passed over by the next audit.
        with _told():
            state.told()


def _write_baseline(path: Path, result: AuditResult, known: Baseline | None) -> None:
    from integrity.audit import baseline as files

    if not result.complete:
        return  # what was not seen would be new next time
    kept = [] if known is None or result.compared is None else list(known.kept(result.compared.looked))
    with _told():
        many = files.write(path, [*map(files.known, result.violations), *kept])
    click.echo(f"{path} knows {many:,} violations; --baseline {path} reports what is new.", err=True)


def _codes(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code for each in given for code in (part.strip().upper() for part in each.split(",")) if code)
