"""`integrity recover`: what processes that died have left of their deletes, finished, undone and forgotten."""

from __future__ import annotations

import json

import click

from integrity.cli import server
from integrity.cli.failure import Failure

STRAYS_LEFT = 1


@click.command(epilog="Exit status: 0 done, 1 a stray could not be deleted because others refer to it, 2 not done.")
@click.argument("models", metavar="MODELS")
@server.options
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is reported.",
)
def recover(*, models: str, uri: str | None, embedded: str | None, database: str | None, output_format: str) -> int:
    """Finish or undo the deletes that processes left when they died, and forget those that are past.

    Nothing under way is touched: only what is older than its lease, or its grace. The next delete through the
    library does the same, a little at a time. Idempotent; may run beside the application, and from a timer.
    """
    from pymongo.errors import PyMongoError

    from integrity.cli import models as declared
    from integrity.errors import IntegrityError
    from integrity.store.failure import sentence
    from integrity.store.run import run
    from integrity.writes.references import protocol
    from integrity.writes.references import recover as run_recover

    registry = declared.registry(models)
    try:
        with server.opened(uri, embedded, database) as store:
            done = run(run_recover(protocol("auto", registry), store, progress=lambda line: click.echo(line, err=True)))
    except IntegrityError as error:
        raise Failure(str(error)) from error
    except PyMongoError as error:
        raise Failure(sentence(error, "The server", "readWrite")) from error
    if output_format == "json":
        click.echo(json.dumps(done.to_json(), indent=2, ensure_ascii=False))
    else:
        click.echo(str(done))
    if done.unknown:
        raise Failure(
            f"deletes in {', '.join(sorted(done.unknown))} were left as they are: MODELS declares no such collection."
        )
    return STRAYS_LEFT if done.kept else 0
