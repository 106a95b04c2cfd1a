"""Rules that both Python and SQL compute: maintenance, liquidation, ADL score and a reduce-only order's excess agree."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.risk.account import Exposure
from exchange.risk.deleveraging import adl_rank, adl_score
from exchange.risk.liquidation import is_liquidatable
from exchange.risk.margin import maintenance
from exchange.risk.order_filters import reduce_only_excess
from schemas.orders import Side
from schemas.risk_tiers import RiskTier
from schemas.units import Ppm
from schemas.wire import encode
from store.liquidations.account_scan import scan_accounts
from tests.exchange.margin_builders import BTC
from tests.exchange.test_risk_tiers import any_tiers
from tests.store.account_builder import USDC, hold, session_to, user_with

MICROS = st.integers(-(10**18), 10**18)
VALUES = st.one_of(st.integers(-(10**6), 10**6), MICROS).filter(bool)
LOTS = st.one_of(st.integers(1, 20), st.integers(1, 10**15))
EXAMPLES = settings(max_examples=300, deadline=None)


def computed(session: psycopg.Connection[Any], function: str, *arguments: int) -> Any:
    """What a function of the database answers."""
    places = ", ".join(["%s"] * len(arguments))
    row = session.execute(f"SELECT {function}({places})", arguments).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def test_maintenance_is_the_same_in_sql(database: str) -> None:
    """Rounded up, for any size, mark and rate, up to the largest value that a position can have."""
    with psycopg.connect(database) as session:

        @EXAMPLES
        @given(lots=st.integers(-(10**9), 10**9), mark=st.integers(1, 10**7), rate=st.integers(1, 999_999))
        def agrees(lots: int, mark: int, rate: int) -> None:
            spec = replace(BTC, maintenance_margin_rate=Ppm(rate))
            expected = maintenance(spec, Exposure(leverage=20, lots=lots), mark)
            assert computed(session, "maintenance_margin", spec.notional(mark, lots), rate) == expected

        agrees()


MAINTENANCE_OF_TIERS = """
SELECT r.base + maintenance_margin(abs(v.value) - r.above, r.rate) FROM market_risk_tiers r CROSS JOIN (VALUES (%s::int8)) v(value)
WHERE r.market_id = 1 AND abs(v.value) >= r.above AND abs(v.value) < r.up_to
"""


def test_maintenance_of_risk_tiers_is_the_same_in_sql(database: str) -> None:
    """For any tiers, or none, and any position, at a border too: one row of the view, and the same margin."""
    with psycopg.connect(database) as session:

        @EXAMPLES
        @given(tiers=st.one_of(st.just(()), any_tiers()), value=MICROS, near=st.integers(-1, 1))
        def agrees(tiers: tuple[RiskTier, ...], value: int, near: int) -> None:
            spec = replace(BTC, risk_tiers=tiers)
            session.execute("UPDATE markets SET spec = %s::jsonb WHERE market_id = 1", [encode(spec).decode()])
            for asked in (value, value % 10**12, *(tier.notional_up_to + near for tier in tiers)):
                rows = session.execute(MAINTENANCE_OF_TIERS, [asked]).fetchall()
                assert rows == [(spec.maintenance_curve.margin(abs(asked)),)]

        agrees()
        session.rollback()


def test_the_liquidation_trigger_is_the_same_in_sql(database: str) -> None:
    """Also where equity equals maintenance or differs by one micro, and without a position."""
    with psycopg.connect(database) as session:

        @EXAMPLES
        @given(kept=st.integers(0, 10**18), above=st.one_of(st.integers(-1, 1), MICROS))
        def agrees(kept: int, above: int) -> None:
            assert computed(session, "is_liquidatable", kept + above, kept) is is_liquidatable(kept + above, kept)

        agrees()


def test_the_excess_of_a_reduce_only_order_is_the_same_in_sql(database: str) -> None:
    """Rounded down, for any side, price, loss, fee and rate; a buy's loss is part of its margin price."""
    with psycopg.connect(database) as session:

        @EXAMPLES
        @given(
            side=st.sampled_from(list(Side)),
            mark=st.integers(1, 10**17),
            loss=st.one_of(st.just(0), st.integers(0, 10**17)),
            fee=st.integers(0, 10**16),
            rate=st.integers(1, 10**6),
        )
        def agrees(side: Side, mark: int, loss: int, fee: int, rate: int) -> None:
            spec = replace(BTC, initial_margin_rate=Ppm(rate))
            value = mark + (loss if side is Side.BUY else 0)
            expected = reduce_only_excess(spec, side, value, loss, fee)
            row = session.execute(
                "SELECT reduce_only_excess(%s, %s, %s, %s, %s)", (side, value, loss, fee, rate)
            ).fetchone()
            assert row == (expected,)

        agrees()


def test_the_adl_score_is_the_same_in_sql(database: str) -> None:
    """In profit and in loss, long and short, with any share of the account's equity."""
    with psycopg.connect(database) as session:

        @EXAMPLES
        @given(value=VALUES, cost=MICROS, share=MICROS)
        def agrees(value: int, cost: int, share: int) -> None:
            score: Decimal = computed(session, "adl_score", value, cost, value - share)
            assert abs(Fraction(score) - adl_score(value, cost, value - share)) < Fraction(1, 10**6)

        agrees()


def test_the_adl_rank_is_the_same_in_sql(database: str) -> None:
    """For any place in the queue, alone on the side too; BitMEX's example gives 5, 4, 3, 2, 2 and 1 lights."""
    sizes = (10, 20, 30, 10, 10, 20)
    assert [adl_rank(sum(sizes[:n]), size, 100) + 1 for n, size in enumerate(sizes)] == [5, 4, 3, 2, 2, 1]
    assert adl_rank(0, 7, 7) == 4
    with psycopg.connect(database) as session:

        @EXAMPLES
        @given(ahead=st.one_of(st.just(0), LOTS), size=LOTS, after=st.one_of(st.just(0), LOTS))
        def agrees(ahead: int, size: int, after: int) -> None:
            total = ahead + size + after
            assert computed(session, "adl_rank", ahead, size, total) == adl_rank(ahead, size, total)

        agrees()


async def test_the_scan_of_all_accounts_finds_maintenance_to_the_micro(database: str) -> None:
    """Long 0.001 from 60,000 keeps 0.3: an account with that equity is found, one with a micro more is not."""
    async with session_to(database) as session:
        users = [await user_with(session, 300_000 + more) for more in (0, 1)]
        for user in users:
            await hold(session, user, 1, lots=1, cost=60 * USDC)
        assert [verdict.user_id for verdict in await scan_accounts(session) if verdict.is_liquidatable] == users[:1]
