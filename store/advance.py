"""How far a long check or repair is: a callback that the caller gives, called after each step."""

from collections.abc import Callable

Advance = Callable[[str, int, int], None]
"""Called with the stage, the steps done and all its steps; must be cheap."""


def unseen(_stage: str, _done: int, _total: int) -> None:
    """For callers that do not show how far it is."""
