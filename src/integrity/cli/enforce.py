"""`integrity enforce`: constraints are moved from stage to stage, as far as the data lets them."""

from __future__ import annotations

import click

from integrity.cli import server
from integrity.cli.failure import Failure

HELD = 1
STAGES = ("declared", "warn", "moderate", "enforced")


@click.command(epilog="Exit status: 0 all are at the stage, 1 the data (or an index) holds some back, 2 not done.")
@click.argument("models", metavar="MODELS")
@click.argument("constraints", metavar="[CONSTRAINT]...", nargs=-1)
@server.options
@click.option(
    "--to",
    type=click.Choice(STAGES),
    default="enforced",
    show_default=True,
    help="The stage: declared (the audit alone), warn (faults are logged), moderate (new faults are refused, documents "
    "at fault can be updated), enforced. A lower one takes a constraint back.",
)
def enforce(
    *, models: str, constraints: tuple[str, ...], uri: str | None, embedded: str | None, database: str | None, to: str
) -> int:
    """Move the constraints of MODELS (or those named) to a stage.

    CONSTRAINT is a name as `integrity status` prints it, such as "customers.unique(email)", or a collection.
    On the way to enforced the audit is asked first: while it finds violations, the constraint stays at warn, and
    they are shown.
    """
    from integrity.adopt import enforce as run_enforce
    from integrity.cli import models as declared
    from integrity.cli.progress import progress
    from integrity.declare.stage import Stage
    from integrity.errors import IntegrityError
    from integrity.report.as_text import escape
    from integrity.store.run import run

    registry = declared.registry(models)
    try:
        with server.opened(uri, embedded, database) as store, progress() as shown:
            advances = run(run_enforce(store, registry, constraints, to=Stage(to), progress=shown))
    except IntegrityError as error:
        raise Failure(str(error)) from error
    for each in advances:
        click.echo(escape(str(each)))
        for violation in each.examples:
            click.echo(escape(f"    {violation.code} _id {violation.id!r} {violation.path}: {violation.message}"))
        if each.violations > len(each.examples):
            click.echo(f"    and {each.violations - len(each.examples)} more")
    held = sum(each.held for each in advances)
    if held:
        click.echo(
            f"{held} of {len(advances)} held back; `integrity audit {models}` lists all violations. Repair them, and "
            "run this again."
        )
    return HELD if held else 0
