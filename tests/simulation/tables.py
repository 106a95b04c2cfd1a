"""What the fake of PostgreSQL holds, committed: plain rows by their keys."""

from dataclasses import dataclass, field
from typing import Any

from schemas.commands import ListMarket
from schemas.market import RULES_FIRST, MarketSpec, MarketStatus
from schemas.units import Timestamp
from schemas.wire import GENESIS_HASH, encode
from store.markets.placement import MAIN_SHARD
from store.money.ledger import House, deposit_entries
from store.projection.chain import Progress

Row = dict[str, Any]
TAKE_OVER, PARTIAL_TAKE_OVER, DELEVERAGING = "take-overs", "partial take-overs", "deleveragings"
EXPOSURE = (
    *("buy_notional", "sell_notional", "open_loss", "open_fees"),
    *("buy_lots", "sell_lots", "live_orders"),
)
"""The margin sums of a row of positions that the submission and the projection write."""

REDUCING = (
    *("reduce_buy_lots", "reduce_sell_lots", "reduce_buy_notional", "reduce_sell_notional"),
    *("reduce_buy_cost", "reduce_sell_cost", "reduce_loss", "reduce_excess"),
)
"""The sums over reduce-only orders, which triggers keep."""

WAITING = ("waiting_buy_lots", "waiting_sell_lots", "closing_buys", "closing_sells", "waiting_orders")
"""The sums of what waits, which triggers keep, in the order of WaitingSums."""


@dataclass
class MarketRow:
    """A market and the rows that there is one of for each market."""

    market_id: int
    name: str
    spec: MarketSpec
    status: str
    index_price: int
    mark: int
    rules: int = RULES_FIRST
    spec_seq: int = 0
    open_interest: int = 0
    shard: str = MAIN_SHARD
    progress: Progress = field(default_factory=lambda: Progress(0, 0, GENESIS_HASH))
    epoch: int = 1
    halted_reason: str | None = None
    counter: int = 0
    cursor: int = 0
    pruned: int = 0
    outbox: dict[int, tuple[Timestamp, bytes]] = field(default_factory=dict)
    snapshots: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    history: list[bytes] = field(default_factory=list)
    """Every command ever accepted, for the check at the end; nothing of the exchange reads it."""


class Tables:
    """All rows. Inserts check their keys, as a primary key does."""

    def __init__(self) -> None:
        self.markets: dict[int, MarketRow] = {}
        self.wallets: dict[int, int] = {}
        self.positions: dict[tuple[int, int], Row] = {}
        self.orders: dict[int, Row] = {}
        self.amends: dict[tuple[int, int], Row] = {}
        self.client_ids: dict[tuple[int, str], int] = {}
        self.fills: dict[tuple[int, int, str], tuple[Any, ...]] = {}
        self.ledger: list[Row] = []
        self.countdowns: dict[tuple[int, int], Row] = {}
        self.steps: dict[tuple[int, int], Row] = {}
        self.cluster: str | None = None

    def named(self, market: str) -> MarketRow:
        """A market by its name."""
        return next(row for row in self.markets.values() if row.name == market)

    def list_market(self, spec: MarketSpec, at: Timestamp, rules: int) -> None:
        """A market with its first command, and the rules it starts with."""
        mark = spec.mark_of_index(spec.reference_price)
        row = MarketRow(len(self.markets) + 1, spec.market, spec, "ACTIVE", spec.reference_price, mark, rules)
        self.markets[row.market_id] = row
        self.add_command(row, at, encode(ListMarket(at, spec, MarketStatus.ACTIVE, rules)))

    def add_user(self, user: int, wallet: int) -> None:
        """A user who has paid in."""
        self.wallets[user] = wallet
        for entry in deposit_entries(user, wallet):  # type: ignore[arg-type]  # micros
            row = {"account": entry.account, "amount": entry.amount, "market_id": None, "event_seq": -user}
            self.ledger.append(row)

    def position_of(self, user: int, market_id: int) -> Row:
        """An account's row in a market, which its first order creates, and the fund's first take-over."""
        flat: Row = {
            "user_id": user,
            "market_id": market_id,
            "leverage": self.markets[market_id].spec.tiers[0].leverage_max,
        }
        flat |= dict.fromkeys(("lots", "cost", "realized", *EXPOSURE, *REDUCING, *WAITING), 0)
        return self.positions.setdefault((user, market_id), flat)

    def seed_fund(self, amount: int) -> None:
        """The insurance fund's first money."""
        for account, posted in ((House.INSURANCE, amount), (House.EXTERNAL, -amount)):
            self.ledger.append({"account": account, "amount": posted, "market_id": None, "event_seq": 0})

    def money_of(self, account: int) -> int:
        """The wallet of a user, or what a house account has."""
        if account in self.wallets:
            return self.wallets[account]
        return sum(entry["amount"] for entry in self.ledger if entry["account"] == account)

    def add_command(self, market: MarketRow, at: Timestamp, payload: bytes) -> int:
        """Number a command; its sequence."""
        market.counter += 1
        market.outbox[market.counter] = (at, payload)
        market.history.append(payload)
        return market.counter
