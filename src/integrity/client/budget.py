"""How many connections a deployment needs, and whether the server and the processes bear them: pure arithmetic.

Pools are per server: each process keeps one to every member of a replica set, with two connections more for the
driver's monitors. So a server sees, from all processes together::

    processes x clients x (size + max_overflow + change_streams + 2)   at most 80 % of its limit

and a process opens, to all members together::

    clients x members x (size + max_overflow + change_streams + 2)     at most its limit of open files

The fifth that is left is for the members' own connections, tools, backups, and the next deployment, which overlaps
with the last one while it is rolled out.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The driver's own to each server: one waits for news of the topology, one measures the round trip.
MONITORS = 2
#: The share of a server's limit that one deployment may take.
SHARE = 0.8
#: Memory of a connection on the server, https://www.mongodb.com/docs/manual/administration/production-notes/
MEGABYTES = 1
#: Above this share of the pool's limit in the mean, a burst of twice the mean finds it exhausted.
BUSY = 0.5


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What connects to what.

    Args:
        workers: Worker processes on each host.
        hosts: Hosts, pods or containers with so many workers each.
        processes: Further processes with the same pool: task workers, schedulers, consoles.
        clients: Clients in each process; `integrity.connect` shares one.
        members: Members of the replica set, or routers of the cluster.
        limit: Connections that one server accepts (``net.maxIncomingConnections``, or the provider's plan).
        size: ``Pool.size``.
        max_overflow: ``Pool.max_overflow``.
        change_streams: ``Pool.change_streams``.
        open_files: What ``ulimit -n`` says for a process. None: not known.
        operations: Operations a second, of all processes together. None: not known.
        latency: Seconds that an operation takes in the mean. None: not known.
        threads: Operations that one process can have under way: threads of a sync worker. None: not bounded.
    """

    workers: int = 1
    hosts: int = 1
    processes: int = 0
    clients: int = 1
    members: int = 1
    limit: int
    size: int = 20
    max_overflow: int = 30
    change_streams: int = 0
    open_files: int | None = None
    operations: float | None = None
    latency: float | None = None
    threads: int | None = None

    @property
    def all_processes(self) -> int:
        """Every process that connects."""
        return self.workers * self.hosts + self.processes

    @property
    def persistent(self) -> int:
        """Connections of one client to one server at rest."""
        return self.size + self.change_streams + MONITORS

    @property
    def most(self) -> int:
        """Connections of one client to one server at most."""
        return self.persistent + self.max_overflow


@dataclass(frozen=True)
class Check:
    """One thing that has to fit.

    Args:
        name: What is counted.
        used: How many are needed at most.
        allowed: How many there may be.
        sum: The multiplication, spelled out.
        knob: What to turn when it does not fit.
    """

    name: str
    used: float
    allowed: float
    sum: str
    knob: str

    @property
    def fits(self) -> bool:
        """Whether it does."""
        return self.used <= self.allowed


@dataclass(frozen=True)
class Plan:
    """The budget: what was checked, and what follows from it.

    Args:
        checks: What has to fit.
        notes: What is worth knowing besides.
    """

    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether everything does."""
        return all(each.fits for each in self.checks)


def plan(deployment: Deployment) -> Plan:
    """Return the budget of a deployment."""
    checks = [_incoming(deployment)]
    if deployment.open_files is not None:
        checks.append(_outgoing(deployment, deployment.open_files))
    notes = [_at_rest(deployment), _memory(deployment)]
    if deployment.operations is not None and deployment.latency is not None:
        little = _little(deployment, deployment.operations, deployment.latency)
        checks.append(little)
        if little.fits and little.used > deployment.size:
            notes.append(
                f"{little.used:.1f} operations are under way in the mean, more than size={deployment.size}: overflow "
                "connections would be opened and closed all the time. Raise size and lower max_overflow as much."
            )
    if deployment.threads is not None and deployment.size > deployment.threads:
        notes.append(
            f"A process with {deployment.threads} threads has so many operations under way at most: "
            f"size={deployment.threads} and max_overflow=0 serve it as well as size={deployment.size}."
        )
    return Plan(tuple(checks), tuple(notes))


def largest(deployment: Deployment) -> int:
    """Return the largest ``size + max_overflow`` that the server's limit and the open files bear; below 1: none."""
    clients = deployment.all_processes * deployment.clients
    fixed = MONITORS + deployment.change_streams
    bounds = [int(deployment.limit * SHARE) // clients - fixed]
    if deployment.open_files is not None:
        bounds.append(deployment.open_files // (deployment.clients * deployment.members) - fixed)
    return min(bounds)


def most_processes(deployment: Deployment) -> int:
    """Return how many processes with this pool the server's limit bears."""
    return int(deployment.limit * SHARE) // (deployment.clients * deployment.most)


def _incoming(deployment: Deployment) -> Check:
    used = deployment.all_processes * deployment.clients * deployment.most
    bears, processes = largest(deployment), most_processes(deployment)
    pool = f"size + max_overflow of at most {bears}" if bears > 0 else "no pool at all with so many processes"
    return Check(
        "connections that each server sees",
        used,
        int(deployment.limit * SHARE),
        f"{deployment.all_processes} processes x {deployment.clients} client{'s' * (deployment.clients > 1)} x "
        f"({_terms(deployment)}) = {used}, of {SHARE:.0%} of {deployment.limit}",
        f"The server bears {pool}, or {processes} processes with this pool, or has its limit raised to "
        f"{_round_up(used / SHARE)}.",
    )


def _outgoing(deployment: Deployment, open_files: int) -> Check:
    used = deployment.clients * deployment.members * deployment.most
    return Check(
        "connections that each process opens",
        used,
        open_files,
        f"{deployment.clients} client{'s' * (deployment.clients > 1)} x {deployment.members} "
        f"member{'s' * (deployment.members > 1)} x ({_terms(deployment)}) = {used}, of ulimit -n {open_files}",
        f"Raise the limit of open files (ulimit -n, LimitNOFILE) to {used} and what the process opens besides, or "
        "lower max_overflow.",
    )


def _little(deployment: Deployment, operations: float, latency: float) -> Check:
    """Little's law: what is under way in the mean is what arrives a second, times how long it stays."""
    used = operations * latency / deployment.all_processes
    pool = deployment.size + deployment.max_overflow
    under_way = pool if deployment.threads is None else min(pool, deployment.threads * deployment.clients)
    allowed = under_way * BUSY
    needed = _round_up(used / BUSY)
    return Check(
        "operations under way in each process, in the mean",
        used,
        allowed,
        f"{operations:g} a second x {latency * 1000:g} ms / {deployment.all_processes} processes = {used:.1f} "
        f"(Little's law), of {BUSY:.0%} of {under_way}, so that a burst of twice the mean fits",
        f"Have size + max_overflow of {needed}"
        + ("" if deployment.threads is None else f" and {needed} threads")
        + (
            f", or {_round_up(operations * latency / allowed)} processes, or operations of at most "
            f"{allowed * deployment.all_processes / operations * 1000:.2g} ms (an index, a smaller batch)."
            if allowed
            else "."  # no connection at all: no process and no index helps
        ),
    )


def _at_rest(deployment: Deployment) -> str:
    used = deployment.all_processes * deployment.clients * deployment.persistent
    return (
        f"At rest each server sees {used} connections; during a rolling deployment, when old and new processes "
        f"overlap, up to twice that, and {2 * deployment.all_processes * deployment.clients * deployment.most} at most."
    )


def _memory(deployment: Deployment) -> str:
    used = deployment.all_processes * deployment.clients * deployment.most
    return f"On each server they take up to {used * MEGABYTES} MB of memory for stacks, besides the cache."


def _terms(deployment: Deployment) -> str:
    streams = f" + {deployment.change_streams}" if deployment.change_streams else ""
    return f"{deployment.size} + {deployment.max_overflow}{streams} + {MONITORS} monitors"


def _round_up(number: float) -> int:
    return -int(-number // 1)
