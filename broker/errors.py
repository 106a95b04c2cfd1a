"""Logs that must not be used, and a broker that does not answer.

Exception
|-- LogMismatch        the log belongs to another exchange
|-- AlteredCommand     a sequence came again with other bytes
`-- BrokerUnavailable  the broker is down, or does not serve the log of a market now
"""


class LogMismatch(Exception):
    """A log, a snapshot or a broker that does not belong to this exchange as PostgreSQL knows it."""

    def __init__(self, what: str, expected: object, found: object) -> None:
        super().__init__(f"{what}: expected {expected}, found {found}")
        self.what = what
        self.expected = expected
        self.found = found


class AlteredCommand(Exception):
    """A sequence came again with other bytes: PostgreSQL was restored from a backup, or two exchanges share a broker."""

    def __init__(self, market: str, seq: int) -> None:
        super().__init__(f"command {market}:{seq} came again with other bytes")
        self.market = market
        self.seq = seq


class BrokerUnavailable(Exception):
    """The broker does not serve the log of a market now; the cause says why."""

    def __init__(self, market: str) -> None:
        super().__init__(f"the broker does not serve the log of {market}")
        self.market = market
