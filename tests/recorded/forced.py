"""Filling the gaps of a course when it is recorded: forced commands that name positions from the events."""

import json
import random
from typing import Any

from tests.recorded.course import LOT_VALUE, Gap, Wire, encoded

FUND = -3


class Positions:
    """Signed lots and cost of every account, by the wire bytes of the events."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[int, int]] = {}

    def follow(self, body: bytes) -> None:
        """Take in an event."""
        event = json.loads(body)
        for party in ("maker", "taker", "bankrupt", "counterparty"):
            if isinstance(side := event.get(party), dict):
                self.held[side["user"]] = (side["position"], side["cost"])
                if not side["position"]:
                    del self.held[side["user"]]
        if event["type"] == "positions.settled":
            self.held = {}

    def fill(self, gap: Gap) -> bytes:
        """A forced command for somebody who has a position; one in six names a different one."""
        dice = random.Random(gap.seq)  # noqa: S311 - the same command every time
        user = dice.choice(sorted(self.held) or [1])
        if FUND in self.held and gap.kind == "liquidation.ordered" and dice.random() < 0.3:
            user = FUND
        lots, cost = self.held.get(user, (5, 5 * gap.mid * LOT_VALUE))
        named: Wire = {"type": gap.kind, "at": gap.at, "user": user, "liquidation": gap.seq, "step": dice.randint(1, 9)}
        if gap.kind == "liquidation.ordered":
            return encoded(named | _liquidation(dice, gap, lots))
        named |= {"lots": lots, "cost": cost - (dice.random() < 0.16)}
        named["amount"] = cost + lots * LOT_VALUE * dice.randint(-3_000, 3_000) + dice.randint(-50, 50)
        if gap.kind == "deleveraging.ordered":
            named["counterparties"] = self._against(dice, lots)
        return encoded(named | {"v": 1})

    def _against(self, dice: random.Random, lots: int) -> list[dict[str, int]]:
        opposite = [user for user, (held, _) in sorted(self.held.items()) if held * lots < 0 and user != FUND]
        chosen = [*dice.sample(opposite, min(len(opposite), dice.randint(1, 4))), dice.randint(1, 80)]
        return [{"user": user, "lots": dice.randint(1, 1 + abs(lots))} for user in chosen]


def _liquidation(dice: random.Random, gap: Gap, lots: int) -> dict[str, Any]:
    side = 1 if lots < 0 else -1
    return {
        "side": "BUY" if side > 0 else "SELL",
        "quantity": max(1, abs(lots) * dice.choice((1, 1, 2, 3)) // 2),
        "price": gap.mid + side * dice.choice((-20, 40, 400)),
        "equityElsewhere": dice.choice((0, 10**10, -(10**9), dice.randint(0, 10**8))),
        "leverage": 10,
        "v": 1,
    }
