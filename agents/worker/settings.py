"""What the workers of the stream are told; nothing here reads the environment."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class StreamSettings:
    """Where the database and the broker are, and how long a silent worker keeps its market.

    `datadir` is for Faust's own files; each app makes a folder of its own below it. `session_timeout_s`: seconds
    without a heartbeat after which the standby takes over. `standstill_s`: seconds after which an owner that gets nowhere,
    though its log waits for it, ends its process. `metrics`: where this process shows its metrics, `host:port`.
    """

    dsn: str = field(repr=False)
    bootstrap: str = field(repr=False)  # as dsn, it may hold a password (broker/address.py)
    datadir: Path
    session_timeout_s: float = 6.0
    standstill_s: float = 30.0
    metrics: str = ""
