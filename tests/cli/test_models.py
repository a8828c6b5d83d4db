"""MODELS: what is imported, and what is said when it does not import."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_failures import NOWHERE, refused

CLASS = 'from integrity import Model\nclass Thing(Model, collection="things"):\n    id: int\n'


@pytest.fixture
def said(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """What the command says of a file with this text, without the file's name."""

    def run(text: str, name: str = "under_test.py") -> str:
        (tmp_path / name).write_text(text)
        monkeypatch.chdir(tmp_path)
        return refused(command("audit", name, "--uri", NOWHERE))

    return run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def (", "under_test.py does not import: line 1: invalid syntax."),
        ("import nosuch_thing", "line 1: ModuleNotFoundError: No module named 'nosuch_thing'."),
        ("x = 1\n1 / 0", "line 2: ZeroDivisionError: division by zero."),
        ("raise ValueError", "under_test.py does not import: line 1: ValueError."),
        ("raise SystemExit(0)", "under_test.py does not import: line 1: SystemExit: 0."),
        ("x = 1", "has no Model with a collection."),
        ("from .base import Model", "is part of a package (it imports relatively); give its dotted module instead."),
        ("from integrity import Model, Ref\nclass A(Model, collection='a'):\n    b: 1", "under_test.py"),
        (CLASS.replace('"things"', '""'), "Thing: collection='' is no name for a collection"),
        (CLASS.replace("id: int", "id: 'Nowhere'"), "Thing"),
        ("from integrity import Model\nclass A(Model, collection='a'):\n    ok: 'list[B]'\n", "'B'"),
        ("from integrity import Model\nclass A(Model, collection='a'):\n    t: complex\n", "complex numbers"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(said: object, text: str, expected: str) -> None:
    assert callable(said)
    assert expected in said(text)


def test_declarations_that_contradict_each_other_name_both_sides(said: object) -> None:
    assert callable(said)
    text = (
        "from typing import Annotated\nfrom integrity import Model, Ref\n"
        "class Customer(Model, collection='customers'):\n    id: int\n    name: str\n"
        "class Order(Model, collection='orders'):\n    customer: Annotated[str, Ref(Customer, field='name')]\n"
    )
    assert "Order.customer refers to Customer.name, which is not unique" in said(text)


def test_a_file_or_module_that_is_not_there(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(command("audit", "nowhere.py", "--uri", NOWHERE)) == "There is no file nowhere.py."
    assert refused(command("audit", "no.where", "--uri", NOWHERE)) == "There is no module no.where."
    assert "neither a dotted module nor a .py file" in refused(command("audit", "my models", "--uri", NOWHERE))


def test_a_module_that_cannot_import_another_is_not_said_to_be_missing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imports_a_lot.py").write_text("import nosuch_thing\n")
    monkeypatch.chdir(tmp_path)
    said = refused(command("audit", "imports_a_lot", "--uri", NOWHERE))
    assert said == "imports_a_lot does not import: line 1: ModuleNotFoundError: No module named 'nosuch_thing'."


def test_a_file_may_import_what_is_beside_it_and_annotate_lazily(command: Command, tmp_path: Path) -> None:
    (tmp_path / "beside_the_models.py").write_text("SIZE = 3\n")
    (tmp_path / "lazily.py").write_text(
        "from __future__ import annotations\nfrom beside_the_models import SIZE\nfrom integrity import Model\n"
        "class Leaf(Model):\n    size: int = SIZE\n"
        "class Tree(Model, collection='trees'):\n    leaves: list[Leaf]\n"
    )
    said = refused(command("audit", tmp_path / "lazily.py", "--uri", NOWHERE))
    assert said.startswith("No MongoDB server answered")


def test_a_file_of_a_package_may_import_from_it_by_its_full_name(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "a_package_of_the_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sizes.py").write_text("SIZE = 3\n")
    (package / "models.py").write_text(f"from a_package_of_the_test.sizes import SIZE\n{CLASS}")
    monkeypatch.chdir(tmp_path)
    said = refused(command("audit", "a_package_of_the_test/models.py", "--uri", NOWHERE))
    assert said.startswith("No MongoDB server answered")


def test_a_file_with_the_name_of_a_module_of_pythons_is_still_the_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(CLASS)
    assert refused(command("audit", tmp_path / "json.py", "--uri", NOWHERE)).startswith("No MongoDB server")
    assert sys.modules["json"] is json
