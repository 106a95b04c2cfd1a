"""Jobs of the load generators on the socket; each is a separate process, so jobs and reports travel as JSON."""

import msgspec

from bench.load.job import Kind


class LiveJob(msgspec.Struct, frozen=True):
    """Orders over the socket: a connection for each token, `orders` are sent in turn.

    CLOSED keeps `window` of them unanswered on each connection; OPEN sends `rate` a second over all connections, whatever is
    unanswered. With `sees_fills` each connection subscribes to its fills, and an order is done with its fill. `count` and
    `count_each`, when given, end it early: of all connections, and of each.
    """

    host: str
    port: int
    kind: Kind
    seconds: float
    tokens: list[str]
    orders: list[bytes]
    window: int = 1
    rate: float = 0.0
    count: int = 0
    count_each: int = 0
    sees_fills: bool = False


class Audience(msgspec.Struct, frozen=True):
    """Connections that only listen: `requests` of each are sent in turn, and each waits for its result."""

    host: str
    port: int
    requests: list[list[str]]


class Heard(msgspec.Struct, frozen=True):
    """What an audience has received since it was told to count: `seconds` until the last message of all.

    `frames` are those of the first connection, `lost` is how many connections have ended.
    """

    messages: int
    bytes: int
    seconds: float
    fewest: int
    most: int
    lost: int
    frames: list[str]

    @property
    def per_s(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds
