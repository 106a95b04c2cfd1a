"""What the live feed reports about itself. Counted once per record or message, never per client."""

from prometheus_client import Counter, Gauge, Histogram

from schemas.live.account_messages import AccountChannel
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
LIVE_CONNECTIONS = Gauge("perpetua_live_connections", "Open connections to the socket")
LIVE_SUBSCRIPTIONS = Gauge("perpetua_live_subscriptions", "Their subscriptions, by channel", ("channel",))
LIVE_MESSAGES = Counter("perpetua_live_messages", "Frames sent on the socket")
LIVE_CONFLATED = Counter(
    "perpetua_live_conflated", "Frames that were not sent because a newer one or a snapshot replaced them"
)
LIVE_CLOSED = Counter("perpetua_live_closed", "Connections that the exchange has closed, by reason", ("reason",))

for _channel in (*MarketChannel, *AccountChannel):
    LIVE_ENCODED.labels(_channel)
    LIVE_SUBSCRIPTIONS.labels(_channel)
for _feed in ("book", "mark", "trades", "liquidations", "funding", "account"):
    LIVE_RESTARTS.labels(_feed)
for _reason in ("slow", "silent", "bad frames", "stopping", "error"):
    LIVE_CLOSED.labels(_reason)
