"""The REST API on a real database over real HTTP, and an engine stepped by the test."""

import asyncio
import itertools
import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, Self

import aiohttp
import asyncpg
import msgspec

from api.access.addresses import Proxies
from api.access.api_keys import ApiKeys
from api.access.logins import Logins
from api.access.passwords import Passwords
from api.access.rate_limits import RateLimits
from api.access.signatures import SignedRequests
from api.access.tokens import Tokens
from api.access_log import AccessLog
from api.database import Database
from api.server import ApiServer
from api.services import ApiSettings, DeadLetters, Services
from api.submission.load_poller import LoadPoller
from api.submission.submission_queue import SubmissionQueue
from exchange.engine.log.journal import EncodedEvent, answer_command
from exchange.engine.market import Market, empty_market
from schemas.units import Timestamp
from schemas.wire import GENESIS_HASH, EventRecord, decode_command
from store.command_log.outbox import SentRecord, read_cursor, record_sent
from store.markets.registry import MarketRegistry
from store.projection import Projection
from store.session.connect import Connection, connect_reader_pool, connect_writer
from store.submission import Submission
from store.users.signing_secrets import SigningSecrets
from store.users.totp_secrets import TotpSecrets
from store.users.users import create_user

SECRET = "the secret of the tests, which is long enough"
SIGNING_KEY = "the key of the secrets of the tests, which is long enough"
TOTP_KEY = "the key of the tests, which is long enough"
QUICK = ApiSettings(
    drain_timeout_s=0.3,
    wait_timeout_s=0.3,
    body_timeout_s=0.5,
    readiness_grace_s=0.0,
    idle_grace_s=0.0,
    keepalive_timeout_s=15.0,
    stop_timeout_s=5.0,
)
_numbers = itertools.count(1)
_NEW_COMMANDS = """
SELECT m.name, o.command_seq, o.payload
FROM outbox o JOIN markets m USING (market_id) LEFT JOIN unnest($1::text[], $2::bigint[]) AS known (name, seq) USING (name)
WHERE o.command_seq > coalesce(known.seq, 0)
ORDER BY 1, 2
"""


def now() -> Timestamp:
    """The machine's time in microseconds."""
    return Timestamp(time.time_ns() // 1_000)


def example_path(path: str, other: str = "BTC-PERP-2") -> str:
    """A route's path as a client requests it: the market is listed, every other name in it is `other`."""
    return re.sub(r"\{\w+\}", other, path.replace("{marketId}", "BTC-PERP"))


@dataclass
class Reply:
    """A response: status, headers and the decoded body."""

    status: int
    headers: Any
    body: Any

    @property
    def code(self) -> str:
        """The error code; empty for a success."""
        return self.body["error"]["code"] if isinstance(self.body, dict) and "error" in self.body else ""

    @property
    def details(self) -> dict[str, Any]:
        """The facts of an error."""
        return self.body["error"].get("details", {})


@dataclass
class Client:
    """Somebody who calls the API, with a token or without."""

    session: aiohttp.ClientSession
    url: str
    token: str | None = None
    user: int = 0

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """One request with a JSON body; further options go to aiohttp."""
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        async with self.session.request(method, self.url + path, headers=headers, **options) as response:
            is_json = response.content_type == "application/json"
            return Reply(response.status, response.headers, await (response.json() if is_json else response.text()))

    async def get(self, path: str, *, after: str | None = None) -> Reply:
        """Read; with a sequence given, not before that command is persisted."""
        return await self.call("GET", path, headers={} if after is None else {"X-Wait-For-Command": after})

    async def order(self, **fields: Any) -> Reply:
        """Place a bid of 0.1 BTC at 60,000, changed by the fields given; None removes one."""
        return await self.call("POST", "/orders", _bid(fields))

    async def preview(self, **fields: Any) -> Reply:
        """Ask what would become of such an order."""
        return await self.call("POST", "/orders/preview", _bid(fields))

    async def cancel(self, order_id: str) -> Reply:
        """Cancel."""
        return await self.call("DELETE", f"/orders/{order_id}")

    async def deposit(self, amount: str = "10000") -> Reply:
        """Credit the account."""
        return await self.call("POST", "/deposits", {"asset": "USDC", "amount": amount})

    async def withdraw(self, amount: str, key: str | None = None) -> Reply:
        """Debit the account."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.call("POST", "/withdrawals", {"asset": "USDC", "amount": amount}, headers=headers)


@dataclass
class Exchange:
    """A listening API and its services."""

    dsn: str
    settings: ApiSettings = QUICK
    services: Services = field(init=False)
    server: ApiServer = field(init=False)
    session: aiohttp.ClientSession = field(init=False)
    markets: dict[str, Market] = field(default_factory=dict)
    access: AccessLog = field(default_factory=AccessLog)
    dead_letters: DeadLetters | None = None
    _sessions: dict[str, Connection] = field(default_factory=dict)
    _projections: dict[str, Projection] = field(default_factory=dict)
    _step: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self, **changes: Any) -> Self:
        """Listen on a free port."""
        services = await _services(self.dsn, replace(self.settings, **changes))
        self.services = replace(services, access=self.access, dead_letters=self.dead_letters)
        self.server = self._make_server()
        await self.server.start()
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self

    def _make_server(self) -> ApiServer:
        return ApiServer(self.services, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Stop listening."""
        await self.session.close()
        await self.server.stop()
        for kept in (*self._sessions.values(), *self._projections.values()):
            await kept.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    def anonymous(self) -> Client:
        """Somebody without a token."""
        return Client(self.session, f"http://127.0.0.1:{self.port}")

    async def user(self, deposit: str | None = "10000", *, is_admin: bool = False) -> Client:
        """A registered user with money, created without the API (argon2 is slow)."""
        at, email = now(), f"user{next(_numbers)}@example.com"
        user = await self.services.database.run(lambda session: create_user(session, email, "none", at))
        assert user is not None
        if is_admin:
            await self.execute("UPDATE users SET role = 'admin' WHERE user_id = $1", user)
        client = replace(self.anonymous(), token=self.services.tokens.issue(user), user=user)
        if deposit is not None:
            assert (await client.deposit(deposit)).status == 201
        return client

    async def execute(self, statement: str, *arguments: object) -> None:
        """One statement on its own connection."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(statement, *arguments)
        finally:
            await connection.close()

    async def value(self, query: str, *arguments: object) -> Any:
        """One value from the database."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def kept(self, use: str) -> Connection:
        """A session for one use at a time, which lasts until the exchange stops: a new one plans every statement again."""
        session = self._sessions.get(use)
        if session is None or session.is_closed():
            session = self._sessions[use] = await asyncpg.connect(self.dsn)
        return session

    async def run_engine(self) -> None:
        """Relay, match and persist every command that is new in the outbox, as the stream would."""
        async with self._step:
            known = {name: market.command_seq for name, market in self.markets.items()}
            rows = await (await self.kept("relay")).fetch(_NEW_COMMANDS, list(known), list(known.values()))
            for name in {row["name"] for row in rows}:
                commands = [(row["command_seq"], row["payload"]) for row in rows if row["name"] == name]
                await self._run_market(name, commands)

    async def _run_market(self, name: str, commands: list[tuple[int, bytes]]) -> None:
        market = self.markets.setdefault(name, empty_market(name))
        before = market.event_hash or GENESIS_HASH
        written = [event for seq, payload in commands for event in answer_command(market, seq, decode_command(payload))]
        if written:
            await self._relay(name, written[-1].command)
            projection = self._projections.setdefault(name, Projection(self._connect_projection, name))
            await projection.apply([record_of(name, before, written)], [now()])

    async def relay(self, market: str, up_to: int) -> None:
        """What the relay notes when it has sent the commands up to this one in one record."""
        async with self._step:
            await self._relay(market, up_to)

    async def _relay(self, market: str, up_to: int) -> None:
        session = await self.kept("relay")
        market_id = await session.fetchval("SELECT market_id FROM markets WHERE name = $1", market)
        if (cursor := await read_cursor(session, market_id)) < up_to:
            await record_sent(session, [SentRecord(market_id, cursor, up_to, now())])

    async def _connect_projection(self) -> Connection:
        return await connect_writer(self.dsn, "test projection")


def _bid(fields: dict[str, Any]) -> dict[str, Any]:
    usual = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
    return {name: value for name, value in (usual | fields).items() if value is not None}


async def _services(dsn: str, settings: ApiSettings) -> Services:
    database, registry = Database(await connect_reader_pool(dsn, "api", command_timeout_s=1.5)), MarketRegistry()
    load = LoadPoller(database, registry, now)
    submission = Submission(lambda: connect_writer(dsn, "api submission", command_timeout_s=5), registry)
    return Services(
        settings=settings,
        database=database,
        submissions=SubmissionQueue([submission], now, lambda: load.current),
        load=load,
        registry=registry,
        tokens=Tokens(SECRET, now),
        logins=Logins(database, lambda: connect_writer(dsn, "api logins", command_timeout_s=1), now),
        keys=ApiKeys(database, now, time.monotonic),
        passwords=Passwords(),
        totp=TotpSecrets(TOTP_KEY),
        signed=SignedRequests(database, SigningSecrets(SIGNING_KEY), now),
        now=now,
        limits=RateLimits(settings.rates),
        proxies=Proxies(settings.trusted_proxies),
    )


def record_of(market: str, before: str, written: list[EncodedEvent]) -> EventRecord:
    """These events as one record."""
    return EventRecord(
        market=market,
        epoch=1,
        first_command_seq=written[0].command,
        last_command_seq=written[-1].command,
        first_event_seq=written[0].seq,
        last_event_seq=written[-1].seq,
        prev_hash=before,
        hash=written[-1].hash,
        rules=written[-1].rules,
        events=[msgspec.Raw(event.body) for event in written],
    )
