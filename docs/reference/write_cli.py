"""Writes the help of every command into cli.md: `python docs/reference/write_cli.py`."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from integrity.cli import integrity

PAGE = Path(__file__).with_name("cli.md")


def names(command: click.Command, name: str) -> Iterator[str]:
    yield name
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from names(each, f"{name} {each.name}")


def help_of(name: str) -> str:
    outcome = CliRunner(env={"COLUMNS": "80"}).invoke(integrity, [*name.split()[1:], "--help"], prog_name="integrity")
    return f"```console\n$ {name} --help\n{outcome.output}```\n"


def main() -> None:
    page = PAGE.read_text()
    for name in names(integrity, "integrity"):
        block = re.compile(rf"```console\n\$ {re.escape(name)} --help\n.*?```\n", re.DOTALL)
        new = help_of(name)
        if block.search(page):
            page = block.sub(lambda _, new=new: new, page)
        else:
            page += f"\n## {name}\n\n{new}"
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
