"""A monotonic clock that a test steps."""

SECOND = 1_000_000_000


class SteppedClock:
    """Gives `now`, in nanoseconds."""

    def __init__(self) -> None:
        self.now = 5 * SECOND

    def __call__(self) -> int:
        """The present."""
        return self.now
