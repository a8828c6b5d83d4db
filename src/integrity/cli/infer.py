"""`integrity infer`: from an existing database to a module of models. Reads only."""

from __future__ import annotations

import click

from integrity.cli import server
from integrity.cli.failure import Failure


@click.command(epilog="Exit status: 0 done, 2 not done.")
@server.options
@click.option("--collection", "-c", "collections", metavar="NAME", multiple=True, help="This one only; repeatable.")
@click.option(
    "--sample",
    metavar="N",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Read at most so many documents of each collection.",
)
@click.option("--output-file", "-o", metavar="FILE", type=click.Path(dir_okay=False), help="Write here, not on stdout.")
def infer(
    *,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    collections: tuple[str, ...],
    sample: int,
    output_file: str | None,
) -> int:
    """Write models for the collections of a database, as Python code.

    Types with their frequencies, what is optional and what nullable, choices, certain forms of text, unique
    candidates, references (values that are found among another collection's keys) and suspected copies. Dirty values
    are left out of the types and mentioned. `integrity audit` with these models lists them.
    """
    from integrity.cli.output import writing
    from integrity.errors import IntegrityError
    from integrity.infer import infer as run_infer
    from integrity.store.run import run

    with writing(output_file) as out:
        try:
            with server.opened_at(uri, embedded, database) as (store, _):
                source = run(run_infer(store, collections=collections, sample=sample))
        except IntegrityError as error:
            raise Failure(str(error)) from error
        out.write(source)
    return 0
