"""`integrity rule`: what a rule finds, why it matters, and what to do."""

from __future__ import annotations

import click

from integrity.cli.failure import Failure


@click.command()
@click.argument("code", required=False)
def rule(code: str | None) -> None:
    """Explain the rule CODE, or list the rules.

    CODE may be a rule's name too, such as dangling-reference.
    """
    from integrity.report import rule_page
    from integrity.rules import RULES

    if code is None:
        click.echo(rule_page.listing(RULES))
        return
    found = next((each for each in RULES if code.upper() == each.code or code.lower() == each.name), None)
    if found is None:
        raise Failure(f"No rule has the code {code!r}; `integrity rule` lists them.")
    click.echo(rule_page.text(found))
