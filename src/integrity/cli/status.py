"""`integrity status`: a table of every constraint: stage, violations, drift. Reads only."""

from __future__ import annotations

import json

import click

from integrity.cli import server
from integrity.cli.failure import Failure


@click.command(epilog="Exit status: 0 the table is whole, 2 not done or not everything seen.")
@click.argument("models", metavar="MODELS")
@server.options
@click.option("--no-audit", is_flag=True, help="Count no violations: no document is read.")
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is reported.",
)
def status(
    *,
    models: str,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    no_audit: bool,
    output_format: str,
) -> int:
    """Show how far each constraint of MODELS has come.

    Its stage, the violations that the audit counts, and whether the server is as the stage says. What the server
    cannot enforce (references, copies) is enforced by guarded writes.
    """
    from integrity.adopt import status as run_status
    from integrity.cli import models as declared
    from integrity.cli.progress import progress
    from integrity.errors import IntegrityError
    from integrity.store.run import run

    registry = declared.registry(models)
    try:
        with server.opened(uri, embedded, database) as store, progress() as shown:
            rows = run(run_status(store, registry, audited=not no_audit, progress=shown))
    except IntegrityError as error:
        raise Failure(str(error)) from error
    if output_format == "json":
        document = {"database": store.name, "constraints": [each.to_json() for each in rows]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        table = [("constraint", "stage", "violations", "drift")]
        for each in rows:
            count = ("?" if each.unseen else "-") if each.violations is None else str(each.violations)
            table.append((each.constraint.name, str(each.stage), count, each.drift or "none"))
        widths = [max(len(line[column]) for line in table) for column in range(4)]
        for name, stage, count, drift in table:
            click.echo(f"{name:{widths[0]}}  {stage:{widths[1]}}  {count:>{widths[2]}}  {drift}")
    if unseen := next((each.unseen for each in rows if each.unseen), ""):
        raise Failure(f"the audit is incomplete. {unseen}")
    return 0
