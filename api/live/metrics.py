"""What the live feed reports about itself. Counted once per record or message, never per client."""

from prometheus_client import Counter, Gauge, Histogram

from schemas.live.subscriptions import MarketChannel

LIVE_FOLLOWED_MARKETS = Gauge("perpetua_live_followed_markets", "Markets whose event log this process reads")
LIVE_LAG_SECONDS = Histogram(
    "perpetua_live_lag_seconds",
    "Time from the broker's receipt of an event record until it waits for every client, by the clocks of both machines",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
LIVE_ENCODED = Counter("perpetua_live_encoded", "Messages encoded, each once for all its clients", ("channel",))
LIVE_RESTARTS = Counter(
    "perpetua_live_restarts",
    "How often what a channel shows was read again from the tables while clients followed it",
    ("channel",),
)

for _channel in MarketChannel:
    LIVE_ENCODED.labels(_channel)
for _feed in ("book", "mark", "trades", "liquidations", "funding"):
    LIVE_RESTARTS.labels(_feed)
