"""`integrity apply`: the server is made to enforce what is declared."""

from __future__ import annotations

import json

import click

from integrity.cli import server
from integrity.cli.failure import Failure

BLOCKED = 1


@click.command(epilog="Exit status: 0 done (or a dry run), 1 something is in the way, 2 not done.")
@click.argument("models", metavar="MODELS")
@server.options
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and what it locks or builds.")
@click.option(
    "--prune",
    is_flag=True,
    help="Drop indexes that nothing declares (hidden first), and replace validators of other makers.",
)
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is reported.",
)
def apply(
    *,
    models: str,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    dry_run: bool,
    prune: bool,
    output_format: str,
) -> int:
    """Create the collections, validators and indexes of MODELS, and mend those that are different.

    Idempotent, and safe to run by many processes at once. Nothing is dropped that this command did not create,
    unless --prune says so. A validator over documents that it would refuse only warns: `integrity enforce` goes on
    when they are repaired.
    """
    from integrity.cli import models as declared
    from integrity.errors import IntegrityError
    from integrity.report.as_text import escape
    from integrity.server.apply import apply as run_apply
    from integrity.store.run import run

    registry = declared.registry(models)
    try:
        with server.opened(uri, embedded, database) as store:
            made = run(run_apply(store, registry, dry_run=dry_run, prune=prune))
    except IntegrityError as error:
        raise Failure(str(error)) from error
    if output_format == "json":
        click.echo(json.dumps({"database": store.name, **made.to_json()}, indent=2, ensure_ascii=False))
    else:
        for line in str(made.plan if dry_run else made).split("\n"):
            click.echo(escape(line))
    return BLOCKED if made.blocked else 0
