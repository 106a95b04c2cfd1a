"""The periodic audit: what conservation needs in one short snapshot, the rest in pages.

The whole audit (store/audit/audit.py) reads every fill and every entry; this one reads the entries since a checkpoint, and the
accounts page by page, so its run time does not grow with the history of the exchange.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import orjson

from schemas.commands import SetStatus
from schemas.market import MarketStatus
from schemas.units import Timestamp, datetime_of
from store.command_log.commands import append_command
from store.session.connect import PLAN_FOR_ALL, Session

ENTRIES_A_PAGE = 20_000
ENTRIES_OVERLAP = 5_000
"""The entries of one transaction are close together; entries of other transactions can lie between them."""
ACCOUNTS_A_PAGE = 500

_LAST_ENTRY = "SELECT last_value FROM ledger_entry_id_seq"
_CANDIDATE = """
UPDATE audit_checkpoint SET next_entry_id = $1, next_xmax = pg_snapshot_xmax(pg_current_snapshot())
WHERE next_entry_id IS NULL OR next_entry_id <= entry_id
"""
_ADVANCE = """
WITH bound AS (
  SELECT entry_id, least(next_entry_id, entry_id + $1) AS up_to FROM audit_checkpoint
  WHERE next_entry_id > entry_id AND next_xmax <= pg_snapshot_xmin(pg_current_snapshot())
), fresh AS (
  SELECT b.entry_id, b.up_to, s.* FROM bound b CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount) FILTER (WHERE account = house_account('external')), 0) AS external,
      coalesce(sum(amount) FILTER (WHERE account = house_account('fees')), 0) AS fees,
      coalesce(sum(amount) FILTER (WHERE account = house_account('insurance')), 0) AS insurance,
      coalesce(sum(amount) FILTER (WHERE account = house_account('clearing')), 0) AS clearing,
      coalesce(sum(amount) FILTER (WHERE account > 0), 0) AS users
    FROM ledger l WHERE l.entry_id > b.entry_id AND l.entry_id <= b.up_to) s
)
UPDATE audit_checkpoint c SET entry_id = f.up_to, external = c.external + f.external, fees = c.fees + f.fees,
  insurance = c.insurance + f.insurance, clearing = c.clearing + f.clearing, users = c.users + f.users
FROM fresh f RETURNING f.entry_id AS low, f.up_to AS high
"""
_SUMS = """
WITH fresh AS (
  SELECT coalesce(sum(amount) FILTER (WHERE account = house_account('external')), 0) AS external,
    coalesce(sum(amount) FILTER (WHERE account = house_account('fees')), 0) AS fees,
    coalesce(sum(amount) FILTER (WHERE account = house_account('insurance')), 0) AS insurance,
    coalesce(sum(amount) FILTER (WHERE account = house_account('clearing')), 0) AS clearing,
    coalesce(sum(amount) FILTER (WHERE account > 0), 0) AS users
  FROM ledger WHERE entry_id > (SELECT entry_id FROM audit_checkpoint)
)
SELECT c.external + f.external AS external, c.fees + f.fees AS fees, c.insurance + f.insurance AS insurance,
  c.clearing + f.clearing AS clearing, c.users + f.users AS users,
  (SELECT coalesce(sum(wallet), 0) FROM accounts) AS wallets,
  (SELECT coalesce(sum(cost), 0) FROM positions WHERE lots <> 0 OR cost <> 0) AS costs
FROM audit_checkpoint c, fresh f
"""
_SIZES = """
SELECT m.name, sum(p.lots) AS lots FROM positions p JOIN markets m USING (market_id) WHERE p.lots <> 0
GROUP BY m.name HAVING sum(p.lots) <> 0
"""
_TRANSACTIONS = """
SELECT m.name AS market, coalesce('event ' || l.event_seq, 'transfer ' || l.transfer_id) AS subject, sum(l.amount) AS got
FROM ledger l LEFT JOIN markets m USING (market_id)
WHERE l.entry_id > $1::int8 - $3::int8 AND l.entry_id <= $2::int8 + $3::int8
GROUP BY m.name, l.event_seq, l.transfer_id
HAVING min(l.entry_id) > $1 AND min(l.entry_id) <= $2 AND sum(l.amount) <> 0
"""
_BALANCES = """
SELECT m.name AS market, 'entry ' || l.entry_id AS subject, coalesce(b.balance_after, 0) + l.amount AS expected,
  l.balance_after AS got
FROM ledger l LEFT JOIN markets m USING (market_id)
LEFT JOIN LATERAL (SELECT x.balance_after FROM ledger x WHERE x.account = l.account AND x.account > 0
  AND x.entry_id < l.entry_id ORDER BY x.entry_id DESC LIMIT 1) b ON true
WHERE l.entry_id > $1 AND l.entry_id <= $2 AND l.account > 0
  AND l.balance_after IS DISTINCT FROM coalesce(b.balance_after, 0) + l.amount
"""
_PAGE = "SELECT max(user_id) FROM (SELECT user_id FROM accounts WHERE user_id > $1 ORDER BY user_id LIMIT $2) p"
_WALLETS = """
SELECT 'user ' || a.user_id AS subject, coalesce(b.balance_after, 0) AS expected, a.wallet AS got
FROM accounts a LEFT JOIN LATERAL (SELECT x.balance_after FROM ledger x WHERE x.account = a.user_id AND x.account > 0
  ORDER BY x.entry_id DESC LIMIT 1) b ON true
WHERE a.user_id > $1 AND a.user_id <= $2 AND a.wallet <> coalesce(b.balance_after, 0)
"""
_MARGIN_SUMS = """
SELECT v.name AS market, 'user ' || p.user_id AS subject,
  l.notional + l.lots + l.losses + l.live + l.reduce_notional + l.reduce_lots + l.reduce_costs AS expected,
  p.buy_notional + p.sell_notional + p.buy_lots + p.sell_lots + p.open_loss + p.open_fees + p.live_orders
    + r.notional + r.lots + r.costs AS got
FROM positions p JOIN market_lot_values v USING (market_id)
CROSS JOIN LATERAL (
  SELECT count(*) AS live, coalesce(sum(o.counted), 0) AS lots,
    coalesce(sum(o.counted * (o.loss_per_lot + o.fee_per_lot)), 0) AS losses,
    coalesce(sum(o.counted * o.margin_price * v.lot_value), 0) AS notional,
    coalesce(sum(o.counted) FILTER (WHERE o.reduce_only), 0) AS reduce_lots,
    coalesce(sum(o.counted * (2 * o.loss_per_lot + o.fee_per_lot + o.excess_per_lot)) FILTER (WHERE o.reduce_only), 0)
      AS reduce_costs,
    coalesce(sum(o.counted * o.margin_price * v.lot_value) FILTER (WHERE o.reduce_only), 0) AS reduce_notional
  FROM (SELECT *, remaining + amend_lots AS counted FROM orders) o
  WHERE o.user_id = p.user_id AND o.market_id = p.market_id AND o.is_live) l
CROSS JOIN LATERAL (
  SELECT (p.reduce_buy_lots + p.reduce_sell_lots)::numeric AS lots,
    (p.reduce_buy_cost + p.reduce_sell_cost + p.reduce_loss + p.reduce_excess)::numeric AS costs,
    (p.reduce_buy_notional + p.reduce_sell_notional)::numeric AS notional) r
WHERE p.user_id > $1 AND p.user_id <= $2
  AND (l.live, l.lots, l.losses, l.notional, l.reduce_lots, l.reduce_costs, l.reduce_notional) IS DISTINCT FROM
    (p.live_orders::int8, (p.buy_lots + p.sell_lots)::numeric, (p.open_loss + p.open_fees)::numeric,
    (p.buy_notional + p.sell_notional)::numeric, r.lots, r.costs, r.notional)
"""
_WAITING_SUMS = """
SELECT m.name AS market, 'user ' || p.user_id AS subject, w.orders + w.lots + w.closing AS expected,
  p.waiting_orders + p.waiting_buy_lots + p.waiting_sell_lots + p.closing_buys + p.closing_sells AS got
FROM positions p JOIN markets m USING (market_id)
CROSS JOIN LATERAL (
  SELECT count(*) AS orders, count(*) FILTER (WHERE o.closes_position) AS closing,
    coalesce(sum(o.remaining + o.amend_lots) FILTER (WHERE o.reduce_only AND NOT o.closes_position), 0) AS lots
  FROM orders o WHERE o.user_id = p.user_id AND o.market_id = p.market_id AND o.is_waiting) w
WHERE p.user_id > $1 AND p.user_id <= $2 AND (w.orders, w.lots, w.closing) IS DISTINCT FROM
  (p.waiting_orders::int8, (p.waiting_buy_lots + p.waiting_sell_lots)::numeric, (p.closing_buys + p.closing_sells)::int8)
"""
_RUN = "INSERT INTO audit_runs (at, took_ms, difference, findings) VALUES ($1, $2, $3, $4::jsonb)"
_WORKING = """
SELECT name FROM markets WHERE operator_status NOT IN ('HALTED', 'SETTLED') AND halted_reason IS NULL
  AND ($1::text[] IS NULL OR name = ANY($1)) ORDER BY market_id
"""


class Discrepancy(NamedTuple):
    """A violation, with its two numbers; `market` is None where no single market is at fault."""

    invariant: str
    market: str | None
    subject: str
    expected: str
    got: str


class Sums(NamedTuple):
    """All money of the exchange in one snapshot, in micros: the house accounts, the wallets and the open costs."""

    external: Decimal
    fees: Decimal
    insurance: Decimal
    clearing: Decimal
    users: Decimal
    wallets: Decimal
    costs: Decimal

    @property
    def difference(self) -> Decimal:
        """wallets + fees + fund - costs - net deposits: zero, always (docs/semantics.md, "Ledger and conservation")."""
        return self.wallets + self.fees + self.insurance - self.costs + self.external


async def read_sums(session: Session) -> tuple[Sums, list[Discrepancy]]:
    """The sums of the exchange, and the violations of conservation, clearing, wallets and sizes, in one snapshot."""
    async with session.transaction(isolation="repeatable_read", readonly=True):
        await session.execute(PLAN_FOR_ALL)
        row = await session.fetchrow(_SUMS)
        sizes = await session.fetch(_SIZES)
    sums = Sums(*row) if row is not None else Sums(*([Decimal(0)] * len(Sums._fields)))
    pairs = {
        "conservation": (-sums.external, sums.wallets + sums.fees + sums.insurance - sums.costs),
        "clearing is the opposite of the open costs": (-sums.costs, sums.clearing),
        "wallets are the sum of the users' entries": (sums.users, sums.wallets),
    }
    wrong = [Discrepancy(name, None, "all", str(a), str(b)) for name, (a, b) in pairs.items() if a != b]
    wrong += [Discrepancy("sizes sum to zero", each["name"], each["name"], "0", str(each["lots"])) for each in sizes]
    return sums, wrong


async def advance_checkpoint(session: Session) -> tuple[int, int] | None:
    """Move the checkpoint by at most a page, to where every entry is committed or rolled back; the range, None when it stays."""
    last = await session.fetchval(_LAST_ENTRY)  # in a separate statement, before the snapshot that must cover it
    row = await session.fetchrow(_ADVANCE, ENTRIES_A_PAGE)
    await session.execute(_CANDIDATE, last)
    return None if row is None else (row["low"], row["high"])


async def check_entries(session: Session, low: int, high: int) -> list[Discrepancy]:
    """Transactions that do not sum to zero, and entries that do not continue the balance, in a range of the ledger."""
    async with session.transaction(readonly=True):
        await session.execute(PLAN_FOR_ALL)
        transactions = await session.fetch(_TRANSACTIONS, low, high, ENTRIES_OVERLAP)
        balances = await session.fetch(_BALANCES, low, high)
    wrong = [
        Discrepancy("a ledger transaction sums to zero", each["market"], each["subject"], "0", str(each["got"]))
        for each in transactions
    ]
    return wrong + [
        Discrepancy(
            "an entry carries the wallet after it",
            each["market"],
            each["subject"],
            str(each["expected"]),
            str(each["got"]),
        )
        for each in balances
    ]


async def check_accounts(session: Session, after: int) -> tuple[int, list[Discrepancy]]:
    """Check wallets and margin sums of the next page of accounts; returns its last user, 0 after the last page."""
    up_to = await session.fetchval(_PAGE, after, ACCOUNTS_A_PAGE)
    if up_to is None:
        return 0, []
    async with session.transaction(isolation="repeatable_read", readonly=True):
        await session.execute(PLAN_FOR_ALL)
        wallets = await session.fetch(_WALLETS, max(after, 0), up_to)
        margins = await session.fetch(_MARGIN_SUMS, after, up_to)
        waiting = await session.fetch(_WAITING_SUMS, after, up_to)
    wrong = [
        Discrepancy("a wallet is the sum of its ledger entries", None, *(str(value) for value in row))
        for row in wallets
    ]
    wrong += [
        Discrepancy("margin sums are the sums over live orders", *(str(value) for value in row)) for row in margins
    ]
    wrong += [
        Discrepancy("waiting sums are the sums over waiting orders", *(str(value) for value in row)) for row in waiting
    ]
    return up_to, wrong


async def record_run(
    session: Session, at: Timestamp, took_ms: int, difference: Decimal, wrong: Sequence[Discrepancy]
) -> None:
    """Store the result of a run."""
    findings = orjson.dumps([each._asdict() for each in wrong]).decode()
    await session.execute(_RUN, datetime_of(at), took_ms, difference, findings)


async def halt_for(session: Session, wrong: Iterable[Discrepancy], now: Timestamp) -> list[str]:
    """Halt the markets at fault through their logs, or all when the market is unknown; returns those that were not halted yet."""
    blamed = {each.market for each in wrong}
    if not blamed:
        return []
    named = None if None in blamed else sorted(market for market in blamed if market is not None)
    async with session.transaction():
        halted = [row["name"] for row in await session.fetch(_WORKING, named)]
        for market in halted:
            await append_command(session, market, SetStatus(now, MarketStatus.HALTED))
    return halted
