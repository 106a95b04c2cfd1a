"""Which shards a worker serves, and how a market is placed."""

import asyncio
from collections.abc import Mapping

import pytest
from click.testing import CliRunner

from agents.shard.placement import EVERYTHING, PlacementWatch, Scope, Served
from agents.worker.settings import StreamSettings
from app.cli import cli
from store.command_log.commands import MarketUnknown
from store.markets.placement import MAIN_SHARD, BadShard, Placed, place_markets, read_placement
from tests.eventually import eventually
from tests.store.account_builder import session_to

PLACEMENT = {
    "BTC-PERP": Placed("btc-perp"),
    "ETH-PERP": Placed("main"),
    "SOL-PERP": Placed("main", is_finished=True),
    "XRP-PERP": Placed("tail", is_finished=True),
}


@pytest.mark.parametrize(
    ("scope", "served"),
    [
        (EVERYTHING, {"btc-perp": {"BTC-PERP"}, "main": {"ETH-PERP", "SOL-PERP"}, "tail": {"XRP-PERP"}}),
        (Scope(["ETH-PERP"]), {"main": {"ETH-PERP", "SOL-PERP"}}),
        (Scope(["ETH-PERP"], ["tail"]), {"main": {"ETH-PERP", "SOL-PERP"}, "tail": {"XRP-PERP"}}),
        (Scope(shards=["btc-perp", "empty"]), {"btc-perp": {"BTC-PERP"}}),
        (Scope(["NEW-PERP"]), {}),
    ],
)
def test_a_worker_serves_whole_shards(scope: Scope, served: Mapping[str, set[str]]) -> None:
    """A market names its shard, with all that is in it; those that are finished are known as such."""
    shards, finished = scope.served(PLACEMENT)
    assert shards == served
    assert finished == {"SOL-PERP", "XRP-PERP"} & frozenset().union(*served.values())


async def test_placing_is_all_or_nothing(database: str) -> None:
    """Together in a named shard, each in one of its own, or nowhere."""
    async with session_to(database) as session:
        assert await read_placement(session) == dict.fromkeys(("BTC-PERP", "ETH-PERP"), Placed(MAIN_SHARD))
        assert await place_markets(session, ["BTC-PERP"], None) == {"BTC-PERP": "btc-perp"}
        with pytest.raises(MarketUnknown):
            await place_markets(session, ["ETH-PERP", "NOPE-PERP"], "hot")
        for name in ("", "Main", "a b", "x" * 33):
            with pytest.raises(BadShard):
                await place_markets(session, ["ETH-PERP"], name)
        assert await read_placement(session) == {"BTC-PERP": Placed("btc-perp"), "ETH-PERP": Placed(MAIN_SHARD)}


async def test_a_worker_follows_the_placement(database: str, tmp_path: object) -> None:
    """It is called at the start and at each change, and not otherwise."""
    seen: list[Served] = []

    async def follow(served: Served) -> None:
        seen.append(served)

    async with session_to(database) as session:
        watch = PlacementWatch(Scope(["BTC-PERP"]), StreamSettings(database, "", tmp_path), follow)
        await watch.start()
        await eventually(lambda: len(seen) == 1)
        await place_markets(session, ["BTC-PERP"], None)
        await eventually(lambda: len(seen) == 2)
        await asyncio.sleep(0.6)
        await watch.stop()
    assert [each.shards for each in seen] == [{"main": {"BTC-PERP", "ETH-PERP"}}, {"btc-perp": {"BTC-PERP"}}]


async def test_an_operator_places_markets(database: str) -> None:
    """What it prints, what `status` shows, and how it refuses."""

    def typed(*words: str) -> tuple[int, str]:
        result = CliRunner(env={"DATABASE_URL": database}).invoke(cli, words)
        return result.exit_code, result.output

    assert await asyncio.to_thread(typed, "market", "place", "BTC-PERP", "ETH-PERP", "--shard", "majors") == (
        0,
        "BTC-PERP is in shard majors\nETH-PERP is in shard majors\n",
    )
    assert await asyncio.to_thread(typed, "market", "place", "ETH-PERP") == (0, "ETH-PERP is in shard eth-perp\n")
    code, printed = await asyncio.to_thread(typed, "market", "place", "ETH-PERP", "--shard", "Bad Name")
    assert code == 2
    assert "no name of a shard" in printed
    _, shown = await asyncio.to_thread(typed, "status", "--json")
    assert '"shard": "majors"' in shown
    assert '"shard": "eth-perp"' in shown
