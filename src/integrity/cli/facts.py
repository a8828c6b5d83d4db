"""`integrity facts`: who owns what, what is copied from where; and which copies nobody declares."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from integrity.cli import server
from integrity.cli.failure import Failure

if TYPE_CHECKING:
    from integrity.declare.registry import Registry

SUSPECTED = 1


@click.command(epilog="Exit status: 0 done, 1 with --suspect: copies are suspected, 2 not done.")
@click.argument("models", metavar="MODELS")
@click.option(
    "--output-format",
    "-f",
    type=click.Choice(("text", "json", "dot", "svg")),
    default="text",
    show_default=True,
    help="How the map is printed; dot is Graphviz's language.",
)
@click.option("--output-file", "-o", metavar="FILE", type=click.Path(dir_okay=False), help="Write here, not on stdout.")
@click.option("--suspect", is_flag=True, help="List undeclared copies instead: fields that agree along a reference.")
@server.options
def facts(
    *,
    models: str,
    output_format: str,
    output_file: str | None,
    suspect: bool,
    uri: str | None,
    embedded: str | None,
    database: str | None,
) -> int:
    """Print the map of facts of MODELS: who owns what, what is copied from where, which references hold it together.

    With --suspect, the database is read: pairs of fields whose values agree along a reference in at least 99 % of the
    documents that are compared, and that no model declares to be a copy.
    """
    from integrity.cli import models as declared
    from integrity.cli.output import writing
    from integrity.declare.facts import facts as map_of
    from integrity.report import facts_as_dot, facts_as_svg, facts_as_text

    registry = declared.registry(models)
    if suspect and output_format not in {"text", "json"}:
        raise click.UsageError("--suspect is printed as text or json.")
    with writing(output_file) as out:
        if suspect:
            return _suspect(registry, (uri, embedded, database), output_format, out)
        found = map_of(registry)
        if output_format == "json":
            out.write(json.dumps([each.to_json() for each in found], indent=2, ensure_ascii=False) + "\n")
        else:
            formats = {"text": facts_as_text, "dot": facts_as_dot, "svg": facts_as_svg}
            out.write(formats[output_format].write(found))
    return 0


def _suspect(registry: Registry, at: tuple[str | None, str | None, str | None], output_format: str, out: Any) -> int:
    from pymongo.errors import PyMongoError

    from integrity.declare.shape import declared_path
    from integrity.errors import IntegrityError
    from integrity.infer.suspect import suspects
    from integrity.store.failure import sentence
    from integrity.store.run import run

    try:
        with server.opened_at(*at) as (store, _):
            found = run(suspects(store, registry))
    except IntegrityError as error:
        raise Failure(str(error)) from error
    except PyMongoError as error:
        raise Failure(sentence(error, "The server")) from error
    rows = [
        {
            "copy": f"{each.link.collection}.{declared_path(each.steps)}",
            "original": f"{each.link.target}.{each.field}",
            "via": declared_path(each.link.steps),
            "agree": round(each.equal, 4),
        }
        for each in found
    ]
    if output_format == "json":
        out.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    else:
        for row in rows:
            out.write(f"{row['copy']} agrees with {row['original']} via {row['via']} in {row['agree']:.1%}\n")
        out.write(f"{len(rows)} suspected cop{'y' if len(rows) == 1 else 'ies'}.\n")
    return SUSPECTED if rows else 0
