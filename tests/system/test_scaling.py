"""Markets split over processes, moved and added under load, by the commands of docs/operate.md."""

import asyncio
import itertools
import json
import os
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from app.local.process import free_port
from app.operator import market_states, now
from app.settings import load_settings
from bench.exchange_process import ROOT
from schemas.market import SEED_MARKETS
from store.markets import seed
from store.migrate import migrate
from store.queries.progress import read_persisted
from tests.conftest import Broker
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.system.conftest import Measured
from tests.system.parts import LOOK_EVERY_S, Parts, Pauses
from tests.system.patient_load import PatientLoad, trading
from tests.system.verdict import LIVE_OR_ENDED, every, until_taken

pytestmark = pytest.mark.timeout(400)

OWNER_WITHIN_S = 60.0
MANUAL = ROOT / "docs" / "operate.md"
MANUALS = ("BTC", "ETH", "SOL", "DOGE", "XRP")
_numbers = itertools.count(1)


class Venue(Parts):
    """Parts for markets with names of their own, because the broker is shared with other tests.

    `names`: the manual's markets, and what they are called here. `first` are listed from the beginning, `added` is not.
    """

    names: dict[str, str]

    @property
    def first(self) -> list[str]:
        """The four."""
        return list(self.names.values())[:4]

    @property
    def added(self) -> str:
        """The fifth."""
        return list(self.names.values())[4]


def typed(venue: Venue, heading: str) -> list[list[str]]:
    """The `python -m app …` lines of a section of the manual as they stand, word by word, with this test's markets."""
    text = MANUAL.read_text()
    section = re.split(r"^##+ ", text.split(f" {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines]
    words = [command[command.index("app") + 1 :] for command in commands if command[1:3] == ["-m", "app"]]
    return [[venue.names.get(word, word) for word in command if word != "&"] for command in words]


@pytest_asyncio.fixture
async def parts(postgres_dsn: str, broker: Broker, tmp_path: Path) -> AsyncIterator[Venue]:
    """Four markets in a database of their own; no process runs yet, no topic is there."""
    number = next(_numbers)
    name = f"scaling_{os.getpid()}_{number}"
    dsn = postgres_dsn.replace("/perpetua?", f"/{name}?")
    venue = Venue(dsn, broker, tmp_path)
    venue.names = {f"{market}-PERP": f"{market}{os.getpid()}X{number}-PERP" for market in MANUALS}
    async with session_to(postgres_dsn) as server:
        await server.execute(f"CREATE DATABASE {name}")
        await asyncio.to_thread(migrate, dsn)
        await seed(dsn, now(), [msgspec.structs.replace(SEED_MARKETS[0], market=market) for market in venue.first])
        try:
            yield venue
        finally:
            venue.kill_all()
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_markets_are_split_moved_and_added_under_load(parts: Venue, measured: Measured) -> None:
    """Four markets over three processes; one moves, one process ends with a standby, a fifth is listed: nothing is lost."""
    code, printed = await parts.command("topics")
    assert code == 0, printed
    (*around, first, second, third) = [parts.start(*words) for words in typed(parts, "Split the markets")]
    assert len(around) == 3
    await parts.until_ready()
    owners = await until_owned(parts, *parts.first)
    assert owners == dict(zip(parts.first, map(place, (first, first, second, third)), strict=True))
    reference = dict.fromkeys(parts.first, (60_000, 1, "0.00{}"))
    async with trading(parts.url, clients=2, reference=reference) as load, watched(parts) as pauses:
        await until_taken(load, 30)
        measured("longest pause of a market without a change (s)", pauses.taken(parts.first))
        await move(parts, second, load)
        measured("longest pause of the market that moved (s)", pauses.taken([parts.first[2]]))
        await stand_in(parts, first, load)
        measured("longest pause of markets whose process ended beside a standby (s)", pauses.taken(parts.first[:2]))
        await add(parts, load)
        reference[parts.added] = (60_000, 1, "0.00{}")
        await until_all_have_traded(parts)
    await nothing_is_lost(parts, load)


@pytest.mark.chaos
async def test_every_process_is_replaced_under_load(parts: Venue, measured: Measured) -> None:
    """An upgrade by the manual: each process gets its successor before it ends; no request is cut, nothing is lost."""
    code, printed = await parts.command("topics")
    assert code == 0, printed
    old = {kind: parts.start(kind) for kind in ("projection", "engine", "relay", "clock", "liquidator", "api")}
    await parts.until_ready()
    await until_owned(parts, *parts.first)
    reference = dict.fromkeys(parts.first, (60_000, 1, "0.00{}"))
    async with trading(parts.url, clients=2, reference=reference) as load, watched(parts) as pauses:
        await until_taken(load, 30)
        await asyncio.to_thread(migrate, parts.dsn)
        for kind in ("projection", "engine", "relay", "clock", "liquidator"):
            pauses.taken(parts.first)
            await replace(parts, kind, old[kind])
            await until_taken(load, 30)
            measured(f"longest pause of a market while {kind} was replaced (s)", pauses.taken(parts.first))
        await replace_api(parts, old["api"], load)
        await until_taken(load, 30)
    assert (load.cut, load.refused) == (0, 0)
    await nothing_is_lost(parts, load)


async def replace(parts: Venue, kind: str, old: Any) -> None:
    """The new one first; it stands by, or works at once."""
    new = parts.start(kind)
    units = [f"{kind}-{market}" for market in parts.first] if kind in ("projection", "engine", "relay") else [kind]
    await parts.until_up(new, *units)
    assert await parts.end(old) == 0


async def replace_api(parts: Venue, old: Any, load: PatientLoad) -> None:
    """The new one on another port; the clients are sent there, and the old one answers what it has in hand."""
    before, parts.url = parts.url, f"http://127.0.0.1:{free_port()}"
    parts.start("api", PORT=parts.url.rpartition(":")[2])
    await parts.until_ready()
    load.url = parts.url
    assert before != load.url
    assert await parts.end(old) == 0


async def move(parts: Venue, old: Any, load: PatientLoad) -> None:
    """A market moves: the new process first, then the end of the old one."""
    (words,) = typed(parts, "Move a market")
    new = parts.start(*words)
    await parts.until_up(new, f"engine-{parts.first[2]}")
    assert await parts.end(old) == 0
    await until_owners_are(parts, {parts.first[2]: place(new)})
    await until_taken(load, 30)


async def stand_in(parts: Venue, old: Any, load: PatientLoad) -> None:
    """A process that serves all markets takes over what another one leaves."""
    (words,) = typed(parts, "Add a standby")
    standby = parts.start(*words)
    await parts.until_up(standby, *(f"engine-{market}" for market in parts.first))
    assert await parts.end(old) == 0
    await until_owners_are(parts, dict.fromkeys(parts.first[:2], place(standby)))
    await until_taken(load, 30)


async def add(parts: Venue, load: PatientLoad) -> None:
    """A market is listed and taken up by whoever serves all, with no restart; halted and resumed through its log."""
    (adding, *changes) = typed(parts, "List, close and open a market")
    body = {"id": parts.added, "tickSize": "0.1", "lotSize": "0.001", "maxQuantity": "1000", "referencePrice": "60000"}
    path = parts.folder / "market.json"
    path.write_text(json.dumps(body))
    assert await parts.command(*[str(path) if word.endswith(".json") else word for word in adding]) == (
        0,
        f"{parts.added} is ACTIVE\n",
    )
    shown = [await parts.command(*words) for words in changes]
    assert shown == [(0, f"{parts.added} is {status}\n") for status in ("HALTED", "CANCEL_ONLY", "ACTIVE")]
    await until_owned(parts, *parts.names.values())
    await until_taken(load, 20)


async def nothing_is_lost(parts: Venue, load: PatientLoad) -> None:
    """Every order that was taken is there once and is answered; the drain and the audit agree."""
    for words in (("drain",), ("audit",)):
        code, printed = await parts.command(*words)
        assert code == 0, printed
    async with aiohttp.ClientSession(parts.url) as session:
        found = [order for trader in load.traders for order in await every(session, trader, "/orders")]
    assert {order["clientOrderId"]: order["orderId"] for order in found} == load.taken
    assert len(found) == len(load.taken)
    assert {order["status"] for order in found} <= LIVE_OR_ENDED


async def until_all_have_traded(parts: Venue) -> None:
    """Wait until each of the five markets has a fill."""
    async with session_to(parts.dsn) as session:

        async def all_have() -> bool:
            return bool(await session.fetchval("SELECT count(DISTINCT market_id) = $1 FROM fills", len(parts.names)))

        await eventually(all_have, OWNER_WITHIN_S)


async def until_owned(parts: Venue, *markets: str) -> dict[str, str]:
    """Wait until each market has one owner; who it is, as `status` reads it."""

    settings = load_settings({"DATABASE_URL": parts.dsn})

    async def owners() -> dict[str, str]:
        shown = {row["market"]: row["owner"] for row in await market_states(settings)}
        return shown if all("," not in (shown[market] or ",") for market in markets) else {}

    return await eventually(owners, OWNER_WITHIN_S, every_s=0.2)


async def until_owners_are(parts: Venue, wanted: dict[str, str]) -> None:
    """Wait until `status` shows these owners."""

    async def are() -> bool:
        return wanted.items() <= (await until_owned(parts, *wanted)).items()

    await eventually(are, OWNER_WITHIN_S, every_s=0.2)


def place(process: Any) -> str:
    """A process as `status` names it."""
    return f"{os.uname().nodename}:{process.pid}"


@asynccontextmanager
async def watched(parts: Venue) -> AsyncIterator[Pauses]:
    """Look every 20 ms how far each market is."""
    pauses = Pauses()
    async with session_to(parts.dsn) as session:
        looking = asyncio.create_task(_look(session, pauses))
        try:
            yield pauses
        finally:
            looking.cancel()
            await asyncio.wait([looking])


async def _look(session: Any, pauses: Pauses) -> None:
    while True:
        pauses.look(await read_persisted(session))
        await asyncio.sleep(LOOK_EVERY_S)
