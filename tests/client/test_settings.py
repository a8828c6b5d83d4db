"""A setting comes from the keyword, the URI, the environment or the default, and never from two that disagree."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrity.client import Pool, open_client
from integrity.client.settings import settle
from integrity.errors import PoolSettingError

HOST = "mongodb://user:secret@db.example/shop"


def settled(
    query: str = "", pool: Pool | None = None, environment: dict[str, str] | None = None, **options: Any
) -> Pool:
    return settle(f"{HOST}?{query}", pool or Pool(), options, environment or {}).pool


def test_the_first_place_that_says_something_decides() -> None:
    environment = {"INTEGRITY_POOL_SIZE": "5", "INTEGRITY_POOL_TIMEOUT": "1.5", "PATH": "/bin"}
    assert settled().size == 20
    assert settled(environment=environment).size == 5
    assert settled("minPoolSize=6", environment=environment).size == 6
    assert settled(environment=environment, pool=Pool(size=7)).size == 7
    assert settled(environment=environment, minPoolSize=8).size == 8
    assert settled("minPoolSize=6", environment=environment).timeout == 1.5


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ("minPoolSize=7", "size", 7),
        ("waitQueueTimeoutMS=250", "timeout", 0.25),
        ("maxIdleTimeMS=60000", "max_idle", 60.0),
        ("serverSelectionTimeoutMS=2000", "server_selection_timeout", 2.0),
        ("connectTimeoutMS=3000", "connect_timeout", 3.0),
        ("timeoutMS=4000", "operation_timeout", 4.0),
        ("heartbeatFrequencyMS=5000", "heartbeat", 5.0),
        ("retryReads=false", "retry_reads", False),
        ("retryWrites=false", "retry_writes", False),
        ("compressors=zlib", "compressors", ("zlib",)),
        ("readConcernLevel=local", "read_concern", "local"),
        ("w=2", "write_concern", 2),
        ("w=backup", "write_concern", "backup"),
        ("appName=shop%20front", "application_name", "shop front"),
        ("MINPOOLSIZE=7", "size", 7),
    ],
)
def test_the_uri_speaks_pymongos_words(query: str, field: str, value: object) -> None:
    assert getattr(settled(query), field) == value
    name, _, text = query.replace("%20", " ").partition("=")
    assert getattr(settle(HOST, Pool(), {name: text}, {}).pool, field) == value


@pytest.mark.parametrize(
    ("query", "pool", "options", "both"),
    [
        ("minPoolSize=10", Pool(size=20), {}, ("Pool(size=20)", "minPoolSize=10")),
        ("minPoolSize=10", Pool(), {"minPoolSize": 11}, ("minPoolSize=11", "minPoolSize=10")),
        ("", Pool(timeout=1.0), {"waitQueueTimeoutMS": 5000}, ("Pool(timeout=1.0)", "waitQueueTimeoutMS=5000")),
        ("w=1", Pool(write_concern="majority"), {}, ("Pool(write_concern='majority')", "w=1")),
        ("maxPoolSize=100", Pool(size=20, max_overflow=30), {}, ("maxPoolSize=100", "size=20 with max_overflow=30")),
        ("maxPoolSize=10", Pool(size=20), {}, ("maxPoolSize=10", "size=20")),
        ("maxPoolSize=10", Pool(max_overflow=20), {}, ("maxPoolSize=10", "max_overflow=20")),
        ("maxPoolSize=10", Pool(), {"maxPoolSize": 11}, ("maxPoolSize=11", "maxPoolSize=10")),
    ],
)
def test_two_places_that_disagree_are_refused_with_both_values(
    query: str, pool: Pool, options: dict[str, Any], both: tuple[str, str]
) -> None:
    with pytest.raises(PoolSettingError) as caught:
        settled(query, pool, **options)
    for each in both:
        assert each in str(caught.value)
    assert "secret" not in str(caught.value)


def test_two_places_that_agree_are_fine() -> None:
    assert settled("minPoolSize=20&maxPoolSize=50&waitQueueTimeoutMS=5000", Pool(size=20, max_overflow=30)) == Pool()


@given(limit=st.integers(1, 500), size=st.none() | st.integers(0, 500), overflow=st.none() | st.integers(0, 500))
def test_pymongos_max_pool_size_is_size_and_overflow_or_refused(
    limit: int, size: int | None, overflow: int | None
) -> None:
    said: dict[str, Any] = {
        name: value for name, value in (("size", size), ("max_overflow", overflow)) if value is not None
    }
    if said.get("size", 1) + said.get("max_overflow", 1) == 0:
        return
    try:
        pool = settled(f"maxPoolSize={limit}", Pool(**said))
    except PoolSettingError:
        assert (size if size is not None else 0) + (overflow if overflow is not None else 0) != limit
        assert said
    else:
        assert pool.limit == limit
        assert all(getattr(pool, name) == value for name, value in said.items())


@pytest.mark.parametrize(
    ("query", "environment", "named"),
    [
        ("minPoolSize=many", {}, "minPoolSize=many"),
        ("maxPoolSize=0", {}, "maxPoolSize=0"),
        ("", {"INTEGRITY_POOL_SIZE": "many"}, "INTEGRITY_POOL_SIZE='many'"),
        ("", {"INTEGRITY_POOL_SZE": "5"}, "INTEGRITY_POOL_SZE"),
        ("", {"INTEGRITY_POOL_WARM_UP": "perhaps"}, "INTEGRITY_POOL_WARM_UP='perhaps'"),
        ("w=0", {}, "write_concern=0"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(query: str, environment: dict[str, str], named: str) -> None:
    with pytest.raises(PoolSettingError) as caught:
        settled(query, environment=environment)
    assert named in str(caught.value)


def test_the_environment_sets_every_kind_of_field() -> None:
    environment = {
        "INTEGRITY_POOL_WARM_UP": "yes",
        "INTEGRITY_POOL_STRICT_OVERFLOW": "true",
        "INTEGRITY_POOL_MAX_IDLE": "none",
        "INTEGRITY_POOL_WRITE_CONCERN": "2",
        "INTEGRITY_POOL_COMPRESSORS": "zlib",
        "INTEGRITY_POOL_APPLICATION_NAME": "shop",
    }
    pool = settled(environment=environment)
    assert (pool.warm_up, pool.strict_overflow, pool.max_idle) == (True, True, None)
    assert (pool.write_concern, pool.compressors, pool.application_name) == (2, ("zlib",), "shop")


def test_the_driver_gets_what_was_decided_and_no_wait_of_its_own(uri: str) -> None:
    """The gate is where one waits: a timeout of the driver's would count the opening of connections too."""
    query = "maxPoolSize=9&waitQueueTimeoutMS=50&socketTimeoutMS=7000"
    separator = "&" if "?" in uri else "/?"
    with open_client(f"{uri}{separator}{query}", Pool(size=4), appName="mine") as opened:
        options = opened.client.options.pool_options
        assert (options.min_pool_size, options.max_pool_size, options.max_connecting) == (4, 9, 5)
        assert options.wait_queue_timeout is None
        assert options.socket_timeout == 7.0
        assert options.appname == "mine"
        assert opened.settings.timeout == 0.05
        assert opened.client.write_concern.document == {"w": "majority"}
        assert opened.client.read_concern.level == "majority"
