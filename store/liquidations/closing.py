"""The last rungs: the insurance fund takes a position over, or those of the other side are deleveraged."""

from collections.abc import Sequence
from typing import NamedTuple

from exchange.risk.liquidation import Candidate, adl_order, bankrupt_shares, counterparties, is_beyond_fund
from exchange.risk.liquidation_policy import Closure, Debtor
from schemas.commands import Counterparty, Deleverage, SetStatus, TakeOver
from schemas.ids import INSURANCE_FUND
from schemas.market import MarketStatus
from store.liquidations.accounts import lock_accounts, read_accounts
from store.liquidations.receipts import Receipt, account_receipt, closure_receipt, fund_receipt, ranking_receipt
from store.liquidations.writing import Episode, NewCommand, NewReceipt, append_commands
from store.session.connect import Session

_OTHER_SIDE = "SELECT user_id FROM positions WHERE market_id = $1 AND lots <> 0 AND sign(lots) = $2 AND user_id <> $3"
# Until it is persisted nobody knows what a deleveraging leaves of those on the other side: they neither order nor withdraw.
_HOLD = "UPDATE accounts SET liquidation_id = $2 WHERE user_id = ANY($1::int8[]) AND liquidation_id IS NULL"
_IN_FLIGHT = """
SELECT coalesce(sum((inputs->'closure'->>'equityShare')::numeric * 1000000) FILTER (WHERE action = 'TAKE_OVER'), 0)::int8
  AS shares, coalesce(bool_or(action = 'ADL'), false) AS is_deleveraging
FROM liquidation_steps WHERE done_at IS NULL AND command_seq IS NOT NULL AND action IN ('TAKE_OVER', 'ADL')
"""
_STATUS = "SELECT operator_status FROM markets WHERE market_id = $1"


class Case(NamedTuple):
    """An account on the last rungs, and the fund beside it, both locked. `in_flight`: E of take-overs under way."""

    episode: Episode
    debtor: Debtor
    fund: Debtor
    in_flight: int


class Closed(NamedTuple):
    """What was ordered: TAKE_OVER or ADL, and whether it leaves the fund below zero."""

    action: str
    is_fund_below_zero: bool


async def read_in_flight(session: Session) -> tuple[int, bool]:
    """The sum of E of all take-overs under way (micros), and whether a deleveraging is."""
    row = await session.fetchrow(_IN_FLIGHT)
    return (row["shares"], row["is_deleveraging"]) if row is not None else (0, False)


def needs_deleveraging(case: Case, closure: Closure) -> bool:
    """Whether the fund cannot take the position over without going below zero."""
    return is_beyond_fund(case.fund.equity + case.in_flight, closure.share.equity)


async def other_side(session: Session, closure: Closure) -> list[int]:
    """Who holds the opposite of the position; the fund does not count."""
    sign = -1 if closure.lots > 0 else 1
    return [row["user_id"] for row in await session.fetch(_OTHER_SIDE, closure.market_id, sign, INSURANCE_FUND)]


async def close(case: Case, closure: Closure, others: list[int], *, first: Sequence[NewCommand]) -> Closed:
    """Order the take-over, or the deleveraging against `others`, whose accounts are locked; the commands `first` go before it.

    Where the fund cannot take it and nobody can carry a part of it, the fund takes it below zero and the market closes.
    """
    held = next(each for each in case.debtor.held if each.market_id == closure.market_id)
    spec, mark = held.holding.spec, held.holding.mark
    inputs = account_receipt(case.debtor) | {
        "closure": closure_receipt(spec, closure),
        "fund": fund_receipt(case.fund, case.in_flight),
    }
    if not needs_deleveraging(case, closure):
        await _order(_Order(case.episode, closure, inputs, first))
        return Closed("TAKE_OVER", is_fund_below_zero=False)
    ranked = adl_order(await _candidates(case.episode.session, others, closure))
    chosen = counterparties(spec, mark, closure.lots, closure.share.amount, ranked)
    inputs |= {"ranking": ranking_receipt(spec, ranked, chosen)}
    if chosen:
        users = [each.user for each in chosen]
        await case.episode.session.execute(_HOLD, users, -case.episode.liquidation_id)
        await _order(_Order(case.episode, closure, inputs, first, chosen))
        return Closed("ADL", is_fund_below_zero=False)
    status = await _status_closing(case.episode, closure.market_id)
    await _order(_Order(case.episode, closure, inputs | {"fundBelowZero": True}, [*first, *status]))
    return Closed("TAKE_OVER", is_fund_below_zero=True)


async def _candidates(session: Session, others: list[int], closure: Closure) -> list[Candidate]:
    accounts = await read_accounts(session, others)
    return [
        candidate
        for user, account in accounts.items()
        if (candidate := _candidate(user, account.debtor, closure)) is not None
    ]


def _candidate(user: int, debtor: Debtor, closure: Closure) -> Candidate | None:
    """The account's opposite position; None where it has none any more, or where nobody can value the account."""
    shares = bankrupt_shares(debtor.wallet, debtor.holdings)
    for held, share in zip(debtor.held, shares, strict=True):
        if held.market_id == closure.market_id and held.lots * closure.lots < 0 and not debtor.is_unvalued:
            return Candidate(
                user=user,
                lots=held.lots,
                cost=held.holding.exposure.cost,
                mark_value=held.holding.spec.notional(held.holding.mark, held.lots),
                bankrupt_amount=share.amount,
                equity=debtor.equity,
                opened_seq=held.opened_seq,
            )
    return None


class _Order(NamedTuple):
    """A closure as it is ordered: why, which commands go before it, and who is deleveraged, if not the fund takes over."""

    episode: Episode
    closure: Closure
    inputs: Receipt
    first: Sequence[NewCommand]
    chosen: Sequence[Counterparty] = ()


async def _order(order: _Order) -> None:
    """The command, in one append with those before it, so that counters are locked in market order; and the receipt."""
    episode, closure = order.episode, order.closure
    step = await episode.next_step()
    named = (episode.now, episode.user, episode.liquidation_id, step, closure.lots, closure.cost, closure.share.amount)
    command = Deleverage(*named, tuple(order.chosen)) if order.chosen else TakeOver(*named)
    commands = [*order.first, NewCommand(closure.market_id, command)]
    *_, seq = await append_commands(episode.session, commands, episode.now)
    action = "ADL" if order.chosen else "TAKE_OVER"
    await episode.keep(NewReceipt(step, action, order.inputs, closure.market_id, seq))


async def _status_closing(episode: Episode, market_id: int) -> list[NewCommand]:
    """Take no more orders where the exchange could not close what it must; the operator decides how to go on."""
    if await episode.session.fetchval(_STATUS, market_id) != MarketStatus.ACTIVE:
        return []
    return [NewCommand(market_id, SetStatus(episode.now, MarketStatus.CANCEL_ONLY))]


async def lock_for_closing(session: Session, user: int, others: list[int]) -> None:
    """Lock the account, the fund and everyone who may be deleveraged, in the order everyone locks them."""
    await lock_accounts(session, [user, INSURANCE_FUND, *others])
