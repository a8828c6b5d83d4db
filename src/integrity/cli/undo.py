"""`integrity undo`: a repair's documents get the bytes back that they had."""

from __future__ import annotations

import json
from pathlib import Path

import click

from integrity.cli import server
from integrity.cli.failure import Failure

SKIPPED = 1


@click.command(epilog="Exit status: 0 done, 1 documents that were changed since were skipped, 2 not done.")
@click.argument("models", metavar="MODELS")
@click.argument("name", metavar="[RUN]", required=False)
@server.options
@click.option(
    "--journal",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The journal, where the repair wrote to a file.",
)
@click.option(
    "--past-validators",
    is_flag=True,
    help="Write also what the server's validators refuse (needs the right to bypassDocumentValidation).",
)
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is reported.",
)
def undo(
    *,
    models: str,
    name: str | None,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    journal: Path | None,
    past_validators: bool,
    output_format: str,
) -> int:
    """Bring back the bytes that documents had before the repair RUN; without RUN, list the runs.

    A document that was changed since is skipped. It does not matter whether the repair came to its end, and undoing
    may be stopped and begun again. A repair that is still at work is stopped.
    """
    from integrity.cli import models as declared
    from integrity.cli.repair import opened_journal, told
    from integrity.repair import undo as run_undo
    from integrity.repair.as_text import shown
    from integrity.repair.journal import Entry
    from integrity.repair.undo import SKIPPED as NOT_BACK
    from integrity.store.run import run

    registry = declared.registry(models)

    def tell(entry: Entry, what: str, reason: str) -> None:
        if what == NOT_BACK:
            click.echo(f"skipped {entry.collection} _id {shown(entry.id)}: {reason}", err=True)

    def waits(seconds: float) -> None:
        click.echo(
            f"The repair {name} may still be at work: it was stopped; waiting {seconds:.0f} s at most.", err=True
        )

    with told(), server.opened(uri, embedded, database) as store, opened_journal(store, journal, create=False) as kept:
        if name is None:
            runs = run(kept.runs())
            for each in runs:
                state = "undone" if each.undone else "ended" if each.ended else "did not come to its end, or is at work"
                changes = f"{each.changes:,} changes" if each.ended else "changes not counted"
                click.echo(f"{each.name}  {each.at:%Y-%m-%d %H:%M} UTC  {changes}, {state}")
            if not runs:
                raise Failure("The journal knows no run of a repair.")
            return 0
        done = run(run_undo(store, registry, kept, name, past_validators=past_validators, tell=tell, waits=waits))
    if output_format == "json":
        click.echo(json.dumps(done.to_json(), indent=2, ensure_ascii=False))
    else:
        skipped = sum(done.skipped.values())
        click.echo(f"{done.back:,} changes undone, {done.already:,} were not there, {skipped:,} skipped.")
        click.echo(f"Next: `integrity audit {models}` shows what is wrong again.")
    return SKIPPED if done.skipped else 0
