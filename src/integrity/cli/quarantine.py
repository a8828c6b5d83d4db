"""`integrity quarantine`: what was moved aside is listed, and released when it is valid."""

from __future__ import annotations

import json

import click

from integrity.cli import server

STAY = 1


@click.group(epilog="Exit status: 0 done, 1 something stays in quarantine, 2 not done.")
def quarantine() -> None:
    """List and release the documents that a repair has moved to COLLECTION.quarantine."""


@quarantine.command("list", epilog="Exit status: 0 nothing is in quarantine, 1 something is, 2 not done.")
@click.argument("models", metavar="MODELS")
@server.options
def list_held(*, models: str, uri: str | None, embedded: str | None, database: str | None) -> int:
    """List what is in quarantine of the collections of MODELS, with what was wrong with it."""
    from integrity.cli import models as declared
    from integrity.cli.repair import told
    from integrity.repair import held
    from integrity.repair.as_text import shown
    from integrity.store.run import run

    registry = declared.registry(models)
    many = 0

    async def all_of_them() -> None:
        nonlocal many
        for entry in registry:
            async for each in held(store, entry):
                many += 1
                click.echo(f"{each.collection} _id {shown(each.id)}  {', '.join(each.codes)}  since {each.at:%Y-%m-%d}")

    with told(), server.opened(uri, embedded, database) as store:
        run(all_of_them())
    if not many:
        click.echo("Nothing is in quarantine.")
    return STAY if many else 0


@quarantine.command(
    "release", epilog="Exit status: 0 all were released, 1 some break rules still and stay, 2 not done."
)
@click.argument("models", metavar="MODELS")
@click.argument("collection", metavar="COLLECTION")
@server.options
@click.option("--id", "ids", metavar="JSON", multiple=True, help="The _id, in extended JSON; repeatable. All without.")
def release(
    *,
    models: str,
    collection: str,
    uri: str | None,
    embedded: str | None,
    database: str | None,
    ids: tuple[str, ...],
) -> int:
    """Put documents back into COLLECTION: each is judged like any other that is inserted.

    Mend what is wrong with one in COLLECTION.quarantine first, in the field `document` of its record.
    """
    from integrity.cli import models as declared
    from integrity.cli.failure import Failure
    from integrity.cli.repair import told
    from integrity.repair import held
    from integrity.repair import release as run_release
    from integrity.repair.as_text import shown
    from integrity.store.run import run

    registry = declared.registry(models)
    entry = next((each for each in registry if each.collection == collection), None)
    if entry is None:
        known = ", ".join(sorted(each.collection for each in registry))
        raise Failure(f"No model declares the collection {collection!r}; declared are {known}.")
    counts = {"released": 0, "stay": 0}
    wanted = [_value(each) for each in ids]

    async def released(one: object, *, every: bool) -> None:
        found = False
        async for each in held(store, entry, one, every=every):
            found = True
            outcome = await run_release(store, registry, each)
            counts["stay"] += outcome.stays
            counts["released"] += not outcome.reason
            if outcome.reason:
                stays = " stays" if outcome.stays else ""
                click.echo(f"{collection} _id {shown(each.id)}{stays}: {outcome.reason}", err=True)
        if not found and not every:
            raise Failure(f"{collection}.quarantine holds no document with the _id {shown(one)}.")

    with told(), server.opened(uri, embedded, database) as store:
        if not ids:
            run(released(None, every=True))
        for each in wanted:
            run(released(each, every=False))
    click.echo(f"{counts['released']:,} released, {counts['stay']:,} stay in quarantine.")
    return STAY if counts["stay"] else 0


def _value(text: str) -> object:
    """Return an ``_id`` that was given as extended JSON; what is no JSON is a text."""
    from bson import json_util
    from bson.errors import BSONError

    from integrity.cli.failure import Failure

    try:
        json.loads(text)
    except ValueError:
        return text
    try:
        return json_util.loads(text)
    except (BSONError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise Failure(f"--id {text}: it is JSON, and no value in MongoDB's extended JSON.") from error
