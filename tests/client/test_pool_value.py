"""`Pool` refuses what is impossible when it is written down, and says what to write instead."""

import dataclasses
import pickle
from typing import Any

import pytest
from pymongo.errors import ConfigurationError

from integrity.client import Pool
from integrity.errors import PoolSettingError


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"size": -1}, "number of connections"),
        ({"size": 2.5}, "number of connections"),
        ({"size": True}, "number of connections"),
        ({"size": 0, "max_overflow": 0}, "no connection at all"),
        ({"max_overflow": -1}, "number of connections"),
        ({"change_streams": -1}, "number of connections"),
        ({"timeout": -0.1}, "finite number of seconds"),
        ({"timeout": None}, "finite number of seconds"),
        ({"timeout": float("inf")}, "finite number of seconds"),
        ({"timeout": float("nan")}, "finite number of seconds"),
        ({"timeout": "5"}, "finite number of seconds"),
        ({"connect_timeout": 0}, "above 0"),
        ({"server_selection_timeout": 0}, "above 0"),
        ({"operation_timeout": 0}, "above 0"),
        ({"heartbeat": 0.1}, "0.5 s"),
        ({"max_idle": None}, "strict_overflow=True"),
        ({"max_idle": 1.0}, "2 s or more"),
        ({"warm_up": 1}, "True or False"),
        ({"strict_overflow": "yes"}, "True or False"),
        ({"compressors": ("lz4",)}, "none of zlib, snappy, zstd"),
        ({"compressors": ("snappy",)}, "needs the package snappy"),
        ({"read_concern": "eventual"}, "none of local"),
        ({"write_concern": 0}, "nobody confirms"),
        ({"write_concern": ""}, "nobody confirms"),
        ({"write_concern": -1}, "from 1"),
        ({"application_name": "x" * 129}, "128 bytes"),
    ],
)
def test_an_impossible_value_is_refused_with_its_name_and_the_way_out(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(PoolSettingError, match=words) as caught:
        Pool(**setting)
    assert next(iter(setting)) in str(caught.value)
    assert isinstance(caught.value, ConfigurationError | ValueError)


def test_an_unknown_field_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="pool_size"):
        Pool(pool_size=3)  # type: ignore[call-arg]  # this is the fault


def test_the_default_is_twenty_and_thirty_more_for_five_seconds() -> None:
    pool = Pool()
    assert (pool.size, pool.max_overflow, pool.limit, pool.timeout) == (20, 30, 50, 5.0)
    assert (pool.read_concern, pool.write_concern) == ("majority", "majority")


def test_a_pool_is_a_value() -> None:
    pool = Pool(size=3, compressors=["zlib"])  # type: ignore[arg-type]  # what people write
    assert pool == Pool(size=3, compressors=("zlib",))
    assert hash(pool) == hash(Pool(size=3, compressors=("zlib",)))
    assert pickle.loads(pickle.dumps(pool)) == pool  # noqa: S301 - our own
    assert pickle.loads(pickle.dumps(pool)).said == {"size", "compressors"}  # noqa: S301 - our own
    assert dataclasses.replace(pool, size=4).size == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        pool.size = 4  # type: ignore[misc]  # this is the fault


def test_the_names_that_sqlalchemy_has_mean_the_same() -> None:
    pool = Pool.from_sqlalchemy(
        pool_size=7, max_overflow=3, pool_timeout=2.5, pool_recycle=600, pool_pre_ping=True, pool_use_lifo=True
    )
    assert pool == Pool(size=7, max_overflow=3, timeout=2.5, max_idle=600)
    assert Pool.from_sqlalchemy(pool_recycle=-1, pool_pre_ping=False) == Pool()
    assert Pool.from_sqlalchemy(pool_size=7, strict_overflow=True) == Pool(size=7, strict_overflow=True)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"pool_size": 0}, "no limit in SQLAlchemy"),
        ({"max_overflow": -1}, "no limit in SQLAlchemy"),
        ({"pool_use_lifo": False}, "used last"),
        ({"pool_reset_on_return": "rollback"}, "nothing to reset"),
        ({"poolclass": object}, "PyMongo's client owns"),
        ({"echo_pool": True}, "pymongo.connection"),
        ({"pool_pre_ping": "often"}, "no setting"),
        ({"pool_sze": 5}, "no setting"),
    ],
)
def test_what_has_no_counterpart_in_mongodb_is_refused_with_the_reason(option: dict[str, Any], reason: str) -> None:
    with pytest.raises(PoolSettingError, match=reason):
        Pool.from_sqlalchemy(**option)
