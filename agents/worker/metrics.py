"""The workers' Prometheus metrics: counted per record or batch, never per order, and never by user.

Counters start at zero with each process; the API's `/metrics` reports what is in the database.
"""

from prometheus_client import Counter, Gauge, Histogram

_MARKET = ("market",)

CLOCK_OFFSET = Gauge("perpetua_clock_offset_seconds", "How far the clock of this process is ahead of PostgreSQL's")
OWNED = Gauge("perpetua_owner", "1 where this process works for the market", ("work", "market"))
EVICTIONS = Counter("perpetua_evictions", "Members removed from their group because their process was gone", ("group",))
RECOVERIES = Counter("perpetua_recoveries", "Assignments of a market started, each from a snapshot", _MARKET)
COMMANDS_MATCHED = Counter("perpetua_engine_commands", "Commands applied to the market", _MARKET)
EVENTS_WRITTEN = Counter("perpetua_engine_events", "Events acknowledged by the broker", _MARKET)
SNAPSHOT_AT = Gauge("perpetua_snapshot_timestamp_seconds", "When the newest durable snapshot was taken", _MARKET)
DEAD_LETTERS = Counter("perpetua_dead_letters", "Records unreadable and commands undone", ("market", "reason"))
FOREIGN_RECORDS = Counter(
    "perpetua_foreign_records", "Records passed in a topic that are not ours", ("market", "topic")
)
COMMANDS_RELAYED = Counter("perpetua_relay_commands", "Commands acknowledged by the broker", _MARKET)
RECORDS_RELAYED = Counter("perpetua_relay_records", "Command records acknowledged by the broker", _MARKET)
EVENTS_PERSISTED = Histogram(
    "perpetua_projection_batch_events",
    "Events in a transaction of the projection; the sum is all that were persisted",
    _MARKET,
    buckets=(1, 3, 10, 30, 100, 300, 1_000),
)
TICKS = Counter("perpetua_clock_ticks", "Commands of the clock", _MARKET)
PRICES_REPORTED = Counter("perpetua_prices_reported", "Prices of a source that went into the log", ("market", "source"))
