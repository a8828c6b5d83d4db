"""`integrity plan-delete`: what a delete would take with it, as a tree. Reads only."""

from __future__ import annotations

import json

import click

from integrity.cli import server
from integrity.cli.failure import Failure

REFUSED = 1


@click.command("plan-delete", epilog="Exit status: 0 it would be done, 1 it would be refused, 2 not done.")
@click.argument("models", metavar="MODELS")
@click.argument("model", metavar="MODEL")
@click.argument("filter_text", metavar="FILTER")
@server.options
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is reported.",
)
def plan_delete(
    *,
    models: str,
    model: str,
    filter_text: str,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    output_format: str,
) -> int:
    """Say what deleting the documents of MODEL that match FILTER would delete, set to null, or be refused for.

    FILTER is MongoDB extended JSON, such as '{"_id": 507}' or '{"country": "IS"}'. Nothing is written.
    """
    from bson import json_util
    from bson.errors import BSONError
    from pymongo.errors import PyMongoError

    from integrity.cli import models as declared
    from integrity.errors import IntegrityError
    from integrity.store.failure import sentence
    from integrity.store.run import run
    from integrity.writes.references.plan import collect

    registry = declared.registry(models)
    try:
        entry = registry.entry(model)
    except IntegrityError as error:
        raise Failure(str(error)) from error
    try:
        asked = json_util.loads(filter_text)
    except (BSONError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise Failure(f"FILTER is not JSON ({error}); write '{{\"_id\": 507}}'.") from error
    if not isinstance(asked, dict):
        raise Failure("FILTER is no JSON object; write '{\"_id\": 507}'.")
    try:
        with server.opened(uri, embedded, database) as store:
            plan = run(collect(store, entry, asked))
    except IntegrityError as error:
        raise Failure(str(error)) from error
    except PyMongoError as error:
        raise Failure(sentence(error, "The server")) from error
    if output_format == "json":
        click.echo(json.dumps(plan.to_json(), indent=2, ensure_ascii=False))
    else:
        click.echo(str(plan))
    return 0 if plan.allowed else REFUSED
