"""The gate for threads: counted, fair, and never losing a permit."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pymongo
import pytest
from pymongo.errors import ConnectionFailure, PyMongoError

from integrity.client import Gate
from integrity.errors import IntegrityError, PoolTimeout
from tests.interrupting import each_moment


@contextmanager
def held(gate: Gate, number: int) -> Iterator[None]:
    """Hold permits of a gate."""
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(gate.permit())
        yield


def waiting(gate: Gate, number: int) -> None:
    """Return when so many wait."""
    while gate.waiting != number:
        time.sleep(0.001)


def test_more_than_the_limit_wait_and_are_refused_with_every_figure() -> None:
    gate = Gate(2, 1, 0.05, lambda: (3, 0, 0))
    with held(gate, 3), pytest.raises(PoolTimeout) as caught, gate.permit():
        pass
    error = caught.value
    assert (error.size, error.overflow, error.in_use, error.idle, error.opening) == (2, 1, 3, 0, 0)
    assert (error.waiting, error.cause) == (1, "exhausted")
    assert error.waited >= 0.05
    for figure in ("pool of 2 + 1 overflow", "3 in use", "0 idle", "0 opening", "1 waiting", "Cause: exhausted"):
        assert figure in str(error)
    assert gate.in_use == 0


def test_a_refusal_is_a_timeout_and_of_pymongo_but_no_failed_connection() -> None:
    """The driver retries a ConnectionFailure: the caller would wait twice."""
    assert issubclass(PoolTimeout, TimeoutError)
    assert issubclass(PoolTimeout, PyMongoError)
    assert issubclass(PoolTimeout, IntegrityError)
    assert not issubclass(PoolTimeout, ConnectionFailure)


def test_those_who_wait_are_served_in_their_order() -> None:
    gate = Gate(1, 0, 10.0)
    order: list[int] = []

    def one(number: int) -> None:
        with gate.permit():
            order.append(number)

    threads = [threading.Thread(target=one, args=(number,), name=f"pool-test-{number}") for number in range(8)]
    with held(gate, 1):
        for number, thread in enumerate(threads, start=1):
            thread.start()
            waiting(gate, number)
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    assert gate.counts()[1].count == 8


def test_what_ends_a_transaction_goes_first() -> None:
    """It frees what the others wait for, connections on our side and locks on the server's."""
    gate = Gate(1, 0, 10.0)
    order: list[str] = []

    def one(name: str) -> None:
        with gate.urgent() if name == "commit" else gate.permit():
            order.append(name)

    threads = [threading.Thread(target=one, args=(name,), name="pool-test") for name in ("a", "b", "commit")]
    with held(gate, 1):
        for number, thread in enumerate(threads, start=1):
            thread.start()
            waiting(gate, number)
    for thread in threads:
        thread.join()
    assert order == ["commit", "a", "b"]


def test_a_permit_comes_back_whatever_is_raised_under_it() -> None:
    gate = Gate(1, 0, 0.01)
    with pytest.raises(ZeroDivisionError), gate.permit():
        raise ZeroDivisionError
    with gate.permit():
        assert gate.in_use == 1
    assert gate.in_use == 0


def test_ctrl_c_while_waiting_leaves_nothing_behind() -> None:
    gate = Gate(1, 0, 10.0)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        with held(gate, 1):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt), gate.permit():
                pass
            assert gate.waiting == 0
            assert gate.in_use == 1
    finally:
        signal.signal(signal.SIGALRM, former)
    assert gate.in_use == 0


def test_a_wait_ends_with_the_callers_own_deadline() -> None:
    """`with pymongo.timeout(...)` is a promise to the same caller, and the nearer of the two holds."""
    gate = Gate(1, 0, 30.0)
    with held(gate, 1), pymongo.timeout(0.05), pytest.raises(PoolTimeout) as caught, gate.permit():
        pass
    assert caught.value.waited < 30


def test_a_timeout_of_zero_refuses_at_once() -> None:
    gate = Gate(1, 0, 0.0)
    with held(gate, 1), pytest.raises(PoolTimeout), gate.permit():
        pass


@pytest.mark.parametrize(
    ("connected", "cause"),
    [(50, "exhausted"), (25, "exhausted"), (24, "connecting"), (0, "connecting")],
)
def test_the_cause_is_what_most_of_those_inside_wait_for(connected: int, cause: str) -> None:
    gate = Gate(20, 30, 0.0, lambda: (connected, 0, 50 - connected))
    with held(gate, 50), pytest.raises(PoolTimeout) as caught, gate.permit():
        pass
    assert caught.value.cause == cause
    assert f"Cause: {cause}." in str(caught.value)
    assert gate.counts()[2] == {cause: 1}


def test_under_load_of_many_threads_no_permit_is_lost_and_the_limit_holds() -> None:
    gate = Gate(3, 2, 10.0)
    inside, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with gate.permit():
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work, name="pool-test") for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 5
    assert (gate.in_use, gate.waiting) == (0, 0)
    assert gate.counts()[0] == 12 * 200


@pytest.mark.parametrize("kind", ["permit", "urgent"])
def test_ctrl_c_at_any_moment_loses_no_permit(kind: str) -> None:
    gate = Gate(1, 0, 0.0)

    def once() -> None:
        with getattr(gate, kind)():
            pass

    moments = 0
    for where in each_moment(once):
        assert (gate.in_use, gate.waiting) == (0, 0), where
        moments += 1
    assert moments > 5


def test_ctrl_c_where_a_permit_is_handed_over_loses_none() -> None:
    gate = Gate(1, 0, 10.0)
    served: list[int] = []

    def wait() -> None:
        with gate.permit():
            served.append(1)

    def once() -> None:
        with gate.permit():
            threads.append(threading.Thread(target=wait, name="pool-test"))
            threads[-1].start()
            waiting(gate, 1)

    threads: list[threading.Thread] = []
    for where in each_moment(once):
        for each in threads:
            each.join()
        assert (gate.in_use, gate.waiting) == (0, 0), where
    for each in threads:
        each.join()
    assert len(served) == len(threads)


def test_ctrl_c_while_a_permit_is_waited_for_loses_none() -> None:
    gate = Gate(1, 0, 10.0)

    def hold() -> None:
        with gate.permit():
            inside.set()
            while not gate.waiting and not gone.is_set():
                time.sleep(0.001)

    def once() -> None:
        holder = threading.Thread(target=hold, name="pool-test")
        holder.start()
        inside.wait()
        try:
            with gate.permit():
                pass
        finally:
            gone.set()
            holder.join()
            inside.clear()
            gone.clear()

    inside, gone = threading.Event(), threading.Event()
    for where in each_moment(once):
        assert (gate.in_use, gate.waiting) == (0, 0), where
