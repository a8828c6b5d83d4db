"""A given folder is kept, and found again whatever happened to the server in between."""

import signal
import stat
from pathlib import Path

import pytest
from pymongo import MongoClient

from integrity.embedded import Mongod, MongodFailed, server
from integrity.embedded.folder import Folder
from integrity.embedded.ports import free_ports

Thing = dict[str, object]


def store(mongod: Mongod, value: str) -> None:
    with MongoClient[Thing](mongod.uri) as client:
        client.database.things.insert_one({"_id": value})


def stored(mongod: Mongod) -> list[object]:
    with MongoClient[Thing](mongod.uri) as client:
        return [each["_id"] for each in client.database.things.find().sort("_id")]


def test_a_second_start_finds_the_data_though_the_port_is_another(tmp_path: Path) -> None:
    with Mongod(tmp_path) as first:
        store(first, "a")
        port = first.members[0].port
    with Mongod(tmp_path) as second:
        assert second.members[0].port != port
        store(second, "b")
        assert stored(second) == ["a", "b"]


def test_a_server_that_was_killed_recovers(tmp_path: Path) -> None:
    """SIGKILL leaves mongod.lock behind, with the id of a process that is no more."""
    with Mongod(tmp_path) as first:
        store(first, "a")
        first.kill(first.members[0])
    assert (tmp_path / "member-0" / "mongod.lock").read_text().strip()
    with Mongod(tmp_path) as second:
        assert stored(second) == ["a"]


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_the_number_of_members_may_change(tmp_path: Path, before: int, after: int) -> None:
    with Mongod(tmp_path, members=before) as first:
        store(first, "a")
    with Mongod(tmp_path, members=after) as second:
        assert len(second.members) == after
        assert stored(second) == ["a"]


def test_a_standalone_folder_may_become_a_replica_set(tmp_path: Path) -> None:
    with Mongod(tmp_path, standalone=True) as first:
        store(first, "a")
    with Mongod(tmp_path) as second:
        assert stored(second) == ["a"]


def test_with_auth_the_password_is_kept_where_only_the_owner_reads(tmp_path: Path) -> None:
    with Mongod(tmp_path, auth=True) as first:
        store(first, "a")
        uri = first.uri
    secrets = list((tmp_path / "auth").iterdir())
    assert {stat.S_IMODE(each.stat().st_mode) for each in secrets} == {0o600}
    with Mongod(tmp_path, auth=True) as second:
        assert stored(second) == ["a"]
        assert second.uri.split("@")[0] == uri.split("@")[0]


def test_a_secret_that_a_killed_program_did_not_come_to_write_is_written(tmp_path: Path) -> None:
    folder = Folder.prepare(tmp_path)
    for name in ("key", "password"):
        folder.key_file().with_name(name).write_text("")
    assert len(folder.key_file().read_text()) > 100
    assert len(folder.password()) > 20
    assert folder.password() == Folder.prepare(tmp_path).password()


def test_two_servers_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FOLDER_PATIENCE", 0.0)
    with Mongod(tmp_path) as first:
        with pytest.raises(MongodFailed, match="DBPathInUse"):
            Mongod(tmp_path).start()
        store(first, "still here")
        assert stored(first) == ["still here"]


def test_a_port_that_was_taken_meanwhile_is_given_up_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Mongod(standalone=True) as other:
        taken = other.members[0].port
        offers = [[taken], [taken]]
        monkeypatch.setattr(server, "free_ports", lambda count: offers.pop() if offers else free_ports(count))
        with Mongod(tmp_path, standalone=True) as mine:
            assert mine.members[0].port != taken
            assert offers == []


def test_the_log_is_kept_and_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        with Mongod(tmp_path, standalone=True):
            pass
    log = (tmp_path / "member-0" / "mongod.log").read_text()
    assert log.count(server.LISTENING) == 2
    assert str(signal.SIGTERM.value) in log  # it was asked to end, not killed
