"""What stands at the top of a module is used by the library, or promised by its documentation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "integrity"


def named(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a module makes, but for dunders and what a decorator registers."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        if not statement.decorator_list:
            yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (each.id for each in targets if isinstance(each, ast.Name) and not each.id.startswith("__"))


def test_no_name_is_left_that_nothing_but_tests_and_exports_uses() -> None:
    made: dict[str, str] = {}
    used: set[str] = set()
    for module in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(module.read_text())
        made |= {name: module.relative_to(ROOT).as_posix() for each in tree.body for name in named(each)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and module.name != "__init__.py":
                used.add(str(node.value))  # an annotation in quotes, a command that is imported by its name
    promised = "\n".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    left = {name: where for name, where in made.items() if name not in used}
    assert len(made) > 1000
    assert {name: where for name, where in left.items() if not re.search(rf"import .*\b{name}\b", promised)} == {}
