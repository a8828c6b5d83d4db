"""`integrity export`: the declarations in other programs' words."""

from __future__ import annotations

import json

import click

from integrity.cli.failure import Failure

FORMATS = ("jsonschema", "mermaid", "validators")


@click.command(epilog="Exit status: 0 done, 2 not done.")
@click.argument("models", metavar="MODELS")
@click.option("--jsonschema", "form", flag_value="jsonschema", help="JSON Schema (draft 2020-12) of every model.")
@click.option("--mermaid", "form", flag_value="mermaid", help="An entity-relationship diagram for Mermaid.")
@click.option("--validators", "form", flag_value="validators", help="MongoDB's validators, by collection.")
@click.option("--output-file", "-o", metavar="FILE", type=click.Path(dir_okay=False), help="Write here, not on stdout.")
def export(*, models: str, form: str | None, output_file: str | None) -> int:
    """Write the declarations of MODELS in another form. No server is asked."""
    from integrity.cli import models as declared
    from integrity.cli.output import writing
    from integrity.server import export as forms

    if form not in FORMATS:
        raise Failure("Name a form: --jsonschema, --mermaid or --validators.")
    registry = declared.registry(models)
    with writing(output_file) as out:
        if form == "mermaid":
            out.write(forms.mermaid(registry))
        else:
            document = forms.jsonschema(registry) if form == "jsonschema" else forms.validators(registry)
            json.dump(document, out, indent=2, ensure_ascii=False)
            out.write("\n")
    return 0
