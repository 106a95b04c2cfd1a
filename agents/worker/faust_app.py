"""A Faust app with the settings of this exchange, and its topics of raw records."""

import os
from typing import Any

import faust

from agents.worker.settings import StreamSettings
from broker.address import METADATA_MAX_AGE_MS, app_settings
from broker.shards.consumer import read_as_shard
from tables.market_tables import MARKET_TABLES

HEARTBEATS_PER_SESSION = 6
COMMIT_INTERVAL_S = 0.5
REBALANCE_TIMEOUT_S = 5.0  # a member killed while joining delays the group this long; the default is a minute
FETCHLESS_S_MAX = 100 * 365 * 86_400.0
"""How long a member may fetch nothing: in effect, forever.

Faust's default is 1,000 seconds. A standby has nothing to fetch: it then left its group and never joined it again
(aiokafka 0.14.0, its issues 720 and 1187). agents/worker/stall_watchdog.py detects an owner that makes no progress.
"""
BUFFERED_MAX = (
    10**9
)  # in effect, no limit: a full queue would hold up every market; broker/shards/consumer.py has a limit per log
_RAW: dict[str, Any] = {
    "partitions": 1,
    "key_type": bytes,
    "key_serializer": "raw",
    "value_type": bytes,
    "value_serializer": "raw",
}
_NO_ENVIRONMENT: dict[str, str] = {}
"""The environment variables that Faust may read: none, since its own names would override the settings given here.

`PRODUCER_ACKS=0` meant for another program would lose records, and Faust has a `BROKER_URL` too. The settings for
operators are in app/settings.py.
"""


def faust_app(app_id: str, settings: StreamSettings) -> faust.App:
    """An app of one shard, which has one owner. Its topics are created elsewhere, its web server is off."""
    app = faust.App(
        app_id,
        env=_NO_ENVIRONMENT,
        **app_settings(settings.bootstrap),
        broker_client_id=app_id,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / HEARTBEATS_PER_SESSION,
        broker_rebalance_timeout=max(REBALANCE_TIMEOUT_S, settings.session_timeout_s),
        broker_max_poll_interval=FETCHLESS_S_MAX,
        broker_commit_interval=COMMIT_INTERVAL_S,
        stream_wait_empty=False,
        stream_buffer_maxsize=BUFFERED_MAX,
        producer_acks=-1,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        TableManager=MARKET_TABLES,
        store="memory://",
        web_enabled=False,
        datadir=str(settings.datadir / f"{app_id}-{os.getpid()}"),
    )
    read_as_shard(app, settings.bootstrap)
    return app


def raw_topic(app: faust.App, name: str) -> Any:
    """A topic whose records we decode ourselves."""
    return app.topic(name, **_RAW)
