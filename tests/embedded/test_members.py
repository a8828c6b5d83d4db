"""Three members elect; with auth nobody gets in without the password."""

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from integrity.embedded import Mongod

Thing = dict[str, object]


@pytest.mark.slow
def test_when_the_primary_is_killed_another_takes_over_and_the_old_one_comes_back(
    replica: Mongod,
) -> None:
    old = replica.primary()
    with MongoClient[Thing](replica.uri, w="majority") as client:
        client.database.things.insert_one({"_id": "before"})
        replica.kill(old)
        new = replica.primary()
        assert new.index != old.index
        client.database.things.insert_one({"_id": "after"})
        back = replica.restart(old)
        assert (back.index, back.port) == (old.index, old.port)
        assert back.pid != old.pid
        assert client.database.things.count_documents({}) == 2
    assert back in replica.members


@pytest.mark.slow
def test_three_members_with_auth_trust_each_other_and_nobody_else() -> None:
    with Mongod(members=3, auth=True) as server:
        refuses_strangers(server)
        with MongoClient[Thing](server.uri, w=3) as client:
            client.database.things.insert_one({"_id": 1})


@pytest.mark.parametrize("standalone", [True, False])
def test_with_auth_an_anonymous_write_is_refused(standalone: bool) -> None:
    with Mongod(auth=True, standalone=standalone) as server:
        refuses_strangers(server)
        with MongoClient[Thing](server.uri) as client:
            client.database.things.insert_one({"_id": 1})


def test_the_repr_says_where_and_what_and_never_the_password() -> None:
    server = Mongod(auth=True, standalone=True)
    assert repr(server) == "<Mongod not running, standalone, auth>"
    with server:
        password = server.uri.partition("root:")[2].partition("@")[0]
        assert len(password) >= 24
        assert password not in repr(server)
        assert repr(server) == f"<Mongod {server.members[0].address}, standalone, auth>"


def refuses_strangers(server: Mongod) -> None:
    member = server.primary()
    with (
        MongoClient[Thing]("127.0.0.1", member.port, directConnection=True) as stranger,
        pytest.raises(OperationFailure, match="requires authentication"),
    ):
        stranger.database.things.insert_one({"_id": 1})
