"""Roles: the server itself refuses an actor's credentials on what it does not own, and lets it do what it does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pymongo import MongoClient
from pymongo.errors import OperationFailure

import integrity
from integrity.cli import integrity as command
from integrity.declare.registry import Registry
from integrity.embedded import Mongod
from integrity.errors import DeclarationError
from integrity.server.roles import roles
from tests.ownership.library import MODELS, Author, Award, Book, Loan

PLACE = str(Path(__file__).with_name("library.py"))
UNAUTHORIZED = 13


@pytest.fixture(scope="module")
def locked() -> Iterator[Mongod]:
    """A server on which everybody must log in, with a user of each actor's role."""
    with Mongod(auth=True) as server:
        applied = CliRunner().invoke(command, ["roles", PLACE, "--apply", "--uri", server.uri, "-d", "library"])
        assert (applied.exit_code, applied.stderr.count("created")) == (0, 5), applied.output
        again = CliRunner().invoke(command, ["roles", PLACE, "--apply", "--uri", server.uri, "-d", "library"])
        assert again.stderr.count("changed") == 5
        with MongoClient[dict[str, Any]](server.uri) as root:
            integrity.Database(root["library"], models=MODELS).apply()
            for each in roles(Registry(MODELS)):
                root["library"].command("createUser", each.actor, pwd="x", roles=[each.name])
        yield server


def signed_in(server: Mongod, actor: str) -> MongoClient[dict[str, Any]]:
    host, port = server.uri.split("@")[1].split("/")[0].split(":")
    return MongoClient(host, int(port), username=actor, password="x", authSource="library", directConnection=True)


def test_an_actor_writes_what_it_owns_and_its_copies_follow(locked: Mongod) -> None:
    def acting(actor: str) -> integrity.Database:
        return integrity.Database(clients[actor]["library"], models=MODELS, actor=actor)

    clients = {actor: signed_in(locked, actor) for actor in ("archive", "catalogue", "desk", "critics", "jury")}
    try:
        acting("archive")[Author].insert_one({"_id": 1, "name": "Ada", "handle": "ada", "born": 1815})
        acting("catalogue")[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
        acting("desk")[Loan].insert_one({"_id": 1, "book_id": 1, "items": [{"book_id": 1}]})
        acting("jury")[Award].insert_one({"_id": 1, "handle": "ada"})
        acting("archive")[Author].update_one({"_id": 1}, {"$set": {"name": "Ada L.", "handle": "al"}})
        acting("critics")[Author].update_one({"_id": 1}, {"$set": {"rating": 5}})
        loan = clients["desk"]["library"]["loans"].find_one()
        assert loan is not None
        assert loan["author"] == "Ada L."
        acting("archive")[Author].delete_one({"_id": 1})
        assert clients["jury"]["library"]["awards"].count_documents({}) == 0
    finally:
        for each in clients.values():
            each.close()


@pytest.mark.parametrize(
    ("actor", "foreign"),
    [
        ("critics", "books"),
        ("critics", "loans"),
        ("critics", "awards"),
        ("desk", "authors"),
        ("desk", "books"),
        ("jury", "authors"),
        ("jury", "loans"),
        ("catalogue", "authors"),
        ("catalogue", "awards"),
        ("desk", "integrity.stages"),
        ("desk", "anything"),
    ],
)
def test_the_server_refuses_what_it_does_not_own(locked: Mongod, actor: str, foreign: str) -> None:
    with signed_in(locked, actor) as client:
        collection = client["library"][foreign]
        for write in (
            lambda: collection.insert_one({"x": 1}),
            lambda: collection.update_one({}, {"$set": {"x": 1}}),
            lambda: collection.delete_one({}),
        ):
            with pytest.raises(OperationFailure) as caught:
                write()
            assert caught.value.code == UNAUTHORIZED


def test_a_field_owner_updates_and_neither_inserts_nor_deletes(locked: Mongod) -> None:
    with signed_in(locked, "critics") as client:
        authors = client["library"]["authors"]
        authors.update_one({"_id": 77}, {"$set": {"rating": 1}})
        for write in (lambda: authors.insert_one({}), lambda: authors.delete_one({})):
            with pytest.raises(OperationFailure, match="not authorized"):
                write()
        with pytest.raises(OperationFailure, match="not authorized"):
            client["library"]["integrity.pins"].delete_many({})


def test_roles_are_printed_with_their_reasons_and_as_commands() -> None:
    text = CliRunner().invoke(command, ["roles", PLACE, "--actor", "archive"]).output
    assert "author follows authors.name" in text
    assert "is deleted with authors, by handle" in text
    script = CliRunner().invoke(command, ["roles", PLACE, "-f", "mongosh"]).output
    assert script.count("db.createRole(") == 5
    with pytest.raises(DeclarationError, match="their actors are archive, catalogue"):
        roles(Registry(MODELS), "nobody")


def test_a_privilege_names_its_database() -> None:
    """As JSON it goes into `createRole`, to which no name means the collections of every database."""
    unnamed = CliRunner().invoke(command, ["roles", PLACE, "-f", "json"], env={"MONGODB_URI": None})
    assert (unnamed.exit_code, "add --database NAME" in unnamed.output) == (2, True)
    for named in (["-d", "library"], ["--uri", "mongodb://127.0.0.1/library"]):
        found = json.loads(CliRunner().invoke(command, ["roles", PLACE, "-f", "json", *named]).output)
        databases = {each["resource"]["db"] for role in found.values() for each in role["privileges"]}
        assert databases == {"library"}


def test_a_role_that_another_process_has_just_created_is_changed(
    client: MongoClient[dict[str, Any]], uri: str, database_name: str
) -> None:
    where = ["roles", PLACE, "--actor", "archive", "--apply", "--uri", uri, "-d", database_name]
    assert "created" in CliRunner().invoke(command, where).output
    late = {"failCommands": ["updateRole"], "errorCode": 31}
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": late})
    try:
        second = CliRunner().invoke(command, where)
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        client[database_name].command("dropAllRolesFromDatabase")
    assert second.exception is None
    assert "integrity-archive: changed" in second.output
