"""The fenced blocks of a page of documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)``` *$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: The file.
        line: The line of its first line of code.
        language: The first word after the fence.
        options: The other words.
        code: What stands between the fences, without their indentation.
        follows: Whether nothing but white space stands between it and the block before it.
    """

    page: Path
    line: int
    language: str
    options: tuple[str, ...]
    code: str
    follows: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """README.md and every page under docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    text = page.read_text()
    end = 0
    for found in _FENCE.finditer(text):
        language, *options = found["info"].split() or [""]
        indent = found["indent"]
        code = "".join(line.removeprefix(indent) for line in found["body"].splitlines(keepends=True))
        line = text.count("\n", 0, found.start("body")) + 1
        yield Block(page, line, language, tuple(options), code, follows=not text[end : found.start()].strip())
        end = found.end()
