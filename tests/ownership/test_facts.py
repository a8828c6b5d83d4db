"""The map of facts, in every format, and the copies that data gives away."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Annotated, Any

import pytest
from click.testing import CliRunner
from pymongo import MongoClient

from integrity import Model, Ref
from integrity.cli import integrity as command
from integrity.cli import main
from integrity.declare.facts import facts as mapped
from integrity.declare.registry import Registry
from integrity.report import facts_as_svg

PLACE = str(Path(__file__).with_name("library.py"))


def facts(*arguments: str) -> str:
    return str(CliRunner().invoke(command, ["facts", PLACE, *arguments], catch_exceptions=False).stdout)


def test_text_says_who_owns_what_and_where_copies_come_from() -> None:
    text = facts()
    assert "authors (Author): owned by archive\n  _id, name, born, handle\n  rating: owned by critics" in text
    assert "  author: a copy of authors.name via author_id; owned by archive" in text
    assert "  author: a copy of books.author via book_id; which follows authors.name; owned by archive" in text
    assert "  items[].title: a copy of books.title via items[].book_id; owned by catalogue" in text
    assert "  handle: refers to authors.handle, on delete cascade" in text
    assert "  revision: counts the writes" in text


def test_json_dot_and_svg_say_the_same() -> None:
    found = {each["collection"]: each for each in json.loads(facts("-f", "json"))}
    author = next(each for each in found["loans"]["facts"] if each["path"] == "author")
    assert (author["kind"], author["source"], author["root"]) == ("copy", "books.author", "authors.name")
    dot = facts("-f", "dot")
    assert dot.count("style=dashed") == 6
    assert '"loans":"items[].book_id" -> "books":"_id" [label="restrict"];' in dot
    svg = ET.fromstring(facts("-f", "svg"))  # noqa: S314 - our own
    titles = [each.text for each in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert "awards.winner is a copy of authors.name via handle" in titles


def test_a_collection_may_have_another_ones_name_and_more() -> None:
    """Goes red when a line is drawn to the first collection whose name fits: it would end in the wrong box."""

    class Log(Model, collection="app"):
        id: int

    class User(Model, collection="app.users"):
        id: int

    class Visit(Model, collection="visits"):
        user: Annotated[int, Ref(User)]

    found = mapped(Registry([Log, User, Visit]))
    svg = facts_as_svg.write(found)
    boxes = re.findall(r'<rect x="(\d+)" y="(\d+)" width="270"', svg)
    line = re.search(r'class="r" d="M\d+ \d+ C.* (\d+) (\d+)"', svg)
    assert line is not None
    users = boxes[[each.name for each in found].index("app.users")]
    assert line[1] == users[0]
    assert int(line[2]) > int(users[1])


@pytest.mark.parametrize("output_format", ["text", "json"])
def test_undeclared_copies_are_suspected_from_data(
    client: MongoClient[dict[str, Any]],
    uri: str,
    database_name: str,
    tmp_path: Path,
    output_format: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw = client[database_name]
    raw["authors"].insert_many([{"_id": each, "name": f"N{each}", "city": f"C{each % 20}"} for each in range(50)])
    books = [
        {"_id": each, "author_id": each % 50, "author": f"N{each % 50}", "place": f"C{each % 50 % 20}"}
        for each in range(300)
    ]
    raw["books"].insert_many(books)
    raw["books"].update_many({"_id": {"$lt": 20}}, {"$set": {"author": "?!"}})
    models = tmp_path / "undeclared.py"
    models.write_text(
        "from typing import Annotated\nfrom integrity import Model, Ref\n"
        'class Author(Model, collection="authors"):\n    id: int\n    name: str\n    city: str\n'
        'class Book(Model, collection="books"):\n    id: int\n    author_id: Annotated[int, Ref(Author)]\n'
        "    author: str\n    place: str\n"
    )
    arguments = ["facts", str(models), "--suspect", "--uri", uri, "-d", database_name, "-f", output_format]
    assert main(arguments) == 1
    stdout = capsys.readouterr().out
    if output_format == "json":
        assert json.loads(stdout) == [
            {"copy": "books.place", "original": "authors.city", "via": "author_id", "agree": 1.0}
        ]
    else:
        assert stdout == "books.place agrees with authors.city via author_id in 100.0%\n1 suspected copy.\n"
