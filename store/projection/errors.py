"""Why a batch of events cannot be persisted. When one of these is raised, nothing has been written.

ProjectionStopped
├── EventGap       events are missing in between: the log must be read again from there
├── ChainBroken       the events do not continue the persisted ones: a bug, or a foreign log
└── ProjectionBroken  the events contradict the rows of the database
RowsLocked            another session holds the rows for too long: try again
"""


class ProjectionStopped(Exception):
    """The events at hand cannot follow the persisted ones."""

    def __init__(self, market: str, **facts: object) -> None:
        super().__init__(market, facts)
        self.market = market
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.market}: {', '.join(f'{name}={value!r}' for name, value in self.facts.items())}"


class EventGap(ProjectionStopped):
    """The next event is missing; `expected` is its sequence, `got` the sequence that came instead."""

    def __init__(self, market: str, expected: int, got: int) -> None:
        super().__init__(market, expected=expected, got=got)
        self.expected = expected
        self.got = got


class ChainBroken(ProjectionStopped):
    """The hash chain of the log does not contain the last persisted event."""


class ProjectionBroken(ProjectionStopped):
    """An event names an order, account or amount that the database does not have."""


class RowsLocked(Exception):
    """Another session holds rows that these events change; a frozen process may do so until it is killed."""

    def __init__(self, market: str) -> None:
        super().__init__(f"{market}: another session holds rows that its events change")
        self.market = market
