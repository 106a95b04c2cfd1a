"""The crash day replayed: its commands as they are in the outbox, and the REST API's answers at its end.

The day is played in a fresh database with engines in memory, so that user, order and transfer numbers are the same in
every playing. Its markets have fixed names.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from tests.api.exchange import Client, Exchange
from tests.crash_day.day import Day
from tests.crash_day.playing import day_on
from tests.crash_day.scenario import load_scenario
from tests.recorded.cases import crash_days, read_results

LISTED = {"btc": "DAYBTC-PERP", "eth": "DAYETH-PERP"}
OF_USERS = ("/orders", "/fills", "/positions", "/balances", "/ledger", "/funding-payments", "/liquidations", "/me")
OF_EXCHANGE = ("/markets", "/insurance-fund")
OF_MARKETS = ("", "/trades", "/ticker", "/orderbook?depth=500", "/funding", "/fills")
INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")
ORDER_EVERY = 10
"""Each tenth order is requested individually, with its trace."""
NORMALISED = re.compile(rb'("hop":"PERSISTED","isDone":true,"time":|"leverageSince":)"[^"]*"')
"""All that another playing answers differently: when the database was written, which only the machine's clock knows."""

_COMMANDS = "SELECT o.payload FROM outbox o JOIN markets m USING (market_id) WHERE m.name = $1 ORDER BY o.command_seq"
_USERS = "SELECT user_id FROM users WHERE user_id > 0 ORDER BY user_id"


@dataclass
class Answers:
    """A digest of every answer, by route and by whose it is; and one of every field over all answers of a route."""

    routes: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    _columns: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, route: str, whose: str, body: bytes) -> None:
        """Take in an answer."""
        body = NORMALISED.sub(rb'\1""', body)
        self.routes[route][whose] = blake2b(body, digest_size=8).hexdigest()
        for name, value in _fields_of(orjson.loads(body)):
            column = self._columns[route].setdefault(name, blake2b(digest_size=8))
            column.update(orjson.dumps(value) + b"\n")

    def results(self) -> dict[str, Any]:
        """All of it as JSON."""
        fields = {
            route: {name: column.hexdigest() for name, column in columns.items()}
            for route, columns in self._columns.items()
        }
        return {"routes": dict(self.routes), "fields": fields}


@dataclass(frozen=True)
class Played:
    """The result of a run."""

    commands: dict[str, list[bytes]]
    answers: dict[str, Any]


async def play_day(dsn: str, folder: Path) -> Played:
    """Play the day in a fresh database and ask for everything."""
    async with day_on(load_scenario(), dsn, None, folder, LISTED) as day:
        await day.play()
        return await outcome_of(dsn, day)


async def outcome_of(dsn: str, day: Day) -> Played:
    """The commands of a day that was played with the names `LISTED` in a fresh database, and every answer at its end."""
    commands = {name: [row["payload"] for row in await day.session.fetch(_COMMANDS, name)] for name in LISTED.values()}
    return Played(commands, await _ask(dsn, day))


def check_as_recorded(played: Played) -> None:
    """Each command in the outbox of each market, and each answer of the REST API, byte by byte."""
    for case in crash_days():
        now = played.commands[case.market]
        for seq, (recorded, body) in enumerate(zip(case.commands, now, strict=False), 1):
            assert body == recorded, (
                f"{case.name}: command {seq} was\n  {recorded.decode()}\nand is now\n  {body.decode()}"
            )
        assert len(now) == len(list(case.commands)), f"{case.name}: it has another number of commands"
    difference = first_difference(read_results("answers"), played.answers)
    assert difference is None, difference


def first_difference(before: Any, now: Any) -> str | None:
    """Route, whose answer, and the fields of the first answer that differs from the one recorded; None where none does."""
    for route in {**before["routes"], **now["routes"]}:
        old, new = before["routes"].get(route, {}), now["routes"].get(route, {})
        differing = [whose for whose in {**old, **new} if old.get(whose) != new.get(whose)]
        if differing:
            old_fields, new_fields = before["fields"].get(route, {}), now["fields"].get(route, {})
            fields = [name for name in {**old_fields, **new_fields} if old_fields.get(name) != new_fields.get(name)]
            said = ", ".join(fields) or "none: the same values in other bytes"
            return f"GET {route}: the answer for {differing[0] or 'everybody'} differs ({len(differing)} do); fields: {said}"
    return None


async def _ask(dsn: str, day: Day) -> dict[str, Any]:
    exchange = await Exchange(dsn).start()
    try:
        answers = Answers()
        for row in await day.session.fetch(_USERS):
            await _ask_user(exchange, row["user_id"], answers)
        nobody = exchange.anonymous()
        for path in OF_EXCHANGE:
            await _ask_pages(nobody, path, path, "", answers)
        for name in LISTED.values():
            candles = [f"/candles?interval={interval}" for interval in INTERVALS]
            for path in (*OF_MARKETS, *candles):
                await _ask_pages(nobody, f"/markets/{name}{path}", f"/markets/{{marketId}}{path}", name, answers)
        return answers.results()
    finally:
        await exchange.stop()


async def _ask_user(exchange: Exchange, user: int, answers: Answers) -> None:
    client = Client(exchange.session, exchange.anonymous().url, exchange.services.tokens.issue(user), user)
    for path in OF_USERS:
        await _ask_pages(client, path, path, f"{user}", answers)
    for order in [row["orderId"] for row in (await client.get("/orders")).body]:
        if int(order.rpartition("-")[2]) % ORDER_EVERY == 0:
            await _ask_pages(client, f"/orders/{order}", "/orders/{orderId}", order, answers)
            await _ask_pages(client, f"/orders/{order}/trace", "/orders/{orderId}/trace", order, answers)


async def _ask_pages(client: Client, path: str, route: str, whose: str, answers: Answers) -> None:
    """An answer and, where it is a page, all that follow it."""
    onward: str | None = path
    page = 1
    while onward is not None:
        headers = {"Authorization": f"Bearer {client.token}"} if client.token else {}
        async with client.session.get(client.url + onward, headers=headers) as response:
            body = await response.read()
            assert response.status == 200, (path, body)
            answers.add(route, whose if page == 1 else f"{whose} page {page}", body)
            onward, page = _onward(path, response.headers.get("Link"), orjson.loads(body)), page + 1


def _onward(path: str, link: str | None, body: Any) -> str | None:
    if link is not None:
        return link[1 : link.index(">")]
    cursor = body.get("nextCursor") if isinstance(body, dict) else None
    return None if cursor is None else f"{path}{'&' if '?' in path else '?'}cursor={cursor}"


def _fields_of(body: Any) -> Iterator[tuple[str, Any]]:
    """Every field of the answer and of its rows, with its value."""
    rows = body if isinstance(body, list) else [body]
    for row in rows:
        for name, value in row.items():
            if name == "data":
                yield from _fields_of(value)
            else:
                yield name, value
