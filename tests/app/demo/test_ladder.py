"""The quotes of the demo's market maker."""

from decimal import Decimal
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from app.demo.ladder import LEVELS, SPARE, Changes, Ladder, Quote, Resting
from app.demo.terms import Terms

TERMS = Terms("BTC-PERP", Decimal("0.1"), Decimal("0.001"), Decimal(60_000), step=120, is_active=True)
MIDDLE = TERMS.mark_ticks
LADDER = Ladder("BTC-PERP", 7)
_numbers = count(1)


def _resting(quotes: list[Quote]) -> list[Resting]:
    return [Resting(f"BTC-PERP-{next(_numbers)}", *quote) for quote in quotes]


def _after(resting: list[Resting], changes: Changes) -> list[Resting]:
    """What rests once the changes are made."""
    kept = [order for order in resting if order.order_id not in changes.cancel]
    return kept + _resting(changes.place)


def _prices(resting: list[Resting], side: str) -> list[int]:
    return [order.price for order in resting if order.side == side]


def test_an_empty_book_gets_all_levels_nearest_first() -> None:
    """Twenty bids below the mark and twenty offers above it, all at different prices, each worth 5,000 to 25,000 USDC."""
    cancel, place = LADDER.changes(TERMS, MIDDLE, [])
    assert cancel == []
    assert [sum(quote.side == side for quote in place) for side in ("BUY", "SELL")] == [LEVELS, LEVELS]
    assert len({quote.price for quote in place}) == 2 * LEVELS
    assert place == sorted(place, key=lambda quote: abs(quote.price - MIDDLE))
    assert all(4_990 <= TERMS.notional_of(quote.lots) <= 25_200 for quote in place)


def test_a_move_of_a_step_changes_only_the_ends() -> None:
    """The mark rises by 12 USDC: at most two quotes of each side are new, and two at the top are cancelled."""
    resting = _resting(LADDER.changes(TERMS, MIDDLE, []).place)
    cancel, place = LADDER.changes(TERMS, MIDDLE + TERMS.step, resting)
    assert 1 <= len(place) <= 4
    assert len(cancel) <= 2


def test_a_quote_that_is_half_gone_is_replaced() -> None:
    """Cancelled, and placed again in full."""
    resting = _resting(LADDER.changes(TERMS, MIDDLE, []).place)
    first = resting[0]
    worn = [first._replace(lots=first.lots // 2 - 1), *resting[1:]]
    assert LADDER.changes(TERMS, MIDDLE, worn) == Changes(
        [first.order_id], [Quote(first.side, first.price, first.lots)]
    )


def test_a_side_that_is_not_wanted_is_cancelled() -> None:
    """With too large a position it only quotes what reduces it."""
    resting = _resting(LADDER.changes(TERMS, MIDDLE, []).place)
    cancel, place = LADDER.changes(TERMS, MIDDLE, resting, ["SELL"])
    assert sorted(cancel) == sorted(order.order_id for order in resting if order.side == "BUY")
    assert place == []


@given(
    moves=st.lists(st.integers(-2_000, 2_000), max_size=6),
    worn=st.lists(st.integers(0, 2 * LEVELS), max_size=8),
)
def test_wherever_the_mark_goes_the_quotes_are_right_after_one_round(moves: list[int], worn: list[int]) -> None:
    """Each side has 20 to 23 levels and no price twice, bids are below offers, and a second look finds nothing to change."""
    middle, resting = MIDDLE, list[Resting]()
    for move in moves:
        middle += move
        resting = [order._replace(lots=1) if place in worn else order for place, order in enumerate(resting)]
        resting = _after(resting, LADDER.changes(TERMS, middle, resting))
        bids, offers = _prices(resting, "BUY"), _prices(resting, "SELL")
        assert max(bids) < middle < min(offers)
        for side in (bids, offers):
            assert LEVELS <= len(side) <= LEVELS + SPARE
            assert len(set(side)) == len(side)
        assert LADDER.changes(TERMS, middle, resting) == Changes([], [])
