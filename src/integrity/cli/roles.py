"""`integrity roles`: the MongoDB roles that make the server refuse what an actor does not own."""

from __future__ import annotations

import json

import click

from integrity.cli import server
from integrity.cli.failure import Failure


@click.command(epilog="Exit status: 0 done, 2 not done.")
@click.argument("models", metavar="MODELS")
@click.option("--actor", metavar="NAME", help="The role of this actor alone.")
@click.option("--apply", "apply_", is_flag=True, help="Create the roles in the database, or change them.")
@server.options
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json", "mongosh")),
    default="text",
    show_default=True,
    help="How they are printed; mongosh prints commands that create them.",
)
def roles(
    *,
    models: str,
    actor: str | None,
    apply_: bool,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    output_format: str,
) -> int:
    """Print the role of each actor of MODELS: what it owns, and what follows from that.

    A user with such a role writes no collection in which it owns nothing, whatever program it uses. The server knows
    no fields: within a collection, the guarded writes do that. Indexes and validators are an administrator's
    (`integrity apply`), and so are audits and repairs.
    """
    from pymongo.errors import PyMongoError

    from integrity.cli import models as declared
    from integrity.errors import IntegrityError
    from integrity.server import roles as wanted
    from integrity.store.failure import sentence
    from integrity.store.run import run

    registry = declared.registry(models)
    try:
        found = wanted.roles(registry, actor)
        if not found:
            raise Failure(f"{models} names no actor; say class X(Model, owner=...) or Annotated[..., Owner(...)].")
        if output_format == "json":
            # In a privilege, no name is every database's.
            name = server.database_of(uri, embedded, database)
            names = {each.name: {"actor": each.actor, "privileges": each.privileges(name)} for each in found}
            click.echo(json.dumps(names, indent=2, ensure_ascii=False))
        else:
            click.echo("\n\n".join(each.script() if output_format == "mongosh" else str(each) for each in found))
        if apply_:
            with server.opened(uri, embedded, database) as store:
                for line in run(wanted.apply(store, found)):
                    click.echo(line, err=True)
    except IntegrityError as error:
        raise Failure(str(error)) from error
    except PyMongoError as error:
        raise Failure(sentence(error, "The server")) from error
    return 0
