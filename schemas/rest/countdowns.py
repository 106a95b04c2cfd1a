"""Bodies of the dead-man's switch."""

from typing import Annotated

from msgspec import Meta

from schemas.orders import CountdownScope
from schemas.rest.bodies import Request, TimeText, View

COUNTDOWN_MS_MIN = 1_000
COUNTDOWN_MS_MAX = 3_600_000


class CountdownRequest(Request, frozen=True):
    """Let the orders of a market, or of every market, end when this time has passed without another call; 0 stops that."""

    countdown_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=COUNTDOWN_MS_MAX,
            description=f"0 stops the countdown; else at least {COUNTDOWN_MS_MIN}",
            extra_json_schema={"not": {"exclusiveMinimum": 0, "exclusiveMaximum": COUNTDOWN_MS_MIN}},
        ),
    ]
    market_id: str | None = None
    scope: CountdownScope = CountdownScope.ALL


class CountdownView(View, frozen=True):
    """The countdown of a market; `cancelsAt` is null where it was stopped."""

    market_id: str
    countdown_ms: int
    cancels_at: TimeText | None
