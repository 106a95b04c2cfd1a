"""Markets split over processes, moved and added under load, by the commands of docs/operate.md."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from app.local.process import free_port
from bench.exchange_process import ROOT
from store.schema.migrate import migrate
from tests.conftest import Broker
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.system.conftest import Measured
from tests.system.manual import Venue, typed, venue_on
from tests.system.owners import OWNER_WITHIN_S, place, until_owned, until_owners_are, watched
from tests.system.patient_load import PatientLoad, trading
from tests.system.verdict import LIVE_OR_ENDED, every, until_accepted

pytestmark = pytest.mark.timeout(400)


@pytest_asyncio.fixture
async def parts(postgres_dsn: str, broker: Broker, tmp_path: Path) -> AsyncIterator[Venue]:
    """Four markets in a database of their own; no process runs yet, no topic is there."""
    async with venue_on(postgres_dsn, broker, tmp_path) as venue:
        yield venue


async def test_markets_are_split_moved_and_added_under_load(parts: Venue, measured: Measured) -> None:
    """Four markets over three processes; one moves, one process ends with a standby, a fifth is listed: nothing is lost."""
    code, printed = await parts.command("topics")
    assert code == 0, printed
    (*places, api, relay, projection, first, second, third) = typed(parts, "Split the markets")
    for words in places:
        code, printed = await parts.command(*words)
        assert code == 0, printed
    for words in (api, relay, projection):
        parts.start(*words)
    first, second, third = [parts.start(*words) for words in (first, second, third)]
    await parts.until_ready()
    owners = await until_owned(parts, *parts.first)
    assert owners == dict(zip(parts.first, map(place, (first, first, second, third)), strict=True))
    reference = dict.fromkeys(parts.first, (60_000, 1, "0.00{}"))
    async with trading(parts.url, clients=2, reference=reference) as load, watched(parts) as pauses:
        await until_accepted(load, 30)
        measured("longest pause of a market without a change (s)", pauses.longest(parts.first))
        await place_elsewhere_and_back(parts, first, third, load)
        measured("longest pause while one market was placed elsewhere and back (s)", pauses.longest(parts.first))
        await move(parts, second, load)
        measured("longest pause of the market that moved (s)", pauses.longest([parts.first[2]]))
        await stand_in(parts, first, load)
        measured(
            "longest pause of markets whose process ended with a standby present (s)", pauses.longest(parts.first[:2])
        )
        await add(parts, load)
        reference[parts.added] = (60_000, 1, "0.00{}")
        await until_all_have_traded(parts)
    await nothing_is_lost(parts, load)


@pytest.mark.chaos
@pytest.mark.parametrize("release", ["this", "before shards"])
async def test_every_process_is_replaced_under_load(
    parts: Venue, measured: Measured, tmp_path: Path, release: str
) -> None:
    """An upgrade by the manual, from this release or the last one without shards: no request is cut, nothing is lost."""
    tree = ROOT if release == "this" else release_before(tmp_path / "before")
    code, printed = await parts.command("topics")
    assert code == 0, printed
    kinds = ("projection", "engine", "publisher", "relay", "clock", "liquidator", "api")
    old = {kind: parts.start(kind, tree=tree) for kind in kinds}
    await parts.until_ready()
    await until_owned(parts, *parts.first)
    reference = dict.fromkeys(parts.first, (60_000, 1, "0.00{}"))
    async with trading(parts.url, clients=2, reference=reference) as load, watched(parts) as pauses:
        await until_accepted(load, 30)
        await asyncio.to_thread(migrate, parts.dsn)
        for kind in kinds[:-1]:
            pauses.longest(parts.first)
            await replace(parts, kind, old[kind])
            await until_accepted(load, 30)
            measured(f"longest pause of a market while {kind} was replaced (s)", pauses.longest(parts.first))
        await replace_api(parts, old["api"], load)
        await until_accepted(load, 30)
        if release != "this":
            await go_back_and_forth(parts, tree)
            await until_accepted(load, 30)
    assert (load.cut, load.refused) == (0, 0)
    await nothing_is_lost(parts, load)


def release_before(folder: Path) -> Path:
    """A tree of the last commit without shards; skips where this is no clone with its history."""
    migration = "store/schema/migrations/sql/0031_market_shards.sql"
    found = _git("log", "--diff-filter=A", "--format=%H", "--", migration)
    if not found or _git("clone", "--quiet", "--no-checkout", str(ROOT), str(folder)) is None:
        pytest.skip("no history of the repository")
    _git("-C", str(folder), "checkout", "--quiet", f"{found.split()[-1]}~1")
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder


def _git(*words: str) -> str | None:
    """What git prints; None if it fails."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


async def go_back_and_forth(parts: Venue, tree: Path) -> None:
    """An engine of the release before joins once more, and leaves: the owner of the shard is not told, and does not mind."""
    again = parts.start("engine", tree=tree)
    await parts.until_up(again, *(f"engine-{market}" for market in parts.first))
    assert await parts.end(again) == 0


async def replace(parts: Venue, kind: str, old: Any) -> None:
    """The new one first; it is a standby, or works at once."""
    new = parts.start(kind)
    of_markets = kind in ("projection", "engine", "publisher", "relay")
    units = [f"{kind}-{market}" for market in parts.first] if of_markets else [kind]
    await parts.until_up(new, *units)
    assert await parts.end(old) == 0


async def replace_api(parts: Venue, old: Any, load: PatientLoad) -> None:
    """The new one on another port; the clients are sent there, and the old one answers the requests in flight."""
    before, parts.url = parts.url, f"http://127.0.0.1:{free_port()}"
    parts.start("api", PORT=parts.url.rpartition(":")[2])
    await parts.until_ready()
    load.url = parts.url
    assert before != load.url
    assert await parts.end(old) == 0


async def place_elsewhere_and_back(parts: Venue, there: Any, here: Any, load: PatientLoad) -> None:
    """A market is placed in a shard that another process serves, and back; both processes stay."""
    (words,) = typed(parts, "Place a market in another shard")
    market = parts.first[3]
    for placed, owner in ((words, there), (["market", "place", market], here)):
        code, printed = await parts.command(*placed)
        assert code == 0, printed
        await until_owners_are(parts, {market: place(owner)})
        await until_accepted(load, 30)


async def move(parts: Venue, old: Any, load: PatientLoad) -> None:
    """A market moves: the new process first, then the end of the old one."""
    (words,) = typed(parts, "Move a market")
    new = parts.start(*words)
    await parts.until_up(new, f"engine-{parts.first[2]}")
    assert await parts.end(old) == 0
    await until_owners_are(parts, {parts.first[2]: place(new)})
    await until_accepted(load, 30)


async def stand_in(parts: Venue, old: Any, load: PatientLoad) -> None:
    """A process that serves all markets takes over what another one leaves."""
    (words,) = typed(parts, "Add a standby")
    standby = parts.start(*words)
    await parts.until_up(standby, *(f"engine-{market}" for market in parts.first))
    assert await parts.end(old) == 0
    await until_owners_are(parts, dict.fromkeys(parts.first[:2], place(standby)))
    await until_accepted(load, 30)


async def add(parts: Venue, load: PatientLoad) -> None:
    """A market is listed and taken over by the process that serves all, with no restart; halted and resumed through its log."""
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
    await until_accepted(load, 20)


async def nothing_is_lost(parts: Venue, load: PatientLoad) -> None:
    """Every order that was accepted is there once and is answered; the drain and the audit agree."""
    for words in (("drain",), ("audit",)):
        code, printed = await parts.command(*words)
        assert code == 0, printed
    async with aiohttp.ClientSession(parts.url) as session:
        found = [order for trader in load.traders for order in await every(session, trader, "/orders")]
    assert {order["clientOrderId"]: order["orderId"] for order in found} == load.accepted
    assert len(found) == len(load.accepted)
    assert {order["status"] for order in found} <= LIVE_OR_ENDED


async def until_all_have_traded(parts: Venue) -> None:
    """Wait until each of the five markets has a fill."""
    async with session_to(parts.dsn) as session:

        async def all_have() -> bool:
            return bool(await session.fetchval("SELECT count(DISTINCT market_id) = $1 FROM fills", len(parts.names)))

        await eventually(all_have, OWNER_WITHIN_S)
