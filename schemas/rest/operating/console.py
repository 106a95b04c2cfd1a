"""What operators see of the exchange: its markets, processes, audits, books and forced actions."""

from typing import Any

from schemas.market import MarketStatus
from schemas.rest.bodies import TimeText, View
from schemas.rest.liquidations import ReceiptView


class SourceView(View, frozen=True):
    """A price source of an index. `observedAt`: the price it saw last; null before the first. `isFresh`: not older than `maxAgeMs`."""

    name: str
    weight: int
    max_age_ms: int
    observed_at: TimeText | None
    is_fresh: bool


class PaceView(View, frozen=True):
    """The last `seconds` of a market: how many orders were accepted, and the time from acceptance to the rows of what became of them.

    Microseconds, over the newest persisted records; null where none had an order.
    """

    seconds: int
    orders_accepted: int
    latency_us_p50: int | None
    latency_us_p95: int | None


class MarketConsoleView(View, frozen=True):
    """A market for its operators. `status` is in force, `operatorStatus` was set; `isFrozen`: too few price sources are fresh.

    `haltReason`: why the exchange itself has halted it. `rests`: which work waits for a topic to be mended. `owner`: the
    engine, as host:pid. `unsent` commands are accepted and not in the log yet, `unpersisted` ones in the log and not in the tables.
    """

    market_id: str
    status: MarketStatus
    operator_status: MarketStatus
    is_frozen: bool
    halt_reason: str | None
    rests: str | None
    owner: str | None
    shard: str
    rules: int
    mark_price: str
    index_price: str
    mark_at: TimeText
    sources: list[SourceView]
    quorum: int
    commands: int
    events: int
    unsent: int
    unsent_age_ms: int
    unpersisted: int
    unpersisted_age_ms: int
    snapshot_age_ms: int | None
    open_orders: int
    waiting_orders: int
    positions: int
    open_interest: str
    trades: int
    pace: PaceView


class ProcessView(View, frozen=True):
    """A running process: what it is, where (host:pid), where its metrics are served, and what it works for, `kind market`."""

    process: str
    at: str
    metrics: str | None
    works_for: list[str]


class AuditRunView(View, frozen=True):
    """A run of the periodic audit. `difference` is what conservation misses, "0" when the books balance."""

    audit_id: str
    time: TimeText
    took_ms: int
    difference: str
    findings: list[dict[str, Any]]


class VerificationView(View, frozen=True):
    """A run of `verify` on a market: what it replayed and compared, and the differences that it found."""

    verification_id: str
    market_id: str
    time: TimeText
    took_ms: int
    differences_found: int
    report: dict[str, Any]


class ConservationView(View, frozen=True):
    """All money of the exchange in one snapshot. `difference` is wallets + fees + insurance - open costs - paid in: "0", always.

    `clearing` is the opposite of the open costs; `clearingDifference` is what it misses. `walletDifference`: wallets against the sum
    of their entries. `sizeDifferences`: markets whose positions do not sum to zero, with the sum in lots.
    """

    time: TimeText
    wallets: str
    fees: str
    insurance: str
    open_costs: str
    paid_in: str
    difference: str
    clearing: str
    clearing_difference: str
    wallet_difference: str
    size_differences: dict[str, str]


class OperatorReceiptView(View, frozen=True):
    """The receipt of a forced action, and whose account it was on."""

    user_id: str
    receipt: ReceiptView
