"""The client: a pool that means what it says, its gate, its statistics, one per process.

What a facade needs::

    opened = open_client(uri, pool)          # or open_async_client, open_motor_client
    store = BlockingStore(opened.client[name], opened.gate)
    db.pool = opened                         # .stats(), .warm(), .close(), .settings, .streams

A change stream holds a connection as long as it is open, so it takes no permit of the gate but a place in its own
budget: ``with opened.streams.permit():``, or ``place = opened.streams.enter()`` and, when it closes, ``.leave(place)``.

What code that talks to the driver beside the store needs, such as a cursor that a user iterates::

    with gate.permit():                      # async with gate.permit(): for an asynchronous client
        batch = cursor.to_list(100)          # one round trip, or a few in a row on one connection

A permit is held around a round trip and never between two of them, never while the caller's own code runs, and
never inside another permit (fifty that each wait for a second one would wait for each other). Where there is no
gate (a database that the application opened itself), `NO_GATE` and `NO_ASYNC_GATE` let everybody pass.
"""

from integrity.client.gate import NO_GATE, Gate, OpenGate
from integrity.client.gate_async import NO_ASYNC_GATE, AsyncGate, OpenAsyncGate
from integrity.client.motor import open_motor_client
from integrity.client.opening import AsyncClientPool, ClientPool, open_async_client, open_client
from integrity.client.pool import Pool
from integrity.client.statistics import PoolStats, ServerStats, Spread

__all__ = [
    "NO_ASYNC_GATE",
    "NO_GATE",
    "AsyncClientPool",
    "AsyncGate",
    "ClientPool",
    "Gate",
    "OpenAsyncGate",
    "OpenGate",
    "Pool",
    "PoolStats",
    "ServerStats",
    "Spread",
    "open_async_client",
    "open_client",
    "open_motor_client",
]
