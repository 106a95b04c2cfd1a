"""The demo runs for days: it trades all the time, and nothing grows."""

from collections import Counter
from itertools import pairwise

import pytest

from app.demo.trader import POSITION_MAX
from app.demo.users import DEPOSITS, TRADERS
from schemas.events import TradeExecuted
from schemas.orders import Side
from schemas.units import SECOND_US
from tests.app.demo.days import MAKER, NAMES, TRADER_IDS, DemoDays
from tests.exchange.builders import USDC

HOUR_S = 3_600
DAYS = pytest.param(72 * HOUR_S, marks=[pytest.mark.chaos, pytest.mark.timeout(1_800)], id="three days")
LEVELS_MIN = 15
LIVE_MAX = 80
"""Orders in one market: 46 of the maker, and of the traders what waits for up to 90 s."""


class Watch:
    """What may not go wrong after any round, and how often positions have changed their sign."""

    def __init__(self) -> None:
        self.flips: Counter[tuple[str, int]] = Counter()
        self._signs: dict[tuple[str, int], int] = {}

    def look(self, demo: DemoDays) -> None:
        """Levels, orders, positions and money, now."""
        for market in NAMES:
            assert all(demo.levels(market, MAKER, side) >= LEVELS_MIN for side in Side)
            assert sum(len(client.live(market)) for client in demo.clients.values()) < LIVE_MAX
            for user in TRADER_IDS:
                self._position(demo, market, user)
        for user, name in zip(TRADER_IDS, TRADERS, strict=True):
            assert 0.4 < demo.exchange.wallets[user] / USDC / DEPOSITS[name] < 2.2

    def _position(self, demo: DemoDays, market: str, user: int) -> None:
        value = demo.value(market, user)
        assert abs(value) < 2 * POSITION_MAX  # what waits may fill too, and prices move
        sign = (value > 0) - (value < 0)
        if sign:
            self.flips[market, user] += self._signs.get((market, user), sign) != sign
            self._signs[market, user] = sign


@pytest.mark.parametrize("seconds", [pytest.param(HOUR_S / 2, id="half an hour"), DAYS])
async def test_the_demo_trades_and_nothing_grows(seconds: float) -> None:
    """Every market trades some times a minute and has 15 levels a side; positions come back, and money and orders stay bounded."""
    demo, watch = DemoDays(seed=7), Watch()
    await demo.run(seconds, watch.look)
    assert all(3 < demo.market(market).trade_seq / (seconds / 60) < 30 for market in NAMES)
    assert max(later.at - earlier.at for earlier, later in pairwise(demo.exchange.trades)) < 60 * SECOND_US
    assert all(watch.flips[market, user] >= seconds / HOUR_S for market in NAMES for user in TRADER_IDS)
    assert sum(demo.exchange.transfers.values()) <= len(DEPOSITS) * (1 + seconds / (24 * HOUR_S))
    assert sum(market.position_of(user) for market in demo.exchange.markets.values() for user in demo.clients) == 0


async def test_the_same_seed_trades_the_same() -> None:
    """Ten minutes, to the last trade; another seed trades otherwise."""
    first, again, other = [await _trades(seed) for seed in (7, 7, 8)]
    assert first == again
    assert first != other
    assert len(first) > 60


async def _trades(seed: int) -> list[TradeExecuted]:
    demo = DemoDays(seed)
    await demo.run(600, lambda _: None)
    return demo.exchange.trades
