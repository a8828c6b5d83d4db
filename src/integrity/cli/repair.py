"""`integrity repair`: what the audit finds is mended, as far as that is safe or was chosen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from integrity.cli import server
from integrity.cli.failure import Failure

if TYPE_CHECKING:
    from integrity.repair import Journal, Summary
    from integrity.repair.result import Outcome
    from integrity.store.blocking import BlockingStore

LEFT = 1


@click.command(
    epilog="Exit status: 0 nothing is wrong any more, 1 something is left (with --plan: something was found), "
    "2 not done, or not everything seen."
)
@click.argument("models", metavar="MODELS")
@server.options
@click.option("--plan", "how", flag_value="plan", default=True, help="Show what would be changed; the default.")
@click.option("--apply", "how", flag_value="apply", help="Change it.")
@click.option(
    "--unsafe",
    "unsafe",
    metavar="[CODE[@PLACE]=]REMEDY",
    multiple=True,
    help="Repair what only its owner can decide about: null, remove, coerce, delete, quarantine, keep-oldest[:FIELD] "
    "or keep-newest[:FIELD]; such as REF001=null, FRB001@airports.iata=null or quarantine. Repeatable; the most "
    "particular one counts.",
)
@click.option(
    "--collection", "-c", "collections", metavar="NAME", multiple=True, help="Repair this collection; repeatable."
)
@click.option("--select", metavar="CODES", multiple=True, help="Repair these only, such as OWN001,SCH.")
@click.option("--ignore", metavar="CODES", multiple=True, help="Do not repair these; wins over --select.")
@click.option(
    "--journal",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write down there what is changed, and not in the collection integrity.journal.",
)
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is reported.",
)
@click.option(
    "--max-examples",
    metavar="N",
    type=click.IntRange(min=0),
    help="Show so many documents of each kind of change: 3 by default as text, all as json.",
)
@click.option("--redact", is_flag=True, help="Show no value of a document but its _id.")
def repair(
    *,
    models: str,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    how: str,
    unsafe: tuple[str, ...],
    collections: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    journal: Path | None,
    output_format: str,
    max_examples: int | None,
    redact: bool,
) -> int:
    """Repair what the audit of MODELS finds: with --plan it is shown, with --apply it is done.

    Without --unsafe only what loses nothing and guesses nothing: copies from their owners, the same value in the right
    type, characters that are not text. Every change is written down before it is made; `integrity undo` brings the
    bytes back.
    """
    from integrity.audit import Options
    from integrity.cli import models as declared
    from integrity.cli.output import writing
    from integrity.cli.progress import progress
    from integrity.repair import Choices
    from integrity.repair import repair as run_repair
    from integrity.repair.as_json import AsJson
    from integrity.repair.as_text import EXAMPLES, AsText
    from integrity.repair.journal import Stopped
    from integrity.store.run import run

    registry = declared.registry(models)
    with ExitStack() as stack:
        stack.enter_context(told())
        options = Options(collections=collections, select=_codes(select), ignore=_codes(ignore))
        options.entries(registry)
        choices = Choices(unsafe)
        store = stack.enter_context(server.opened(uri, embedded, database))
        kept = stack.enter_context(opened_journal(store, journal)) if how == "apply" else None
        out = stack.enter_context(writing(None))
        shown: AsText | AsJson
        if output_format == "json":
            shown = AsJson(out, examples=max_examples, redact=redact)
        else:
            shown = AsText(out, examples=EXAMPLES if max_examples is None else max_examples, redact=redact)
        mended = False

        def tell(outcome: Outcome) -> None:
            nonlocal mended
            mended = mended or bool(outcome.mended)
            shown.tell(outcome)

        try:
            with progress() as bar:
                summary = run(run_repair(store, registry, options, choices, journal=kept, tell=tell, progress=bar))
        except Stopped:  # what was repaired does not stay
            raise
        except BaseException as error:  # a Ctrl-C too
            # Who may not write has changed nothing; of anything else that is not known.
            if kept is not None and (mended or (kept.changes and getattr(error, "code", None) != _UNAUTHORIZED)):
                undo = _undo(models, kept.run, journal)
                click.echo(f"Cut off: what was repaired stays; --apply again does the rest, {undo}.", err=True)
            raise
        shown.end(summary)
    click.echo(_next(summary, models, journal), err=True)
    if summary.failure:
        raise Failure(f"not everything was seen. {summary.failure}")
    if not summary.made:
        return LEFT if summary.found else 0
    return LEFT if summary.remaining else 0


def _next(summary: Summary, models: str, journal: Path | None) -> str:
    """Return what to do next."""
    if not summary.found:
        return "Next: `integrity enforce` makes the server refuse what would break it."
    if not summary.made:
        if summary.repaired:
            return "Next: --apply does it; --unsafe chooses for what is left."
        return "Next: choose for what is left with --unsafe, or mend it by hand."
    if not summary.documents:
        return "Next: choose for what is left with --unsafe, or mend it by hand."
    return f"Next: `integrity audit {models}` looks again; {_undo(models, summary.run, journal)}."


def _undo(models: str, run: str, journal: Path | None) -> str:
    at = f" --journal {journal}" if journal is not None else ""
    return f"`integrity undo {models} {run}{at}` brings the bytes back"


@contextmanager
def opened_journal(store: BlockingStore, path: Path | None, *, create: bool = True) -> Iterator[Journal]:
    """Open the journal: a file, or the collection."""
    from integrity.repair import CollectionJournal, FileJournal

    if path is None:
        yield CollectionJournal(store)
        return
    journal = FileJournal(path, create=create)
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def told() -> Iterator[None]:
    """Make every error one sentence."""
    from pymongo.errors import PyMongoError

    from integrity.errors import IntegrityError
    from integrity.store.failure import sentence

    try:
        yield
    except IntegrityError as error:
        raise Failure(str(error)) from error
    except PyMongoError as error:
        raise Failure(sentence(error, "The server", "readWrite")) from error


#: https://www.mongodb.com/docs/manual/reference/error-codes/
_UNAUTHORIZED = 13


def _codes(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code for each in given for code in (part.strip().upper() for part in each.split(",")) if code)
