"""`integrity sync`: the copies that changes of their owners have left to be refreshed."""

from __future__ import annotations

import json

import click

from integrity.cli import server
from integrity.cli.failure import Failure

LEFT = 1


@click.command(epilog="Exit status: 0 done, 1 a copy cannot hold what its owner holds, 2 not done.")
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
def sync(*, models: str, uri: str | None, embedded: str | None, database: str | None, output_format: str) -> int:
    """Refresh the copies that a change of their owner has left to batches.

    A writer finishes what it leaves, and writes that come later finish what a crash has left; this does all of it
    now. Idempotent; may run beside the application, and from a timer. It looks at what is recorded as possibly stale:
    `integrity audit` looks at every copy.

    A copy that cannot hold what its owner holds stays stale, and is told of each time. Where a process was killed
    within a transaction, this waits until the server has ended that one, and says so on standard error.
    """
    from pymongo.errors import PyMongoError

    from integrity.cli import models as declared
    from integrity.errors import IntegrityError
    from integrity.store.failure import sentence
    from integrity.store.run import run
    from integrity.writes.copies import sync as run_sync
    from integrity.writes.references import protocol

    registry = declared.registry(models)
    try:
        with server.opened(uri, embedded, database) as store:
            keeper = protocol("auto", registry).copies
            done = run(run_sync(keeper, store, progress=lambda line: click.echo(line, err=True)))
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
            f"copies in {', '.join(sorted(done.unknown))} were left as they are: MODELS declares no such copy."
        )
    return LEFT if done.misfits else 0
