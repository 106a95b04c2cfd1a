"""The soak stream: the log of one market as JSON, from a seed. Knows the wire, not the exchange's code.

Orders of all kinds around a moving price, cancels, price sources and a constant index in turn, a clock that sometimes
jumps, statuses, barriers, failed commands, and an end in SETTLED. Forced commands must name a position as it is: the
course says where they are (`Gap`), and data/forced.jsonl holds them as recorded.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BEGAN_AT = 1_800_000_000_000_000
MINUTE_US = 60_000_000
MID = 600_000
LOT_VALUE = 100
NANOS_A_TICK = 100_000_000
USERS = 80
SOURCES = ("north", "south", "west")
SOURCES_EVERY = 1_500
TOGETHER_SINCE = 3
"""From these rules on prices are reported together."""
ENDING = 60
FAILS_EVERY = 125
GTC, IOC, FOK, GTD = "GTC", "IOC", "FOK", "GTD"
MODES = ("EXPIRE_MAKER", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH")
CANCEL_REASONS = ("USER",) * 6 + ("MARGIN", "LIQUIDATION", "DEAD_MAN", "AMENDED")
FORCED = ("liquidation.ordered",) * 3 + ("take_over.ordered", "deleveraging.ordered")

Wire = dict[str, Any]


class Gap(NamedTuple):
    """A place in the log for a forced command of this kind; `mid` is the price in ticks there."""

    seq: int
    kind: str
    at: int
    mid: int


@dataclass
class Course:
    """This many commands of a market, the same for the same seed."""

    market: str
    seed: int
    length: int
    rules: int = 1
    at: int = BEGAN_AT
    mid: int = MID
    has_sources: bool = False
    resumes_at: int = 0
    owners: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - the same stream every time

    def again(self) -> "Course":
        """The same course from its beginning."""
        return Course(self.market, self.seed, self.length, self.rules)

    def steps(self) -> Iterator[bytes | Gap]:
        """The commands from the listing on, as bytes, with the gaps for forced ones."""
        for seq in range(1, self.length + 1):
            step = self._step(seq)
            yield step if isinstance(step, Gap) else encoded(step)

    def commands(self, forced: Mapping[int, bytes]) -> Iterator[bytes]:
        """The same with the gaps filled."""
        return (forced[step.seq] if isinstance(step, Gap) else step for step in self.steps())

    def _step(self, seq: int) -> Wire | Gap:
        if seq == 1:
            return _listing(self.market, self.at)
        self._pass_time()
        planned = self._planned(seq)
        return planned if planned is not None else self._drawn(seq)

    def _pass_time(self) -> None:
        roll = self.dice.random()
        if roll < 0.00025:
            self.at += self.dice.randint(61, 130) * MINUTE_US
        elif roll < 0.5:
            self.at += self.dice.randint(0, 4_000_000)

    def _planned(self, seq: int) -> Wire | None:
        """The commands at fixed places: the opening, sources or a constant index in turn, the way back, the ending."""
        if seq % SOURCES_EVERY == 0:
            self.has_sources = not self.has_sources
            return self._sources()
        if seq == 20:
            return self._said("rules.set", rules=self.rules)
        statuses = {self.resumes_at: "ACTIVE", 50: "ACTIVE"} | {
            self.length - ENDING: "SETTLEMENT_ONLY",
            self.length - ENDING // 2: "SETTLED",
        }
        return self._said("market.status_set", status=statuses[seq]) if seq in statuses else None

    def _drawn(self, seq: int) -> Wire | Gap:
        roll = self.dice.random()
        if roll < 0.675:
            return self._order(seq)
        if roll < 0.915:
            return self._cancel(seq)
        if roll < 0.955:
            return self._price()
        if roll < 0.99:
            return self._said("clock.ticked")
        return self._seldom(seq)

    def _seldom(self, seq: int) -> Wire | Gap:
        roll = self.dice.random()
        if roll < 0.7:
            return Gap(seq, self.dice.choice(FORCED), self.at, self.mid)
        if roll < 0.85:
            return self._said("market.barrier", barrier=f"drain-{seq}")
        self.resumes_at = seq + self.dice.randint(3, 40)
        return self._said("market.status_set", status=self.dice.choice(("CANCEL_ONLY", "HALTED", "INITIALIZING")))

    def _said(self, kind: str, **fields: Any) -> Wire:
        return {"type": kind, "at": self._stamped(), **fields, "v": 1}

    def _stamped(self) -> int:
        """The time of a command; one in a hundred was written a second late."""
        return self.at - 1_000_000 if self.dice.random() < 0.01 else self.at

    def _sources(self) -> Wire:
        names = SOURCES if self.has_sources else ()
        sources = [{"name": name, "weight": weight, "maxAgeMs": 180_000} for weight, name in enumerate(names, 1)]
        return self._said("price_sources.set", sources=sources, quorum=2 if names else 0)

    def _price(self) -> Wire:
        """The price moves a little, now and then by a lot; some reports are old, of nobody, or out of range."""
        is_jump = self.dice.random() < 0.01
        self.mid += self.dice.randint(-60_000, 60_000) if is_jump else self.dice.randint(-60, 60)
        self.mid = min(max(self.mid, MID // 2), 2 * MID)
        if not self.has_sources or self.dice.random() < 0.02:
            return self._said("index.set", index=self.mid * NANOS_A_TICK)
        if self.rules < TOGETHER_SINCE:
            return self._said("price.reported", **self._seen())
        return self._said("prices.reported", prices=[self._seen() for _ in range(self.dice.randint(0, 4))])

    def _seen(self) -> Wire:
        source = self.dice.choice((*SOURCES * 8, "nobody"))
        price = self.dice.choice((self.mid * NANOS_A_TICK + self.dice.randint(-999, 999),) * 30 + (0, 10**19))
        observed_at = self.at + self.dice.choice((0, 0, 0, -300_000, 500_000, -90_000_000))
        return {"source": source, "price": price, "observedAt": observed_at}

    def _cancel(self, seq: int) -> Wire:
        """Of a recent order mostly; of an ended, a foreign or an unknown one at times."""
        number = self.dice.randint(max(2, seq - self.dice.choice((10, 10, 50, 2_000))), seq)
        user = self.owners.get(number) if self.dice.random() < 0.97 else None
        return self._said(
            "order.cancelled",
            user=user or self.dice.randint(1, USERS),
            order=number,
            reason=self.dice.choice(CANCEL_REASONS),
        )

    def _order(self, seq: int) -> Wire:
        dice = self.dice
        roll, sign = dice.random(), dice.choice((1, -1))
        user = self.owners[seq] = dice.randint(1, USERS)
        away = dice.randint(1, 100)
        kind, in_force, is_post_only, price = "LIMIT", GTC, False, self.mid - sign * away
        if roll < 0.14:
            in_force, price = IOC, self.mid + sign * away
        elif roll < 0.20:
            in_force, price = FOK, self.mid + sign * away
        elif roll < 0.27:
            kind, price = "MARKET", self.mid + sign * 6_000
        elif roll < 0.37:
            in_force = GTD
        elif roll < 0.47:
            is_post_only, price = True, self.mid - sign * (away - 15)
        elif roll < 0.53:
            price = self.mid - sign * dice.randint(100, 50_000)
        elif roll < 0.56:
            price = self.mid + sign * dice.randint(40_000, 75_000)
        expected_loss = max(0, sign * (price - self.mid)) * LOT_VALUE
        return {
            "type": "order.created",
            "at": self._stamped(),
            "user": user,
            "side": "BUY" if sign > 0 else "SELL",
            "orderType": kind,
            "quantity": dice.choice((1, 2, 3, 5, 8, 13, 40)),
            "price": price,
            "timeInForce": in_force,
            "postOnly": is_post_only,
            "reduceOnly": dice.random() < 0.18,
            "selfTradePrevention": dice.choice(MODES),
            "marginPrice": max(price, self.mid),
            "lossPerLot": expected_loss,
            "feePerLot": -(-price * LOT_VALUE * 500 // 1_000_000),
            "leverage": dice.choice((1, 5, 10, 20)),
            "clientOrderId": f"client-{seq}" if dice.random() < 0.3 else None,
            "expiresAt": self.at + dice.randint(-100_000, 900_000_000) if in_force == GTD else None,
            "validUntil": self.at + dice.randint(-500_000, 5_000_000) if dice.random() < 0.1 else None,
            "v": 1,
        }


def fails(seq: int) -> bool:
    """Whether the command was answered with its failure, if it is a user's. The last before a checkpoint is one of them,
    so that a snapshot shows what a failure leaves."""
    return seq % FAILS_EVERY == 0


def encoded(command: Wire) -> bytes:
    """A command as it is in the log."""
    return json.dumps(command, separators=(",", ":")).encode()


def _listing(market: str, at: int) -> Wire:
    spec = {
        "market": market,
        "baseAsset": "BTC",
        "quoteAsset": "USDC",
        "tickSizeE18": 10**17,
        "lotSizeE18": 10**15,
        "quantityMin": 1,
        "quantityMax": 1_000_000,
        "notionalMin": 5_000_000,
        "ordersMax": 500,
        "leverageMax": 20,
        "initialMarginRate": 50_000,
        "maintenanceMarginRate": 5_000,
        "makerFeeRate": 200,
        "takerFeeRate": 500,
        "priceBand": 100_000,
        "takeBound": 10_000,
        "markClamp": 20_000,
        "liquidationFeeRate": 2_500,
        "fundingIntervalHours": 1,
        "fundingRateCap": 3_750,
        "referencePrice": MID * NANOS_A_TICK,
    }
    return {"type": "market.listed", "at": at, "spec": spec, "status": "INITIALIZING", "rules": 1, "v": 1}
