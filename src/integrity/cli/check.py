"""`integrity check`: the declarations alone, without a server."""

from __future__ import annotations

import json

import click

from integrity.cli.failure import Failure


@click.command(
    epilog="Exit status: 0 the declarations hold together, 1 --strict and there are warnings, 2 they do not."
)
@click.argument("models", metavar="MODELS")
@click.option("--strict", is_flag=True, help="Exit 1 when there are warnings.")
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is reported.",
)
def check(*, models: str, strict: bool, output_format: str) -> int:
    """Read MODELS and say what contradicts itself, and what may surprise.

    No server is asked: it can run before every commit.
    """
    from integrity.cli import models as declared
    from integrity.declare.warnings import check as run_check
    from integrity.errors import IntegrityError

    try:
        registry = declared.registry(models)
        found = run_check(registry)
    except IntegrityError as error:
        raise Failure(str(error)) from error
    if output_format == "json":
        click.echo(json.dumps([each.to_json() for each in found], indent=2, ensure_ascii=False))
    else:
        for each in found:
            click.echo(f"{each.name}  {each}")
        count = len(registry)
        click.echo(
            f"{count} {'model' if count == 1 else 'models'}, "
            f"{len(found) or 'no'} {'warning' if len(found) == 1 else 'warnings'}."
        )
    return 1 if strict and found else 0
