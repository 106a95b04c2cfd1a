"""Errors after which the engine cannot continue.

    EngineError
    |-- SequenceGap     a command was skipped or repeated
    |-- ForeignLog      the log does not begin with the listing of this market
    `-- UnknownRules    a state or a command needs rules that this code does not know: it is too old

The cause is a bug of ours, a foreign log or an old binary, never a user: what a user may not do is refused by an event.
"""


class EngineError(Exception):
    """The log does not belong to this market, or this code cannot read it."""


class SequenceGap(EngineError):
    """The command is not the next one."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(expected, got)
        self.expected = expected
        self.got = got


class ForeignLog(EngineError):
    """The first command does not list this market, or a later one lists it again."""

    def __init__(self, market: str, seq: int) -> None:
        super().__init__(market, seq)
        self.market = market
        self.seq = seq


class UnknownRules(EngineError):
    """The rules are newer than this code: it must stop, and leave the market to newer code."""

    def __init__(self, newest: int, got: int) -> None:
        super().__init__(f"rules version {got} is active, this code knows versions up to {newest}: it is too old")
        self.newest = newest
        self.got = got
