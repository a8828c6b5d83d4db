"""A scheduler that tries every order of two operations, command by command, on a real server.

The operations are the library's own coroutines over a store that suspends before each command. The scheduler decides
which of the two goes on, runs that one command, and remembers what is left to try. A prefix is replayed from the
beginning on a reset database, since a server cannot go back; a state that was met before (the same answers to both
operations, the same documents) is not gone on from twice, but its continuations are counted.

At every state, each operation may also crash: it sends nothing any more, its transaction is aborted as the server
would do, the other goes on to its end, and recovery runs when the lease, and then the grace, is over. What the dead one
had read by then changes nothing any more: states that differ only in that are crashed in once.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import random
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId, encode
from pymongo import WriteConcern
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure

from integrity.store.blocking import BlockingStore
from integrity.store.port import Batches, Document, Filter, Store, T, U
from integrity.writes.references import Timing

FAST = WriteConcern(1, j=False)
START = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - as BSON stores it
STEPS = 400
#: Seconds of a sleep that is no pause between attempts: the time must really have passed.
LONG = 1.0


class CrashedError(BaseException):
    """The operation's process is dead."""


class _BlockedError(Exception):
    """The command would wait for a lock of the other operation's transaction."""


@dataclass
class Clock:
    """A clock that only moves when it is told to."""

    seconds: float = 0.0

    def timing(self, actor: int) -> Timing:
        tokens = iter(range(1, 1_000_000))
        return Timing(
            lease=30,
            grace=120,
            patience=10_000,
            notice=3,
            now=lambda: START + dt.timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
            token=lambda: ObjectId(f"{actor:08x}{next(tokens):016x}"),
            jitter=lambda: 0.5,
        )


@dataclass
class Actor:
    """One of the operations.

    Args:
        name: For what is printed.
        coroutine: What it does.
        history: The commands that it ran, with what they answered. What a transaction answered that was aborted is
            left out: it begins again, and remembers nothing.
        story: All of them, for a reader.
        steps: How many there were.
    """

    name: str
    coroutine: Coroutine[Any, Any, Any] | None = None
    history: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    steps: int = 0
    sessions: list[Any] = field(default_factory=list)
    other: Actor | None = None
    result: Any = None
    error: BaseException | None = None
    done: bool = False
    dead: bool = False
    #: It waits until the other one has gone on: since it had made so many steps.
    waits: int | None = None
    #: The time at which a long sleep is over: one that others count on having passed.
    wakes: float | None = None
    clock: Clock = field(default_factory=Clock)
    #: Where the open transaction began in the history, and what the other had done by then.
    began: int | None = None
    snapshot: int | None = None

    @property
    def over(self) -> bool:
        return self.done or self.dead

    def place(self) -> str:
        """Where it stands, beside its history."""
        assert self.other is not None
        since = None if self.snapshot is None else self.other.steps - self.snapshot
        return f"{self.ready()} {self.over} {self.began is None} {since} {self.waits is None} {self.wakes}"

    @property
    def sleeps(self) -> bool:
        return not self.over and self.wakes is not None and self.clock.seconds < self.wakes

    def ready(self) -> bool:
        assert self.other is not None
        return (
            not self.over
            and not self.sleeps
            and (self.waits is None or self.other.over or self.other.steps > self.waits)
        )

    def step(self) -> None:
        """Run up to the next command."""
        assert self.coroutine is not None
        assert self.other is not None
        self.waits = self.wakes = None
        try:
            self.coroutine.send(None)
        except StopIteration as stop:
            self.result, self.done = stop.value, True
        except CrashedError:
            raise
        except Exception as error:  # noqa: BLE001 - what the operation raises is its result
            self.error, self.done = error, True

    def crash(self) -> None:
        self.dead = True
        for session in self.sessions:
            if session.in_transaction:
                session.abort_transaction()

    def dispose(self) -> None:
        if self.coroutine is not None and not self.done:
            self.dead = True
            with contextlib.suppress(CrashedError, RuntimeError):
                self.coroutine.close()
        for session in self.sessions:
            session.end_session()


class _Step:
    def __await__(self) -> Generator[None, None, None]:
        yield


class Stepping(Store):
    """A store that suspends before each command of its actor.

    Args:
        database: The database.
        actor: Whose commands these are.
        transactional: Whether the server has transactions.
    """

    overlaps = True

    def __init__(self, database: Database[Any], actor: Actor, *, transactional: bool) -> None:
        self.name = database.name
        self._inner = BlockingStore(database.with_options(write_concern=FAST))
        self._client = database.client
        self._actor = actor
        self._transactional = transactional
        #: Which of two commands that are under way at once reaches the server first.
        self.glimpse_first = False

    async def _suspend(self) -> None:
        if not self._actor.dead:
            await _Step()
        if self._actor.dead:
            raise CrashedError

    def _note(self, what: str, answer: Any) -> None:
        line = f"{what} -> {_digest(answer)}"
        self._actor.history.append(line)
        self._actor.story.append(line)
        self._actor.steps += 1
        assert self._actor.other is not None
        self._actor.other.story.append(f"    {line}")

    async def _run(
        self, what: str, session: Any, call: Callable[[Any], Coroutine[Any, Any, Any]], *, writes: bool
    ) -> Any:
        while True:
            await self._suspend()
            if session is not None and self._actor.snapshot is None:
                # What conflicts with the transaction depends on what the other did since its snapshot.
                assert self._actor.other is not None
                self._actor.snapshot = self._actor.other.steps
            try:
                answer = await (self._locked(call) if writes and session is None else call(session))
            except _BlockedError:
                assert self._actor.other is not None
                self._actor.waits = self._actor.other.steps
                continue
            except OperationFailure as error:
                self._note(what, (error.code, error.has_error_label("TransientTransactionError")))
                raise
            self._note(what, answer)
            return answer

    async def _locked(self, call: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        """Run a write that is no transaction as the server does: as one of its own, again while it conflicts."""
        if not self._transactional:
            return await call(None)
        with self._client.start_session() as session:
            session.start_transaction(write_concern=FAST)
            try:
                answer = await call(session)
                session.commit_transaction()
            except OperationFailure as error:
                if session.in_transaction:
                    session.abort_transaction()
                if error.has_error_label("TransientTransactionError"):
                    raise _BlockedError from error
                raise
            return answer

    def with_options(self, **options: Any) -> Stepping:  # noqa: ARG002 - the test decides the write concern
        return self

    def for_reader(self) -> Stepping:
        return self

    def for_models(self) -> Stepping:
        return self

    def for_results(self) -> Stepping:
        return self

    def for_bytes(self) -> Stepping:
        return self

    async def call(self, collection: str, method: str, /, *args: Any, **options: Any) -> Any:
        session = options.pop("session", None)
        reads = method in {"find_one", "count_documents", "distinct", "estimated_document_count"}

        async def call(session: Any) -> Any:
            more = {} if session is None else {"session": session}
            return await self._inner.call(collection, method, *args, **options, **more)

        return await self._run(f"{collection}.{method}", session, call, writes=not reads)

    def find(self, collection: str, filter: Filter | None = None, /, **options: Any) -> Batches:
        return _Found(self, collection, filter, options)

    async def aggregate(self, collection: str, pipeline: Sequence[Filter], /, **options: Any) -> Batches:
        async def call(_: Any) -> list[Document]:
            return await (await self._inner.aggregate(collection, pipeline, **options)).next(100_000)

        return _Read(await self._run(f"{collection}.aggregate", None, call, writes=False))

    async def insert_once(self, collection: str, document: Document) -> bool | None:
        try:
            await self.insert_one(collection, document)
        except DuplicateKeyError:
            return False
        return True

    async def beside(
        self, first: Coroutine[Any, Any, T], second: Callable[[], Coroutine[Any, Any, U]]
    ) -> tuple[T, U | None]:
        if self.glimpse_first:
            try:
                found = await second()
            except BaseException:
                first.close()
                raise
            return await first, found
        outcome = await first
        return outcome, await second()

    async def command(self, command: str | Mapping[str, Any], *args: Any, **options: Any) -> Document:
        raise NotImplementedError

    async def admin(self, command: str | Mapping[str, Any], *args: Any, **options: Any) -> Document:
        return await self._inner.admin(command, *args, **options)

    async def collections(self) -> list[Document]:
        return await self._inner.collections()

    async def start_session(self, **options: Any) -> Any:
        session = await self._inner.start_session(**options)
        self._actor.sessions.append(session)
        return session

    async def end_session(self, session: Any) -> None:
        if not self._actor.dead:
            await self._inner.end_session(session)

    async def begin(self, session: Any, **options: Any) -> None:
        self._actor.began = len(self._actor.history)
        self._actor.snapshot = None
        await self._inner.begin(session, **{**options, "write_concern": FAST})

    async def commit(self, session: Any) -> None:
        async def call(session: Any) -> None:
            await self._inner.commit(session)

        await self._run("commit", session, call, writes=True)
        self._actor.snapshot = self._actor.began = None

    async def abort(self, session: Any) -> None:
        async def call(session: Any) -> None:
            await self._inner.abort(session)

        await self._run("abort", session, call, writes=True)
        del self._actor.history[self._actor.began :]
        self._actor.snapshot = self._actor.began = None

    async def sleep(self, seconds: float) -> None:
        assert self._actor.other is not None
        if seconds >= LONG:
            self._actor.wakes = self._actor.clock.seconds + seconds
        else:  # how long is the scheduler's
            self._actor.waits = self._actor.other.steps
        await self._suspend()


class _Read:
    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents

    async def next(self, size: int = 1000) -> list[Document]:  # noqa: ARG002 - what is found here is little
        found, self._documents = self._documents, []
        return found

    async def close(self) -> None:
        """There is no cursor."""


class _Found:
    def __init__(self, store: Stepping, collection: str, filter: Filter | None, options: dict[str, Any]) -> None:
        self._store = store
        self._asked = (collection, filter, options)
        self._read = False

    async def next(self, size: int = 1000) -> list[Document]:  # noqa: ARG002 - what is found here is little
        if self._read:
            return []
        self._read = True
        collection, filter_, options = self._asked

        async def call(_: Any) -> list[Document]:
            return await self._store._inner.find(collection, filter_, **options).next(100_000)

        answer: list[Document] = await self._store._run(
            f"{collection}.find", options.get("session"), call, writes=False
        )
        return answer

    async def close(self) -> None:
        """There is no cursor."""


def _digest(answer: Any) -> str:
    for name in ("raw_result", "bulk_api_result", "inserted_ids", "inserted_id"):
        if hasattr(answer, name):
            answer = getattr(answer, name)
            break
    if isinstance(answer, dict):
        answer = {
            name: answer[name] for name in sorted(answer) if name in _TOLD or (name[0] != "$" and name not in _NOISE)
        }
    return repr(answer)


_TOLD = {"n", "nModified", "upserted"}
_NOISE = {"electionId", "opTime", "operationTime", "ok", "lastErrorObject"}


@dataclass
class Scene:
    """Two operations and what must hold afterwards.

    Args:
        database: The database.
        transactional: Whether the server has transactions.
        start: The documents at the beginning, by collection.
        build: Makes the two operations: given two stores and the clock, returns two coroutines.
        check: Raises AssertionError where something is wrong; given the two actors.
        recover: Runs the recovery to its end, in a process of its own.
        watched: The collections.
        expected: What the operations may raise.
    """

    database: Database[Any]
    transactional: bool
    start: Mapping[str, Sequence[Document]]
    build: Callable[[Stepping, Stepping, Clock], tuple[Coroutine[Any, Any, Any], Coroutine[Any, Any, Any]]]
    check: Callable[[Actor, Actor], None]
    recover: Callable[[Clock], None]
    watched: Sequence[str] = ()
    expected: tuple[type[BaseException], ...] = ()


@dataclass
class Explored:
    """What was tried.

    Args:
        schedules: How many complete orders there are, crashes not counted.
        crashes: How many states were crashed in, each with one of the operations; those that what follows cannot tell
            apart are each counted, and run once.
        runs: How often operations were run.
        afterwards: What crashes left behind, of those that were run.
        states: How many different states there were.
        whole: Whether everything was tried, every crash included.
    """

    schedules: int = 0
    crashes: int = 0
    runs: int = 0
    states: int = 0
    whole: bool = True
    afterwards: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        how = "every order and every crash" if self.whole else "a sample"
        return (
            f"{how}: {self.schedules:,} schedules through {self.states:,} states, {self.crashes:,} crashes, "
            f"{self.runs:,} runs"
        )


class Violated(AssertionError):
    """The invariant does not hold after this order of commands."""


def explore(scene: Scene, *, crashes: bool = True, runs: int | None = None, part: int = 1) -> Explored:
    """Try every order of the two operations, and every crash; or a sample of both.

    A sample takes, of what is left to try, what its seed picks: orders of all lengths and places, the same in every
    run. `Explored.whole` says whether anything was left.

    Args:
        scene: The operations.
        crashes: Whether there are crashes.
        runs: How many runs at most, crashes not counted; None for all.
        part: One crash of so many is tried.

    Raises:
        Violated: Something is wrong after one of them; the text holds the order.
    """
    found = Explored()
    pick = random.Random(0)
    edges: dict[str, list[str | None]] = {}
    stack: list[tuple[str, ...]] = [()]
    while stack and (runs is None or found.runs - len(found.afterwards) < runs):
        at = -1 if runs is None else pick.randrange(len(stack))
        # Two runs are never open at once: the one would lock what the other needs.
        for path, name, left in _one_run(scene, stack.pop(at), edges, stack, found):
            if crashes and pick.randrange(part) == 0:
                found.crashes += 1
                if left not in found.afterwards:
                    found.afterwards.add(left)
                    _crash(scene, path, name, found)
    found.states = len(edges)
    found.schedules = _paths(edges)
    found.whole = not stack and crashes and part == 1
    return found


def _one_run(
    scene: Scene,
    prefix: tuple[str, ...],
    edges: dict[str, list[str | None]],
    stack: list[tuple[str, ...]],
    found: Explored,
) -> list[tuple[list[str], str, str]]:
    """Run the operations once, from a prefix to the end or to a state that is known; return where to crash."""
    to_crash: list[tuple[list[str], str, str]] = []
    run = _Run(scene)
    found.runs += 1
    try:
        for choice in prefix[:-1]:
            run.take(choice)
        came = run.state() if prefix else None
        for choice in prefix[-1:]:
            run.take(choice)
        path = list(prefix)
        while len(path) <= STEPS:
            state = run.state()
            if came is not None:
                edges.setdefault(came, []).append(state)
            if state in edges:
                return to_crash
            edges[state] = []
            choices = run.choices()
            if not choices:
                run.finish(path)
                edges[state].append(None)
                return to_crash
            to_crash += [
                (list(path), each.name, run.without(each)) for each in run.actors if not each.over and each.steps
            ]
            stack += [(*path, each) for each in choices[1:]]
            came = state
            path.append(choices[0])
            run.take(choices[0])
        raise Violated(f"no end after {STEPS} steps:\n{run.story()}")
    finally:
        run.dispose()


def _crash(scene: Scene, path: Sequence[str], name: str, found: Explored) -> None:
    run = _Run(scene)
    found.runs += 1
    try:
        for choice in path:
            run.take(choice)
        run.crash(name)
        run.to_the_end()
        run.finish([*path, f"({name} crashes)"])
    finally:
        run.dispose()


def _paths(edges: Mapping[str, Sequence[str | None]]) -> int:
    """Count the ways from the beginning to an end; one that only repeats what was undone is not counted again."""
    known: dict[str | None, int] = {None: 1}
    root = next(iter(edges))
    stack: list[tuple[str, bool]] = [(root, False)]
    entered: set[str] = set()
    while stack:
        at, left = stack.pop()
        if left:
            known[at] = sum(known.get(each, 0) for each in edges[at])
        elif at not in entered:
            entered.add(at)
            stack.append((at, True))
            stack += [(each, False) for each in edges[at] if each is not None and each not in entered]
    return known[root]


class _Run:
    """One run of the two operations, from a reset database."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.clock = Clock()
        self.stored = b""
        self.actors = (Actor("A"), Actor("B"))
        first, second = self.actors
        first.other, second.other = second, first
        first.clock = second.clock = self.clock
        self._reset()
        stores = [Stepping(scene.database, each, transactional=scene.transactional) for each in self.actors]
        first.coroutine, second.coroutine = scene.build(stores[0], stores[1], self.clock)
        for each in self.actors:  # up to the first command
            each.step()

    def _reset(self) -> None:
        database = self.scene.database.with_options(write_concern=FAST)
        for name in self.watched:
            database[name].delete_many({})
            documents = self.scene.start.get(name)
            if documents:
                database[name].insert_many([dict(each) for each in documents])

    @property
    def watched(self) -> list[str]:
        return [*self.scene.watched, "integrity.condemned", "integrity.protocol"]

    def state(self) -> str:
        self.stored = b"".join(
            encode(document) for name in self.watched for document in self.scene.database[name].find(sort=[("_id", 1)])
        )
        return self._digest(*self.actors)

    def without(self, dead: Actor) -> str:
        """The state as it is for the other one, once this one is dead; of the documents that `state` has read."""
        assert dead.other is not None
        return f"{dead.name} {self._digest(dead.other)}"

    def _digest(self, *actors: Actor) -> str:
        parts = [line for each in actors for line in (*each.history, each.place(), "--")]
        parts.append(str(self.clock.seconds))
        return hashlib.blake2b("\n".join(parts).encode() + self.stored, digest_size=16).hexdigest()

    def choices(self) -> list[str]:
        ready = [each.name for each in self.actors if each.ready()]
        if any(each.sleeps for each in self.actors):
            return [*ready, "tick"]
        if not ready and not all(each.over for each in self.actors):
            return ["tick"]
        return ready

    def take(self, choice: str) -> None:
        if choice == "tick":  # time goes by: both wait, or one sleeps while the other is slow
            sleeping = [each.wakes for each in self.actors if each.sleeps and each.wakes is not None]
            self.clock.seconds = min(sleeping, default=self.clock.seconds + 1)
            for each in self.actors:
                each.waits = None
            return
        actor = next(each for each in self.actors if each.name == choice)
        actor.step()

    def crash(self, name: str) -> None:
        next(each for each in self.actors if each.name == name).crash()

    def to_the_end(self) -> None:
        for _ in range(STEPS * 10):
            choices = self.choices()
            if not choices:
                return
            if (self.actors[0].dead or self.actors[1].dead) and "tick" not in choices:
                self.clock.seconds += 5  # who waits for the dead waits for the lease
            self.take(choices[0])
        raise Violated(f"no end after a crash:\n{self.story()}")

    def finish(self, path: Sequence[str]) -> None:
        try:
            for each in self.actors:
                assert each.error is None or isinstance(each.error, self.scene.expected), f"{each.name}: {each.error!r}"
            if not any(each.dead for each in self.actors):
                self.scene.check(*self.actors)
            self.scene.recover(self.clock)
            self.scene.check(*self.actors)
        except AssertionError as error:
            raise Violated(f"{error}\nafter {' '.join(path)}:\n{self.story()}") from error

    def story(self) -> str:
        """The commands in the order in which they ran; B's are indented."""
        return "\n".join(self.actors[0].story)

    def dispose(self) -> None:
        for each in self.actors:
            if not each.over:
                each.crash()
            each.dispose()
