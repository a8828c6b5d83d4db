"""The commands of the documentation exist, with their options, and what they print of themselves is what is shown."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from integrity.cli import integrity
from tests.docs.page import ROOT, Block, blocks, pages

SHELLS = {"sh", "bash", "shell", "console"}
REFERENCE = ROOT / "docs" / "reference" / "cli.md"


def shown() -> Iterator[tuple[Block, str]]:
    """Every command `integrity ...` in a block for a shell."""
    for page in pages():
        for block in blocks(page):
            if block.language in SHELLS:
                for line in block.code.replace("\\\n", " ").splitlines():
                    text = re.sub(r"^\$ ", "", line.strip())
                    text = re.sub(r"^([A-Z_]+=\S+ )+", "", text)
                    if text.startswith("integrity "):
                        yield block, text


def walk(group: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, group
    if isinstance(group, click.Group):
        for each in group.commands.values():
            yield from walk(each, f"{name} {each.name}")


def test_every_command_that_a_page_shows_is_understood() -> None:
    found = list(shown())
    assert found
    for block, text in found:
        words = shlex.split(text, comments=True)[1:]
        words = words[: next((i for i, word in enumerate(words) if word in {"|", ">", "&&", ";"}), len(words))]
        _understood(words, block)


def _understood(words: list[str], block: Block) -> None:
    command: click.Command = integrity
    parent = click.Context(integrity, **integrity.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{block}: there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    try:
        command.make_context(command.name, words, parent=parent).close()
    except click.exceptions.Exit:  # --help and --version
        pass
    except click.ClickException as error:
        pytest.fail(f"{block}: {error.format_message()}")


@pytest.mark.parametrize(("name", "command"), list(walk(integrity, "integrity")), ids=str)
def test_the_reference_shows_the_help_of_every_command(name: str, command: click.Command) -> None:
    """`python docs/reference/write_cli.py` writes it anew."""
    words = name.split()[1:]
    outcome = CliRunner(env={"COLUMNS": "80"}).invoke(integrity, [*words, "--help"], prog_name="integrity")
    assert outcome.exit_code == 0
    pages_help = {
        block.code.partition("\n")[0]: block.code.partition("\n")[2]
        for block in blocks(REFERENCE)
        if block.language == "console"
    }
    assert pages_help.get(f"$ {name} --help") == outcome.output, "run python docs/reference/write_cli.py"


def test_every_link_to_a_file_leads_somewhere() -> None:
    link = re.compile(r"\[[^\]]*\]\((?!https?://|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages()
        for target in link.findall(page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    link = re.compile(r"\]\(([^)#\s]+\.md)")
    seen: set[Path] = set()
    ahead = [index]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        ahead += [(page.parent / target).resolve() for target in link.findall(page.read_text())]
    lost = [str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md") if page.resolve() not in seen]
    assert lost == []
