"""What the traders of the demo draw."""

from collections import Counter
from itertools import islice, takewhile

from app.demo.flow import NOTIONAL_MAX, Intent, order_flow

MARKETS = ["BTC-PERP", "ETH-PERP"]
HOURS = 12


def _first(seed: int, seconds: float) -> list[Intent]:
    return list(takewhile(lambda intent: intent.at_s < seconds, order_flow(MARKETS, seed, traders=4)))


def test_the_same_seed_draws_the_same_orders() -> None:
    """And another seed draws others."""
    assert list(islice(order_flow(MARKETS, 7, 4), 500)) == list(islice(order_flow(MARKETS, 7, 4), 500))
    assert _first(7, 600) != _first(8, 600)


def test_each_market_has_some_orders_a_minute_and_sometimes_a_burst() -> None:
    """Ten a minute in a calm; every few minutes at least eight within fifteen seconds, all on one side. Nobody is left out."""
    drawn = _first(7, HOURS * 3_600)
    assert [intent.at_s for intent in drawn] == sorted(intent.at_s for intent in drawn)
    assert {intent.trader for intent in drawn} == set(range(4))
    assert max(intent.notional for intent in drawn) <= NOTIONAL_MAX
    for market in MARKETS:
        calm = [intent for intent in drawn if intent.market == market and not intent.mood]
        assert 8 < len(calm) / (HOURS * 60) < 12
        burst = Counter(int(intent.at_s) // 60 for intent in drawn if intent.market == market and intent.mood)
        assert 5 * HOURS < len(burst) < 25 * HOURS
        assert all(intent.takes for intent in drawn if intent.mood)
