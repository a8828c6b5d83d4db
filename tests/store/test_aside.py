"""One more thread, for what is done while a blocking caller waits."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from integrity.store import aside
from integrity.store.aside import Aside

NAME: ContextVar[str] = ContextVar("name", default="nobody's")


def _threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "integrity-aside"]


def test_it_does_one_thing_beside_its_caller() -> None:
    thread = Aside()
    job = thread.begin(threading.get_ident)
    assert job is not None
    first = job.outcome()
    assert first not in {None, threading.get_ident()}
    again = thread.begin(threading.get_ident)
    assert again is not None
    assert again.outcome() == first, "the same thread"


def test_who_finds_it_taken_does_without() -> None:
    thread, held = Aside(), threading.Event()
    job = thread.begin(lambda: held.wait(10))
    assert job is not None
    assert thread.begin(lambda: 1) is None
    held.set()
    assert job.outcome() is True
    assert _soon(thread) == 2


def _soon(thread: Aside) -> int | None:
    """It is free as soon as the outcome is told."""
    job = thread.begin(lambda: 2)
    return None if job is None else job.outcome()


def test_what_goes_wrong_is_nothing() -> None:
    thread = Aside()
    for error in (ValueError, KeyboardInterrupt):

        def fail(error: type[BaseException] = error) -> int:
            raise error

        job = thread.begin(fail)
        assert job is not None
        assert job.outcome() is None
    assert _soon(thread) == 2


def test_it_goes_in_its_callers_context() -> None:
    NAME.set("mine")
    job = Aside().begin(NAME.get)
    assert job is not None
    assert job.outcome() == "mine"


def test_it_ends_when_nobody_comes_and_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "IDLE", 0.05)
    thread = Aside()
    before = len(_threads())
    job = thread.begin(lambda: 1)
    assert job is not None
    assert job.outcome() == 1
    assert len(_threads()) == before + 1
    until = time.monotonic() + 10
    while len(_threads()) > before and time.monotonic() < until:
        time.sleep(0.01)
    assert len(_threads()) == before
    assert _soon(thread) == 2


def test_it_is_not_lost_between_two_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it ends as somebody comes."""
    monkeypatch.setattr(aside, "IDLE", 0.001)
    thread = Aside()
    for number in range(300):
        job = thread.begin(lambda number=number: number)  # type: ignore[misc]  # bound now
        if job is not None:
            assert job.outcome() == number
        time.sleep(0.001)
    assert _soon(thread) in {2, None}


def test_a_fork_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    thread, held = Aside(), threading.Event()
    job = thread.begin(lambda: held.wait(10))
    assert job is not None
    monkeypatch.setattr(thread, "_process", -1)  # as the child finds it: taken, by a thread that is not there
    assert _soon(thread) == 2
    held.set()
    assert job.outcome() is True


def test_where_no_thread_can_be_started_it_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    thread = Aside()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none)
        assert thread.begin(lambda: 1) is None
    assert _soon(thread) == 2
