"""The rank shown on a position: which fifth of its side is deleveraged first (docs/semantics.md, "Liquidation")."""

from schemas.units import Timestamp
from store.queries.accounts.adl import AdlRanks
from store.session.connect import Session
from tests.store.account_builder import NOW, USDC, hold, session_to, user_with

BTC, ETH = "BTC-PERP", "ETH-PERP"


async def holder(session: Session, lots: int, entry: int, wallet: int = 10_000) -> int:
    """A user with this much money and a position in BTC-PERP, from an entry price (USDC); the mark is 60,000."""
    user = await user_with(session, wallet * USDC)
    await hold(session, user, 1, lots=lots, cost=lots * entry * USDC // 1_000)
    return user


async def ranks_of(session: Session, users: list[int]) -> list[int]:
    """What a fresh reading says of them, in BTC-PERP."""
    ranks = await AdlRanks().of(session, NOW, [(user, BTC) for user in users])
    return [ranks[user, BTC] for user in users]


async def test_each_fifth_of_a_side_has_its_rank(database: str) -> None:
    """Ten longs of 1 BTC, the further below 60,000 they bought the sooner: 4 4 3 3 2 2 1 1 0 0."""
    async with session_to(database) as session:
        users = [await holder(session, 1_000, 59_000 + 50 * n) for n in range(10)]
        assert await ranks_of(session, users) == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]


async def test_the_only_one_of_a_side_is_the_first(database: str) -> None:
    """4 for a long and for a short that are alone on their side."""
    async with session_to(database) as session:
        users = [await holder(session, 1_000, 60_000), await holder(session, -1_000, 60_000)]
        assert await ranks_of(session, users) == [4, 4]


async def test_profit_counts_by_its_leverage_and_loss_against_it(database: str) -> None:
    """Same profit: the smaller equity comes first. Same loss: the smaller equity too, its loss is divided by more: 4, 2, 1, 0."""
    async with session_to(database) as session:
        winners = [await holder(session, 1_000, 59_000, wallet) for wallet in (50_000, 5_000)]
        losers = [await holder(session, 1_000, 61_000, wallet) for wallet in (50_000, 5_000)]
        assert await ranks_of(session, [*winners, *losers]) == [2, 4, 0, 1]


async def test_who_has_no_equity_is_not_in_the_queue(database: str) -> None:
    """Long 1 from 61,000 with 1,000: no equity is left. This account has 0, those ranked before it are not pushed back."""
    async with session_to(database) as session:
        users = [await holder(session, 1_000, 61_000, wallet) for wallet in (1_000, 1_001)]
        assert await ranks_of(session, users) == [0, 4]


async def test_the_older_position_comes_first_among_equals(database: str) -> None:
    """Same score: by the event at which the position last left zero."""
    async with session_to(database) as session:
        users = [await holder(session, 1_000, 60_000) for _ in range(2)]
        await session.execute("UPDATE positions SET opened_seq = 10 - user_id")
        assert await ranks_of(session, users) == [0, 4]


async def test_equity_is_of_all_markets(database: str) -> None:
    """Two longs alike in BTC; one has lost 4,000 in ETH, so that its profit is leveraged more."""
    async with session_to(database) as session:
        users = [await holder(session, 1_000, 59_000) for _ in range(2)]
        await hold(session, users[1], 2, lots=100, cost=7_000 * USDC)
        assert await ranks_of(session, users) == [0, 4]


async def test_bitmex_example_lights_5_4_3_2_2_1(database: str) -> None:
    """Longs of 10, 20, 30, 10, 10 and 20 by rank: their last lots are at 10, 30, 60, 70, 80 and 100 % of the open interest."""
    async with session_to(database) as session:
        users = [
            await holder(session, lots, 57_000 + 100 * n, 10**6) for n, lots in enumerate((10, 20, 30, 10, 10, 20))
        ]
        await session.execute(
            "UPDATE accounts SET wallet = 1000 * lots FROM positions p WHERE p.user_id = accounts.user_id"
        )
        await session.execute("UPDATE accounts SET wallet = wallet * 1000")
        assert [rank + 1 for rank in await ranks_of(session, users)] == [5, 4, 3, 2, 2, 1]


async def test_ranks_count_lots_not_accounts(database: str) -> None:
    """One long of 90 in front of nine of 1: the nine are in the last fifth, however many they are."""
    async with session_to(database) as session:
        users = [await holder(session, 90, 57_000), *[await holder(session, 1, 59_000 + n) for n in range(9)]]
        await session.execute("UPDATE positions SET opened_seq = user_id")
        assert (await ranks_of(session, users))[1:] == [0] * 9


async def test_the_fund_is_not_ranked(database: str) -> None:
    """Its inventory affects nobody's rank."""
    async with session_to(database) as session:
        user = await holder(session, 1_000, 60_000)
        await hold(session, -3, 1, lots=5_000, cost=1)
        assert await ranks_of(session, [user]) == [4]


async def test_ranks_are_read_once_a_second_and_for_whom_they_lack(database: str) -> None:
    """A second holder is found at once; that the first has fallen behind shows a second later."""
    async with session_to(database) as session:
        ranks, first = AdlRanks(), await holder(session, 1_000, 60_000)
        assert await ranks.of(session, NOW, [(first, BTC)]) == {(first, BTC): 4}
        second = await holder(session, 1_000, 59_000)
        assert await ranks.of(session, NOW, [(first, BTC)]) == {(first, BTC): 4}
        assert await ranks.of(session, NOW, [(second, BTC)]) == {(second, BTC): 4}
        await session.execute("UPDATE positions SET cost = 61000000000 WHERE user_id = $1", second)
        assert await ranks.of(session, NOW, [(first, BTC)]) == {(first, BTC): 0}
        later = Timestamp(NOW + 1_000_001)
        assert await ranks.of(session, later, [(first, BTC)]) == {(first, BTC): 4}
        assert await ranks.of(session, later, []) == {}
