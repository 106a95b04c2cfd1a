"""Logs that must not be used.

Exception
|-- LogMismatch        it belongs to another exchange
`-- AlteredCommand    a sequence came again with other bytes
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
