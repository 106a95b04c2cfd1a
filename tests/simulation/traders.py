"""What people do to the exchange: orders of all kinds, amends, cancels, retries, and an operator who moves index and status."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple

from api.submission.submission_queue import BatchFailed
from exchange.position import closing_side
from schemas.commands import Command, PassBarrier, SetIndex, SetRules, SetStatus
from schemas.ids import order_key, parse_public_command_id, parse_public_order_id
from schemas.market import RULES_FOURTH, MarketStatus
from schemas.orders import CountdownScope, OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import AmendRequest, LegRequest, OrderRequest
from schemas.units import Nanos, datetime_of, format_e18
from schemas.wire import RULES_VERSION, decode_command
from store.command_log.commands import append_command
from store.submission import (
    AmendPlaced,
    Answers,
    CancelPlaced,
    CountdownsSet,
    Placed,
    SubmissionRequest,
    SubmitAmend,
    SubmitCancel,
    SubmitCancelAll,
    SubmitCountdown,
    SubmitGroup,
    SubmitOrder,
)
from tests.simulation.system import USERS, System
from tests.simulation.tables import MarketRow
from tests.simulation.virtual_loop import Process
from tests.simulation.world import World

CONDITIONAL, WITH_LEGS, IN_A_GROUP = 0.3, 0.1, 0.1
"""The shares of orders that wait for a condition, of others that have orders attached to them, and of those in an OCO group."""
UNKNOWN = {ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL_ERROR}
STATUSES = (MarketStatus.CANCEL_ONLY, MarketStatus.HALTED, MarketStatus.SETTLEMENT_ONLY, MarketStatus.INITIALIZING)


SEEDS_WITH_SEVERAL = 7
"""One seed in so many has requests about several orders, drawn from dice of their own: the other seeds stay as they were."""


SEEDS_WITH_AMENDED_STOPS, FIRST_OF_THEM = 11, 9
"""One seed in so many amends orders that wait for their condition, by dice of its own too."""


class AllCancelled(NamedTuple):
    """An answered cancel-all: the user, the market, the side if one was named, and the last command that it named there."""

    user: int
    market: str
    side: Side | None
    command_seq: int


@dataclass
class Attempt:
    """A request with a client id, and the order it became as far as its client knows."""

    request: SubmitOrder
    order_id: str | None = None
    is_settled: bool = False


class Traders:
    """All clients. They remember every answer, so that no accepted command can be lost unnoticed."""

    def __init__(self, world: World, system: System) -> None:
        self.world = world
        self.system = system
        self.placed: dict[str, int] = {}
        self.amended: set[str] = set()
        self.attempts: list[Attempt] = []
        self.all_cancelled: list[AllCancelled] = []
        has_several = world.seed % SEEDS_WITH_SEVERAL == SEEDS_WITH_SEVERAL - 1
        self._several = Random(f"several {world.seed}") if has_several else None  # noqa: S311 - as World.dice
        amends_stops = world.seed % SEEDS_WITH_AMENDED_STOPS == FIRST_OF_THEM
        self._stops = Random(f"stops {world.seed}") if amends_stops else None  # noqa: S311 - as World.dice
        self._numbers = 0
        self._owners: dict[str, Attempt] = {}
        self._operator = Process("operator-1")

    def act(self) -> None:
        """One of the things people do, often several of them at once."""
        for _ in range(self.world.dice.choice((1, 1, 2, 6))):
            roll = self.world.dice.random()
            if roll < 0.66:
                self._place(self._attempt())
            elif roll < 0.8 and self.placed:
                self._cancel()
            elif roll < 0.86 and self.placed:
                self._amend()
            elif roll < 0.94 and self.attempts:
                self._place(self.world.dice.choice(self.attempts[-20:]))
            elif roll < 0.97:
                self._operate(self._index())
            elif roll < 0.985:
                self._operate(self._status())
            elif roll < 0.988:
                self._operate(self._rules())
        if self._several is not None:
            self._ask_of_several(self._several)
        if self._stops is not None:
            self._amend_waiting(self._stops)

    def settle(self) -> None:
        """After the faults: ask again for every order with an unknown outcome, and open the markets."""
        for attempt in self.attempts:
            if not attempt.is_settled:
                self._place(attempt)

    def barrier(self) -> None:
        """Let a command go through every market, so that any missing command is noticed."""
        for market in self.system.markets:
            self._operate((market, PassBarrier(self.world.now(), "calm")))

    def _attempt(self) -> Attempt:
        dice = self.world.dice
        self._numbers += 1
        market = self.system.database.tables.named(dice.choice(self.system.markets))
        spec, kind = market.spec, dice.random()
        fields: dict[str, Any] = {
            "time_in_force": dice.choice([TimeInForce.GTC] * 5 + [TimeInForce.IOC, TimeInForce.FOK])
        }
        user, is_exit = dice.randint(1, USERS), dice.random() < 0.2
        side = self._closing_side(user, market) if is_exit else dice.choice((Side.BUY, Side.SELL))
        price = market.mark * dice.randint(9_985, 10_015) // 10_000
        fields["price"] = format_e18(price * spec.tick_size_e18)
        if kind < 0.15:
            fields |= {"type": OrderType.MARKET, "price": None, "time_in_force": TimeInForce.GTC}
        elif kind < 0.3:
            soon = datetime_of(self.world.now()) + timedelta(seconds=dice.uniform(0.05, 3.0))
            fields |= {"time_in_force": TimeInForce.GTD, "expires_at": soon}
        elif kind < 0.36:
            fields |= {"valid_until": datetime_of(self.world.now()) + timedelta(seconds=dice.uniform(0.01, 0.3))}
        if fields["time_in_force"] in {TimeInForce.GTC, TimeInForce.GTD} and fields["price"] and dice.random() < 0.1:
            fields["post_only"] = True
        fields = {"type": OrderType.LIMIT, "quantity": format_e18(dice.randint(1, 200) * spec.lot_size_e18), **fields}
        if dice.random() < CONDITIONAL:
            fields |= self._condition(side, market, is_exit=is_exit)
        elif fields["price"] is not None and not is_exit and dice.random() < WITH_LEGS:
            fields |= self._legs(side, market)
        if dice.random() < IN_A_GROUP:
            fields["oco_group"] = dice.choice(("one", "two"))
        request = OrderRequest(
            market_id=spec.market,
            side=side,
            reduce_only=is_exit,
            client_order_id=f"c{self._numbers}" if dice.random() < 0.85 else None,
            leverage=dice.choice((None, None, None, 5, 20)),
            self_trade_prevention_mode=dice.choice(list(SelfTradePrevention)),
            **fields,
        )
        attempt = Attempt(SubmitOrder(user, request))
        if request.client_order_id:
            self.attempts.append(attempt)
        return attempt

    def _condition(self, side: Side, market: MarketRow, *, is_exit: bool) -> dict[str, Any]:
        """A condition near the mark. An exit closes a quantity, or the position; any other may open one, if it has the margin."""
        dice = self.world.dice
        order_type = dice.choice([kind for kind in OrderType if kind.is_conditional])
        fields: dict[str, Any] = {
            "type": order_type,
            "post_only": False,
            "working_type": dice.choice((*WorkingType, *[WorkingType.LAST] * 4)),
        }
        fields["time_in_force"] = TimeInForce.GTC
        fields["valid_until"] = fields["expires_at"] = None
        if order_type is OrderType.TRAILING_STOP_MARKET:
            fields["callback_rate"] = dice.choice(("0.001", "0.01"))
        else:
            rises = (order_type in {OrderType.STOP, OrderType.STOP_MARKET}) == (side is Side.BUY)
            fields["trigger_price"] = self._price(market, 1 if rises else -1)
        fields["price"] = self._price(market, dice.choice((-1, 1))) if order_type.is_limit else None
        if is_exit and not order_type.is_limit and dice.random() < 0.5:
            fields |= {"close_position": True, "quantity": None}
        return fields

    def _legs(self, side: Side, market: MarketRow) -> dict[str, Any]:
        """A take-profit and a stop-loss around the mark."""
        return {
            "take_profit": LegRequest(self._price(market, 2 * side.sign)),
            "stop_loss": LegRequest(self._price(market, -2 * side.sign)),
        }

    def _price(self, market: MarketRow, way: int) -> str:
        """A price that a few moves of the index reach."""
        ticks = market.mark * (10_000 + way * self.world.dice.randint(1, 4)) // 10_000
        return format_e18(ticks * market.spec.tick_size_e18)

    def _closing_side(self, user: int, market: MarketRow) -> Side:
        """The side that reduces the stored position, which may have changed by the time the order is matched."""
        position = self.system.database.tables.positions.get((user, market.market_id))
        return closing_side(position["lots"] if position is not None else 0)

    def _place(self, attempt: Attempt) -> None:
        self.world.counts["orders sent"] += 1
        self.world.spawn(None, self._submit(attempt))

    async def _submit(self, attempt: Attempt) -> None:
        known = attempt.order_id
        answer = await self._ask(attempt.request)
        request = attempt.request.request
        if isinstance(answer, Placed):
            self._learn(attempt, answer)
        elif isinstance(answer, Refused) and answer.code not in UNKNOWN:
            if known is not None and request.client_order_id:
                self.world.violated(f"{known} had been accepted, its retry was refused: {answer}")
            attempt.is_settled = True

    def _learn(self, attempt: Attempt, answer: Placed) -> None:
        if self._owners.setdefault(answer.order_id, attempt) is not attempt:
            self.world.violated(f"order id {answer.order_id} was given to two requests")
        if attempt.order_id not in (None, answer.order_id) and attempt.request.request.client_order_id:
            self.world.violated(f"one client id, two orders: {attempt.order_id} and {answer.order_id}")
        attempt.order_id, attempt.is_settled = answer.order_id, True
        self.placed[answer.order_id] = attempt.request.user
        self.world.counts["orders accepted"] += not answer.is_replay

    def _cancel(self) -> None:
        order_id = self.world.dice.choice(list(self.placed))
        user = self.placed[order_id] if self.world.dice.random() < 0.9 else 1
        self.world.counts["cancels sent"] += 1
        self.world.spawn(None, self._cancelled(SubmitCancel(user, order_id)))

    async def _cancelled(self, request: SubmitCancel) -> None:
        answer = await self._ask(request)
        if isinstance(answer, CancelPlaced):
            self.world.counts["cancels accepted"] += 1

    def _amend(self) -> None:
        """Another quantity, another price or both, mostly of an order that is stored as live and may have ended meanwhile."""
        dice, tables = self.world.dice, self.system.database.tables
        live = [order for order in self.placed if self._is_amendable(order)] if dice.random() < 0.9 else []
        order_id = dice.choice(live or list(self.placed))
        name, _ = parse_public_order_id(order_id) or ("", 0)
        market, what = tables.named(name), dice.randint(1, 3)
        lots, ticks = dice.randint(1, 200), market.mark * dice.randint(9_985, 10_015) // 10_000
        asked = AmendRequest(
            quantity=format_e18(lots * market.spec.lot_size_e18) if what & 1 else None,
            price=format_e18(ticks * market.spec.tick_size_e18) if what & 2 else None,
        )
        self.world.counts["amends sent"] += 1
        self.world.spawn(None, self._amended(SubmitAmend(self.placed[order_id], order_id, asked)))

    def _amend_waiting(self, dice: Random) -> None:
        """Another quantity, limit or trigger of an order that is stored as waiting; it may have fired meanwhile."""
        tables = self.system.database.tables
        waiting = [
            (order_id, order)
            for order_id in self.placed
            if (order := tables.orders.get(self._key_of(order_id))) is not None and order["is_waiting"]
        ]
        if not waiting:
            return
        order_id, order = dice.choice(waiting)
        market = tables.markets[order["market_id"]]

        def near() -> str:
            return format_e18(market.mark * dice.randint(9_950, 10_050) // 10_000 * market.spec.tick_size_e18)

        can = {
            "quantity": not order["closes_position"],
            "price": OrderType(order["type"]).is_limit,
            "trigger_price": order["callback_rate"] is None,
        }
        new = {"quantity": format_e18(dice.randint(1, 200) * market.spec.lot_size_e18), "price": near()}
        new |= {"trigger_price": near()}
        chosen = {name: value for name, value in new.items() if can[name] and dice.random() < 0.6}
        if chosen:
            self.world.counts["amends of waiting orders sent"] += 1
            asked = SubmitAmend(order["user_id"], order_id, AmendRequest(**chosen))
            self.world.spawn(None, self._amended(asked, "amends of waiting orders accepted"))

    def _key_of(self, order_id: str) -> int:
        name, seq = parse_public_order_id(order_id) or ("", 0)
        return order_key(self.system.database.tables.named(name).market_id, seq)

    def _is_amendable(self, order_id: str) -> bool:
        name, seq = parse_public_order_id(order_id) or ("", 0)
        market = self.system.database.tables.named(name)
        order = self.system.database.tables.orders.get(order_key(market.market_id, seq))
        return order is not None and order["is_live"] and market.rules >= RULES_FOURTH

    async def _amended(self, request: SubmitAmend, count: str = "amends accepted") -> None:
        answer = await self._ask(request)
        if isinstance(answer, AmendPlaced):
            self.amended.add(answer.command_id)
            self.world.counts[count] += 1

    async def _ask(self, request: SubmissionRequest) -> object:
        """The answer, if there is an API that lives long enough, and the reply is not cut."""
        queues = self.system.queues
        if not queues:
            return None
        queue = queues[self.world.dice.choice(sorted(queues))]
        future: asyncio.Future[Any] = queue.submit(request)  # type: ignore[arg-type]  # any of them
        try:
            answer = await future
        except BatchFailed:
            self.world.violated(f"a batch failed with a bug: {request!r}")
            return None
        self.world.note(f"{request!r} -> {answer!r}")
        return None if self.world.happens(10) else answer

    def _ask_of_several(self, dice: Random) -> None:
        """Sometimes a group of orders, a cancel of all, or a countdown."""
        roll, user = dice.random(), dice.randint(1, USERS)
        if roll < 0.15:
            requests = [self._attempt().request.request for _ in range(dice.randint(2, 5))]
            self.world.spawn(None, self._grouped(SubmitGroup(user, tuple(requests))))
        elif roll < 0.3:
            market = dice.choice((None, *self.system.markets))
            self.world.spawn(None, self._all_cancelled(SubmitCancelAll(user, market, dice.choice((None, None, *Side)))))
        elif roll < 0.8:
            market = dice.choice((None, *self.system.markets))
            ms = dice.choice((0, 300, 300, 1_000))
            self.world.spawn(
                None, self._count_down(SubmitCountdown(user, market, ms, dice.choice(list(CountdownScope))))
            )

    async def _count_down(self, request: SubmitCountdown) -> None:
        answer = await self._ask(request)
        self.world.counts["countdowns accepted"] += isinstance(answer, CountdownsSet)

    async def _grouped(self, request: SubmitGroup) -> None:
        """No market has a stranger's command among those of the group: attached orders come between, other users' do not."""
        answer = await self._ask(request)
        if not isinstance(answer, Answers):
            return
        placed = [each for each in answer.outcomes if isinstance(each, Placed) and not each.is_replay]
        by_market: dict[str, list[int]] = {}
        for each in placed:
            self.placed[each.order_id] = request.user
            market, seq = parse_public_command_id(each.command_id) or ("", 0)
            by_market.setdefault(market, []).append(seq)
        self.world.counts["groups accepted"] += len(placed) > 1
        for market, seqs in by_market.items():
            between = self.system.database.tables.named(market).history[seqs[0] - 1 : seqs[-1]]
            if {getattr(decode_command(body), "user", None) for body in between} != {request.user}:
                self.world.violated(f"a group is torn in {market}: {seqs}")

    async def _all_cancelled(self, request: SubmitCancelAll) -> None:
        answer = await self._ask(request)
        if not isinstance(answer, Answers):
            return
        last: dict[str, int] = {}
        for each in answer.outcomes:
            if isinstance(each, CancelPlaced):
                market, seq = parse_public_command_id(each.command_id) or ("", 0)
                last[market] = max(seq, last.get(market, 0))
        self.all_cancelled += [AllCancelled(request.user, market, request.side, seq) for market, seq in last.items()]
        self.world.counts["cancel-alls accepted"] += bool(last)

    def _index(self) -> tuple[str, Command]:
        market = self.system.database.tables.named(self.world.dice.choice(self.system.markets))
        moved = market.index_price * self.world.dice.randint(950, 1_050) // 1_000
        return market.name, SetIndex(self.world.now(), Nanos(moved))

    def _status(self) -> tuple[str, Command]:
        market = self.system.database.tables.named(self.world.dice.choice(self.system.markets))
        is_open = market.status == MarketStatus.ACTIVE
        status = self.world.dice.choice(STATUSES) if is_open else MarketStatus.ACTIVE
        return market.name, SetStatus(self.world.now(), status)

    def _rules(self) -> tuple[str, Command]:
        return self.world.dice.choice(self.system.markets), SetRules(self.world.now(), RULES_VERSION)

    def _operate(self, what: tuple[str, Command]) -> None:
        self.world.spawn(self._operator, self._append(*what))

    async def _append(self, market: str, command: Command) -> None:
        try:
            session = await self.system.database.connect()
            await append_command(session, market, command)  # type: ignore[arg-type]  # the fake of a session
            await session.close()
        except OSError:
            return
        except Exception as error:  # noqa: BLE001 - the operator's connection was cut: the operator may check and retry
            self.world.note(f"the operator got {type(error).__name__}")
