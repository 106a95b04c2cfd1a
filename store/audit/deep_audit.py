"""An independent recomputation of every fee, profit, position, funding and wallet, to the micro.

It shares no arithmetic with the engine: everything is decimal here, written again from docs/semantics.md, and
read from what anyone can export: fills, funding payments, premiums, fundings, settlements, the ledger and prices. The
current state is read in one snapshot; its history, which never changes, is read page by page up to that snapshot.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Context, Decimal, localcontext

import asyncpg
import orjson

from store.advance import Advance, unseen
from store.audit.audit import Finding
from store.money.ledger import House
from store.session.connect import Session

TRADES_A_PAGE = 10_000
FINDINGS_MAX = 200
E6, E9, E18 = Decimal(10**6), Decimal(10**9), Decimal(10**18)
_EXACT = Context(prec=90)
"""No product here has so many digits, and a quotient is cut to a whole micro immediately."""

_STANDING = """
SELECT m.market_id, m.name, m.spec::text AS spec, p.event_seq,
  (SELECT coalesce(max(f.trade_id), 0) FROM fills f WHERE f.market_id = m.market_id) AS trades
FROM markets m JOIN progress p USING (market_id)
ORDER BY m.market_id
"""
_WALLETS = "SELECT user_id, wallet FROM accounts WHERE user_id > 0"
_HOUSE = "SELECT account, sum(amount) AS balance FROM ledger WHERE account IN (house_account('fees'), house_account('insurance')) GROUP BY account"
_TRANSFERS = "SELECT account, sum(amount) AS amount FROM ledger WHERE transfer_id IS NOT NULL GROUP BY account"
_LIQUIDATION_FEES = """
SELECT market_id, event_seq, account, amount FROM ledger WHERE type = 'LIQUIDATION_FEE' ORDER BY entry_id
"""
_POSITIONS = "SELECT market_id, user_id, lots, cost, realized, opened_seq FROM positions"
_FILLS = """
SELECT trade_id, role, event_seq, order_id, user_id, side, price, quantity, notional, fee, realized, position_after, cause FROM fills
WHERE market_id = $1 AND trade_id > $2 AND trade_id <= $3 AND event_seq <= $4 ORDER BY trade_id, role
"""
_FUNDINGS = """
SELECT f.*, (SELECT coalesce(sum(p.premium), 0) FROM premiums p
  WHERE p.market_id = f.market_id AND p.interval_end = f.interval_end AND p.event_seq < f.event_seq) AS sampled
FROM fundings f WHERE f.market_id = $1 AND f.event_seq <= $2 ORDER BY f.event_seq
"""
_PAYMENTS = "SELECT user_id, amount, lots FROM funding_payments WHERE market_id = $1 AND interval_end = $2"
_SETTLEMENTS = "SELECT * FROM settlements WHERE market_id = $1 AND event_seq <= $2 ORDER BY event_seq, user_id"
_STEPS = """
SELECT event_seq, order_key(market_id, (outcome->>'order')::int8) AS order_id FROM liquidation_steps
WHERE market_id = $1 AND outcome ? 'fee' AND event_seq <= $2
"""


@dataclass(slots=True)
class _Holding:
    """A position recomputed from its fills: signed quantity (base), money in micros."""

    quantity: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    realized: Decimal = Decimal(0)
    opened: int = 0

    def trade(self, quantity: Decimal, value: Decimal, event: int) -> Decimal:
        """Add a signed quantity worth a signed value; returns the profit of the part that closed."""
        if self.quantity * quantity >= 0:
            self._open(quantity, value, event)
            return Decimal(0)
        if abs(quantity) <= abs(self.quantity):
            return self._close(quantity, value)
        part = (value * -self.quantity / quantity).to_integral_value(ROUND_FLOOR)
        rest = quantity + self.quantity
        profit = self._close(-self.quantity, part)
        self._open(rest, value - part, event)
        return profit

    def _open(self, quantity: Decimal, value: Decimal, event: int) -> None:
        if self.quantity == 0:
            self.realized, self.opened = Decimal(0), event
        self.quantity += quantity
        self.cost += value

    def _close(self, quantity: Decimal, value: Decimal) -> Decimal:
        released = (self.cost * abs(quantity) / abs(self.quantity)).to_integral_value(ROUND_DOWN)
        profit = -value - released
        self.quantity += quantity
        self.cost -= released
        self.realized += profit
        if self.quantity == 0:
            self.opened = 0
        return profit


@dataclass(slots=True)
class _Books:
    """The recomputation of all markets: wallets by account (micros), and the differences."""

    wallets: defaultdict[int, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    findings: list[Finding] = field(default_factory=list)

    def compare(self, what: str, subject: str, expected: object, got: object) -> None:
        """Record a difference, up to FINDINGS_MAX of them."""
        if expected != got and len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(what, subject, str(expected), str(got)))


class _MarketRecomputation:
    """One market recomputed from its first event: positions, fees, fundings, settlement."""

    def __init__(self, market: asyncpg.Record, books: _Books) -> None:
        self.name, self.market_id, self.last = market["name"], market["market_id"], market["event_seq"]
        self.trades: int = market["trades"]
        spec = orjson.loads(market["spec"])
        self.tick, self.lot = Decimal(spec["tickSizeE18"]) / E18, Decimal(spec["lotSizeE18"]) / E18
        self.rates = {"MAKER": Decimal(spec["makerFeeRate"]) / E6, "TAKER": Decimal(spec["takerFeeRate"]) / E6}
        self.liquidation_rate = Decimal(spec["liquidationFeeRate"]) / E6
        self.hours, self.cap = Decimal(spec["fundingIntervalHours"]), Decimal(spec["fundingRateCap"]) / E6
        self.held: defaultdict[int, _Holding] = defaultdict(_Holding)
        self.charged: dict[tuple[int, str], tuple[Decimal, Decimal]] = {}
        self.closed: defaultdict[int, Decimal] = defaultdict(Decimal)
        self.books = books

    def fill(self, row: asyncpg.Record) -> None:
        """One side of a trade, or of a forced transfer."""
        subject = f"{self.name}-{row['trade_id']} {row['role']}"
        is_forced = row["cause"] in {"TAKE_OVER", "ADL"}
        quantity, price = row["quantity"] * self.lot, row["price"] * self.tick
        notional = Decimal(row["notional"]) if is_forced else quantity * price * E6
        self.books.compare("notional", subject, notional, Decimal(row["notional"]))
        fee = Decimal(0) if is_forced else self._fee(row, notional)
        self.books.compare("fee", subject, fee, Decimal(row["fee"]))
        sign = 1 if row["side"] == "BUY" else -1
        holding = self.held[row["user_id"]]
        profit = holding.trade(sign * quantity, sign * notional, row["event_seq"])
        self.books.compare("realized", subject, profit, Decimal(row["realized"]))
        if row["position_after"] is not None:  # releases before have none
            self.books.compare("position after", subject, holding.quantity, row["position_after"] * self.lot)
        self.books.wallets[row["user_id"]] += profit - fee
        self.books.wallets[House.FEES] += fee
        if row["cause"] == "LIQUIDATION" and row["role"] == "TAKER":
            self.closed[row["order_id"]] += notional

    def fund(self, row: asyncpg.Record, payments: Mapping[int, asyncpg.Record]) -> None:
        """One funding: its rate from its premiums, and what every position pays."""
        subject = f"{self.name} {row['interval_end']:%Y-%m-%dT%H:%M}"
        self.books.compare("premium sum", subject, Decimal(row["sampled"]), Decimal(row["premium_sum"]))
        rate = Decimal(0) if row["is_void"] else self._rate(Decimal(row["premium_sum"]) / E9)
        self.books.compare("funding rate", subject, rate, Decimal(row["rate"]) / E9)
        mark, paid = row["mark"] * self.tick, Decimal(0)
        for user in {*payments, *(user for user, holding in self.held.items() if holding.quantity)}:
            holding = self.held[user]
            due = (-holding.quantity * mark * rate * E6).to_integral_value(ROUND_FLOOR)
            amount = Decimal(payments[user]["amount"]) if user in payments else Decimal(0)
            self.books.compare("funding payment", f"{subject} user {user}", due, amount)
            self.books.wallets[user] += due
            paid += due
        self.books.compare("funding residue", subject, -paid, Decimal(row["residue"]))
        self.books.wallets[House.INSURANCE] -= paid

    def settle(self, row: asyncpg.Record) -> None:
        """One position closed when the market ended."""
        holding, subject = self.held[row["user_id"]], f"{self.name} user {row['user_id']}"
        self.books.compare("settled quantity", subject, holding.quantity, row["lots"] * self.lot)
        profit = holding.trade(-holding.quantity, -holding.quantity * row["price"] * self.tick * E6, row["event_seq"])
        self.books.compare("settled profit", subject, profit, Decimal(row["realized"]))
        self.books.wallets[row["user_id"]] += profit
        holding.realized = Decimal(0)  # a market that has ended keeps no positions

    def liquidation_fee(self, order: int, event: int, fee: Decimal) -> None:
        """The fee of a step is at most its rate of what its order closed."""
        most = (self.closed[order] * self.liquidation_rate).to_integral_value(ROUND_CEILING)
        if not 0 <= fee <= most:
            self.books.compare("liquidation fee at most", f"{self.name}:{event}", most, fee)

    def compare_positions(self, stored: Mapping[int, asyncpg.Record]) -> None:
        """The open positions must equal those in the tables."""
        for user in {*stored, *self.held}:
            holding, row = self.held[user], stored.get(user)
            got = [Decimal(row[name] if row is not None else 0) for name in ("lots", "cost", "realized", "opened_seq")]
            expected = [holding.quantity / self.lot, holding.cost, holding.realized, Decimal(holding.opened)]
            for name, one, other in zip(("size", "cost", "realized", "opened"), expected, got, strict=True):
                self.books.compare(f"position {name}", f"{self.name} user {user}", one, other)

    def _fee(self, row: asyncpg.Record, notional: Decimal) -> Decimal:
        """Cumulative by order and role, rounded up; a liquidation order pays no taker fee."""
        rate = self.rates[row["role"]]
        if row["cause"] == "LIQUIDATION" and row["role"] == "TAKER":
            rate = Decimal(0)
        total, charged = self.charged.get((row["order_id"], row["role"]), (Decimal(0), Decimal(0)))
        total += notional
        due = (total * rate).to_integral_value(ROUND_CEILING)
        self.charged[row["order_id"], row["role"]] = (total, due)
        return due - charged

    def _rate(self, premiums: Decimal) -> Decimal:
        """clamp((meanP + clamp(I - meanP, +-0.0005)) x N/8, +-cap), cut to 10^-9."""
        spread, interest, minutes = Decimal("0.0005"), Decimal("0.0001"), self.hours * 60
        pull = max(-spread * minutes, min(spread * minutes, interest * minutes - premiums))
        rate = ((premiums + pull) * self.hours * E9 / (8 * minutes)).to_integral_value(ROUND_DOWN) / E9
        return max(-self.cap, min(self.cap, rate))


async def deep_audit(session: Session, advance: Advance = unseen) -> list[Finding]:
    """The differences between the tables and the recomputation; empty when they agree to the micro."""
    with localcontext(_EXACT):
        books = _Books()
        async with session.transaction(isolation="repeatable_read", readonly=True):
            markets = await session.fetch(_STANDING)
            wallets = {row["user_id"]: Decimal(row["wallet"]) for row in await session.fetch(_WALLETS)}
            wallets |= {row["account"]: Decimal(row["balance"]) for row in await session.fetch(_HOUSE)}
            positions = await session.fetch(_POSITIONS)
            transfers = await session.fetch(_TRANSFERS)
            fees = await session.fetch(_LIQUIDATION_FEES)
        for row in (*transfers, *fees):
            books.wallets[row["account"]] += row["amount"]
        for market in markets:
            stored = {row["user_id"]: row for row in positions if row["market_id"] == market["market_id"]}
            recomputed = _MarketRecomputation(market, books)
            await _replay(session, recomputed, advance)
            await _check_liquidation_fees(session, recomputed, fees)
            recomputed.compare_positions(stored)
        for account in {
            *wallets,
            *(account for account in books.wallets if account in {House.INSURANCE, House.FEES} or account > 0),
        }:
            books.compare("wallet", f"account {account}", books.wallets[account], wallets.get(account, Decimal(0)))
        return books.findings


async def _replay(session: Session, market: _MarketRecomputation, advance: Advance) -> None:
    """Every fill, funding and settlement of a market, in the order of its events."""
    fundings = iter(await session.fetch(_FUNDINGS, market.market_id, market.last))
    upcoming = next(fundings, None)
    async for fill in _fills(session, market, advance):
        while upcoming is not None and upcoming["event_seq"] < fill["event_seq"]:
            await _fund(session, market, upcoming)
            upcoming = next(fundings, None)
        market.fill(fill)
    for funding in _rest(upcoming, fundings):
        await _fund(session, market, funding)
    for settlement in await session.fetch(_SETTLEMENTS, market.market_id, market.last):
        market.settle(settlement)


async def _fills(session: Session, market: _MarketRecomputation, advance: Advance) -> AsyncIterator[asyncpg.Record]:
    for after in range(0, market.trades, TRADES_A_PAGE):
        for row in await session.fetch(_FILLS, market.market_id, after, after + TRADES_A_PAGE, market.last):
            yield row
        advance(f"recomputing {market.name}", min(after + TRADES_A_PAGE, market.trades), market.trades)


async def _fund(session: Session, market: _MarketRecomputation, funding: asyncpg.Record) -> None:
    rows = await session.fetch(_PAYMENTS, market.market_id, funding["interval_end"])
    market.fund(funding, {row["user_id"]: row for row in rows})


async def _check_liquidation_fees(session: Session, market: _MarketRecomputation, fees: list[asyncpg.Record]) -> None:
    orders = {row["event_seq"]: row["order_id"] for row in await session.fetch(_STEPS, market.market_id, market.last)}
    for row in fees:
        if row["market_id"] == market.market_id and row["account"] != House.INSURANCE:
            market.liquidation_fee(orders.get(row["event_seq"], 0), row["event_seq"], Decimal(-row["amount"]))


def _rest(first: asyncpg.Record | None, others: Iterator[asyncpg.Record]) -> Iterator[asyncpg.Record]:
    if first is not None:
        yield first
        yield from others
