"""`integrity diff`: where the server differs from the declarations. Reads only."""

from __future__ import annotations

import json

import click

from integrity.cli import server
from integrity.cli.failure import Failure

DRIFT = 1


@click.command(epilog="Exit status: 0 no difference, 1 differences, 2 not done.")
@click.argument("models", metavar="MODELS")
@server.options
@click.option("--ignore", metavar="CODES", multiple=True, help="Pass over these, such as DRF004.")
@click.option("--ignore-extra", is_flag=True, help="Pass over indexes that nothing declares.")
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is reported.",
)
def diff(
    *,
    models: str,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    ignore: tuple[str, ...],
    ignore_extra: bool,
    output_format: str,
) -> int:
    """Report where validators and indexes differ from MODELS.

    Indexes are compared by what the server reports: key, uniqueness, collation, partial filter, every option.
    """
    from integrity.cli import models as declared
    from integrity.errors import IntegrityError
    from integrity.report.as_text import escape
    from integrity.server.apply import diff as compare
    from integrity.store.run import run

    registry = declared.registry(models)
    codes = tuple(code.strip().upper() for each in ignore for code in each.split(",") if code.strip())
    try:
        with server.opened(uri, embedded, database) as store:
            found = run(compare(store, registry))
    except IntegrityError as error:
        raise Failure(str(error)) from error
    shown = [
        each
        for each in found
        if not (codes and each.rule.code.startswith(codes))
        and not (ignore_extra and each.how == "extra" and each.rule.code == "DRF001")
    ]
    if output_format == "json":
        document = {"database": store.name, "differences": [each.to_json() for each in shown]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for each in shown:
            click.echo(escape(f"{each} {each.fault.hint}"))
        many = f"{len(shown)} difference{'s' if len(shown) != 1 else ''}" if shown else "No difference"
        click.echo(f"{many} between {models} and the database {store.name!r}.")
    return DRIFT if shown else 0
