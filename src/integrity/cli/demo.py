"""`integrity demo`: the library at work on a small shop, with a server of its own."""

from __future__ import annotations

import click

from integrity.cli.failure import Failure


@click.command()
def demo() -> None:
    """Show refused writes and an audit on a small shop, with a server of its own.

    About half a minute; nothing is left behind.
    """
    from integrity.embedded import Mongod, MongodFailed, MongodNotFound

    click.echo("Starting a MongoDB server of our own on 127.0.0.1 ...")
    server = Mongod()
    try:
        server.start()
    except (MongodNotFound, MongodFailed, OSError) as error:
        raise Failure(str(error)) from error
    try:
        _guarded(server.uri)
        _audited(server.uri)
    finally:
        server.stop()
    _next()


def _guarded(uri: str) -> None:
    import integrity
    from integrity.demo.models import MODELS
    from integrity.demo.refusals import refusals, stock
    from integrity.report.as_text import escape

    _heading("1. Writes through the guard")
    with integrity.connect(uri, models=MODELS, database="shop", actor="shop") as db:
        click.echo(f"{stock(db)} valid documents were stored. These writes are refused, and nothing of them is stored:")
        for each in refusals(db):
            click.echo(f"\n- {each.title}: {type(each.error).__name__}")
            for violation in each.error.violations:
                where = f"{violation.collection}.{violation.path}" if violation.path else violation.collection
                click.echo(f"    {violation.code} {escape(where)}: {escape(violation.message)}")
                click.echo(f"      Hint: {escape(violation.hint)}")


def _audited(uri: str) -> None:
    import sys

    import integrity
    from integrity.audit import audit
    from integrity.cli.progress import progress
    from integrity.declare.registry import Registry
    from integrity.demo import faults, shop
    from integrity.demo.models import MODELS
    from integrity.report import as_text
    from integrity.store.opening import opened
    from integrity.store.run import run

    _heading("2. An audit of a database that was filled without a guard")
    documents = shop.documents()
    planted = faults.plant(documents)
    with integrity.connect(uri, models=MODELS, database="old_shop", actor="*") as db:
        for model in MODELS:
            db[model].unsafe_raw.insert_many(documents[model.__integrity__.collection or ""])
    many = sum(map(len, documents.values()))
    click.echo(f"{many:,} documents were written past the guard, {len(planted)} faults among them. The audit finds:\n")
    with (
        opened(uri, "old_shop") as store,
        progress() as shown,
        run(audit(store, Registry(MODELS), progress=shown)) as result,
    ):
        as_text.write(result, sys.stdout, max_examples=1)
        found = sorted((each.collection, each.code, each.path, str(each.id)) for each in result.violations)
        if found != sorted((each.collection, each.code, each.path, str(each.id)) for each in planted):
            raise Failure("the audit did not find exactly the planted faults; please report this.")
    click.echo(f"These are exactly the {len(planted)} faults that were planted.")


def _next() -> None:
    _heading("3. What to do next")
    click.echo(
        "integrity rule REF001                           explains a rule\n"
        "integrity audit YOUR_MODELS.py --uri URI        audits a database of yours, and only reads\n"
        "docs/tutorial/first-steps.md                    declares, guards and audits, step by step\n"
        "src/integrity/demo/models.py                    the declarations of this shop"
    )


def _heading(text: str) -> None:
    click.echo(f"\n{text}\n{'-' * len(text)}")
