"""The fake of PostgreSQL: sessions, transactions with one big lock, notifications, advisory locks, and lost connections.

A statement arrives, waits for the lock if it writes inside a transaction, is carried out, and is answered; between any
two of these the client may die or the connection may be cut. What a transaction writes is applied at its commit.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg

from store.session import advisory_locks
from tests.simulation.statement import Result, Statement
from tests.simulation.statements import statement_of
from tests.simulation.tables import Tables
from tests.simulation.virtual_loop import Process
from tests.simulation.world import World, current_process

CUT_ONE_IN = 400
NOTIFICATION_LOST_ONE_IN = 10


class _Asked(NamedTuple):
    session: "FakeSession"
    sql: str
    arguments: tuple[Any, ...]
    answer: asyncio.Future[Any]


@dataclass
class _Transaction:
    effects: list[Callable[[], None]] = field(default_factory=list)
    notifications: list[str] = field(default_factory=list)


class Database:
    """The server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tables = Tables()
        self.is_up = True
        self.on_commit: Callable[[], None] = lambda: None
        self.on_write: Callable[[str, tuple[Any, ...]], None] = lambda *_: None
        self._sessions: list[FakeSession] = []
        self._owner: FakeSession | None = None
        self._queue: deque[_Asked] = deque()
        self._advisory: dict[tuple[int, int], FakeSession] = {}

    async def connect(self, *_: object, **__: object) -> "FakeSession":
        """In the place of store.session.connect.connect_writer."""
        process = current_process()
        await asyncio.sleep(self.world.latency())
        if not self.is_up:
            raise ConnectionRefusedError("the server is down")
        session = FakeSession(self, process)
        self._sessions.append(session)
        return session

    def arrive(self, asked: _Asked) -> None:
        """A statement has come over the network."""
        session = asked.session
        if session.is_cut:
            return
        if self.world.happens(CUT_ONE_IN):
            self.cut(session)
            return
        statement = statement_of(asked.sql)
        needs_lock = statement is not None and statement.locks
        if needs_lock and self._owner not in (None, session):
            self._queue.append(asked)
            return
        if needs_lock:
            self._owner = session
        self._carry_out(asked)

    def cut(self, session: "FakeSession") -> None:
        """The connection is gone: roll back, release every lock, notify the client if it lives."""
        if session.is_cut:
            return
        session.is_cut = True
        self.world.counts["lost connections"] += 1
        session.under_way = None
        self._sessions.remove(session)
        self._advisory = {key: owner for key, owner in self._advisory.items() if owner is not session}
        for answer in session.waiting:
            self.world.later(0.0, _fail, answer, asyncpg.ConnectionDoesNotExistError("connection was closed"))
        self._queue = deque(asked for asked in self._queue if asked.session is not session)
        if self._owner is session:
            self._release()

    def cut_all_of(self, process: Process | None = None) -> None:
        """Cut the connections of a process, or of all."""
        for session in list(self._sessions):
            if process is None or session.process is process:
                self.cut(session)

    def _carry_out(self, asked: _Asked) -> None:
        session = asked.session
        try:
            outcome = self._outcome(session, asked.sql, asked.arguments)
        except asyncpg.PostgresError as error:
            self.world.note(f"{session.process.name} is refused: {error}")
            if session.under_way is None and self._owner is session:
                self._release()
            self.world.later(self.world.latency(), _fail, asked.answer, error)
            return
        if session.under_way is None and self._owner is session:
            self._release()
        if self.world.reached(session.process, session.point_of(asked.sql)):
            return
        if self.world.happens(CUT_ONE_IN):
            self.cut(session)
            return
        self.world.later(self.world.latency(), session.answered, asked.answer, outcome)

    def _outcome(self, session: "FakeSession", sql: str, arguments: tuple[Any, ...]) -> Any:
        if sql == "BEGIN":
            session.under_way = _Transaction()
            return None
        if sql in {"COMMIT AND CHAIN", "ROLLBACK AND CHAIN"}:
            self._end(session, is_commit=sql.startswith("COMMIT"))
            return None
        if sql == "COMMIT":
            self._end(session, is_commit=True)
            session.under_way = None
            return None
        if "advisory" in sql:
            return self._lock_or_release(session, sql, arguments)
        if sql.startswith("SET "):
            return Result([])
        statement = statement_of(sql)
        if statement is None:
            self.world.violated(f"the simulator does not know this statement (tests/simulation/statements.py): {sql}")
            raise asyncpg.PostgresSyntaxError("unknown to the simulator")
        result = statement.run(self.tables, arguments)
        if result.effect is not None and session.under_way is not None:
            session.under_way.effects.append(lambda: self._apply(session, result, statement, arguments))
        elif result.effect is not None:
            self._apply(session, result, statement, arguments)
            self.on_commit()
        return result

    def _apply(self, session: "FakeSession", result: Result, statement: Statement, arguments: tuple[Any, ...]) -> None:
        assert result.effect is not None
        self.on_write(statement.name, (session.process.role, *arguments))
        self.world.note(f"{session.process.name} writes {statement.name}")
        result.effect()
        for market in result.notified:
            self._notify(market, session)

    def _end(self, session: "FakeSession", *, is_commit: bool) -> None:
        ended, session.under_way = session.under_way, _Transaction()
        if is_commit and ended is not None and ended.effects:
            session.has_written = True
            for effect in ended.effects:
                effect()
            self.on_commit()
        if self._owner is session:
            self._release()

    def _release(self) -> None:
        self._owner = None
        if self._queue:
            asked = self._queue.popleft()
            self._owner = asked.session
            self.world.later(0.0, self._resume, asked)

    def _resume(self, asked: _Asked) -> None:
        if not asked.session.is_cut and self._owner is asked.session:
            self._carry_out(asked)

    def _notify(self, market: str, sender: "FakeSession") -> None:
        pid = sender.get_server_pid()
        for session in self._sessions:
            for hear in session.listeners:
                if not self.world.happens(NOTIFICATION_LOST_ONE_IN):
                    self.world.later_in(session.process, self.world.latency(), hear, session, pid, "commands", market)

    def _lock_or_release(self, session: "FakeSession", sql: str, arguments: tuple[Any, ...]) -> Result:
        if sql == advisory_locks._TRY_MANY:
            return Result([{"n": n} for n in arguments[1] if self._try_advisory(session, (arguments[0], n))])
        if sql == advisory_locks._RELEASE:
            for number in arguments[1]:
                self._advisory.pop((arguments[0], number))
            return Result([])
        return Result([(self._try_advisory(session, arguments),)])

    def _try_advisory(self, session: "FakeSession", arguments: tuple[Any, ...]) -> bool:
        return self._advisory.setdefault((arguments[0], arguments[1]), session) is session


class FakeSession:
    """In the place of an asyncpg connection."""

    def __init__(self, database: Database, process: Process) -> None:
        self.process = process
        self.is_cut = False
        self.has_written = False
        self.under_way: _Transaction | None = None
        self.listeners: list[Callable[..., None]] = []
        self.waiting: list[asyncio.Future[Any]] = []
        self._database = database
        self._world = database.world

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """All rows."""
        result: Result = await self._ask(sql, arguments)
        return list(result.rows)

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        """The first row."""
        rows = await self.fetch(sql, *arguments)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row."""
        row = await self.fetchrow(sql, *arguments)
        return None if row is None else row[0]

    async def execute(self, sql: str, *arguments: Any) -> None:
        """No rows."""
        await self._ask(sql, arguments)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A transaction; after an error its session is closed."""
        await self.execute("BEGIN")
        yield
        await self.execute("COMMIT")

    async def add_listener(self, _channel: str, hear: Callable[..., None]) -> None:
        """LISTEN."""
        await asyncio.sleep(self._world.latency())
        self.listeners.append(hear)

    async def remove_listener(self, _channel: str, hear: Callable[..., None]) -> None:
        """UNLISTEN."""
        self.listeners.remove(hear)
        await asyncio.sleep(self._world.latency())

    def get_server_pid(self) -> int:
        """What distinguishes this session from the others."""
        return id(self)

    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return self.is_cut

    def terminate(self) -> None:
        """Drop it."""
        self._world.later(0.0, self._database.cut, self)

    async def close(self, **_: object) -> None:
        """Close the session."""
        if not self._world.is_over:
            await asyncio.sleep(self._world.latency())
        self._database.cut(self)

    def answered(self, answer: asyncio.Future[Any], outcome: object) -> None:
        """The answer has come over the network."""
        if not answer.done() and not self.is_cut:
            answer.set_result(outcome)

    def point_of(self, sql: str) -> str:
        """What a statement is, for the names of crash points."""
        if sql.startswith("COMMIT") and self.has_written:
            self.has_written = False
            return "commit"
        statement = statement_of(sql)
        return "statement" if statement is None else statement.name

    async def _ask(self, sql: str, arguments: tuple[Any, ...]) -> Any:
        if self.is_cut:
            raise asyncpg.InterfaceError("connection is closed")
        answer = self._world.loop.create_future()
        self.waiting = [other for other in self.waiting if not other.done()] + [answer]
        self._world.later(self._world.latency(), self._database.arrive, _Asked(self, sql, arguments, answer))
        return await answer


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
