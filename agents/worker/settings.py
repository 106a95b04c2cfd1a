"""The settings of the stream workers; nothing here reads the environment."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class StreamSettings:
    """Where the database and the broker are, and how long a silent worker keeps its market.

    `datadir` is for Faust's own files; each app creates its own folder in it. `session_timeout_s`: seconds without a
    heartbeat after which the standby takes over. `standstill_s`: seconds without progress after which an owner with
    pending work ends its process. `metrics`: where this process serves its metrics, `host:port`. `replication`: how many brokers
    must hold each topic.
    """

    dsn: str = field(repr=False)
    bootstrap: str = field(repr=False)  # as dsn, it may hold a password (broker/address.py)
    datadir: Path
    session_timeout_s: float = 6.0
    standstill_s: float = 30.0
    metrics: str = ""
    replication: int = 1
