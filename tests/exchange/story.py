"""Stories are text: one line a step, what it leads to indented below it, and the book drawn at the end.

    2  ann sells 3 at 101
    3  bob buys 2 at 101 ioc
         3 takes 2 from 2 at 101
    book
      sell 101 | 2 ann 1
      mark 100
    positions
      ann -2, bob +2

The number of a step is its command's place in the log (1 lists the market) and the number of the order it creates.
Acceptance is not shown. Options: ioc, fok, post-only, reduce-only, expire-taker, expire-both, `until 50` (GTD),
`valid 50`, and `at market 102` for a market order with that protection. Other steps: `ann cancels 2`, `ann cancels all 2 3`,
`ann amends 2 by -1 at 103` (by lots, at a price, or both, of a waiting order also `stop 95`, its trigger; post-only and the modes as above), `index 90`,
`status HALTED`, `clock 50`, `rules 2`, `tiers 100 500` (their borders), `ann counts down 2 ms`, with `but exits` for the scope
NON_REDUCE_ONLY (0 stops). What an order may lose is recorded at the mark of the moment, or at 90 with `margined 90`.

Conditional orders: `ann sells 3 stop 95`, `ann sells all target 110` (closes the position), `ann buys 2 stop 105 limit 106`,
`ann sells all trail 5% from 110`. Options: `last` or `index` instead of the mark, `leg of 9` (order 9 comes later), and of any order
`oco name`. `ann activates 5 at 106` is the submission's answer for a triggered order. What waits is listed after the positions.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_never

from msgspec import UNSET

from exchange.engine.market import Market
from schemas.commands import Command
from schemas.events import (
    ActivationRefused,
    AmendRefused,
    BarrierPassed,
    CancelRefused,
    ClockAdvanced,
    CommandFailed,
    ConditionalAccepted,
    CountdownChanged,
    Event,
    ForcedActionDone,
    FundingPaid,
    FundingSettled,
    LiquidationStepped,
    MarketOpened,
    MarkMoved,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderShrunk,
    OrderTriggered,
    PositionsSettled,
    PositionTransferred,
    PremiumSampled,
    PriceIgnored,
    PriceSourcesChanged,
    RulesChanged,
    SpecChanged,
    StatusChanged,
    TradeExecuted,
)
from schemas.market import MarketStatus
from schemas.orders import AmendCause, CountdownScope, OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.units import Ticks
from tests.exchange.builders import (
    USDC,
    Driver,
    activation,
    amend,
    cancel,
    cancel_all,
    conditional,
    countdown,
    index,
    order,
    rules,
    status,
    tick,
    tiers,
)
from tests.exchange.invariants import check_all

FOLDER = Path(__file__).parent / "stories"
ALL, NON_REDUCE_ONLY = CountdownScope.ALL, CountdownScope.NON_REDUCE_ONLY
PEOPLE = ("ann", "bob", "cat", "dan", "eve")
TYPES = {
    ("stop", False): OrderType.STOP_MARKET,
    ("stop", True): OrderType.STOP,
    ("target", False): OrderType.TAKE_PROFIT_MARKET,
    ("target", True): OrderType.TAKE_PROFIT,
    ("trail", False): OrderType.TRAILING_STOP_MARKET,
}
FLAGS: dict[str, dict[str, Any]] = {
    "ioc": {"time_in_force": TimeInForce.IOC},
    "fok": {"time_in_force": TimeInForce.FOK},
    "post-only": {"post_only": True},
    "reduce-only": {"reduce_only": True},
    "expire-taker": {"self_trade_prevention": SelfTradePrevention.EXPIRE_TAKER},
    "expire-both": {"self_trade_prevention": SelfTradePrevention.EXPIRE_BOTH},
}


def retell(text: str) -> tuple[str, Driver]:
    """Play a story's steps; the same story, as the engine runs it."""
    driver = Driver()
    played = []
    for line in text.splitlines():
        if line[:1].isdigit():
            played.append(line)
            events = driver.send(_command(driver.market, line))
            played += [f"     {sentence}" for sentence in map(_sentence, events) if sentence]
            check_all(driver)
        elif line == "book":
            played += ["book", *_drawing(driver.market), "positions", _positions(driver.market)]
            played += _waiting(driver.market)
            break
        elif not line.startswith(" "):
            played.append(line)
    return "\n".join(played) + "\n", driver


def _command(market: Market, line: str) -> Command:
    number, *words = line.split()
    assert int(number) == market.command_seq + 1, f"step {number} is command {market.command_seq + 1}"
    now = market.clock
    match words:
        case ["index", price]:
            return index(int(price), now)
        case ["status", name]:
            return status(MarketStatus(name), now)
        case ["tiers", *borders]:
            return tiers(*map(int, borders), at=now)
        case ["rules", version]:
            return rules(int(version), now)
        case ["clock", time]:
            return tick(int(time))
        case _:
            return _of_trader(market, int(number), words)


def _of_trader(market: Market, number: int, words: list[str]) -> Command:  # noqa: PLR0911 - one for each kind of step
    now = market.clock
    match words:
        case [who, "counts", "down", ms, "ms", *scope]:
            return countdown(_user(who), int(ms), now, NON_REDUCE_ONLY if scope == ["but", "exits"] else ALL)
        case [who, "cancels", "all", *order_numbers]:
            return cancel_all(_user(who), *map(int, order_numbers), at=now)
        case [who, "cancels", order_number]:
            return cancel(_user(who), int(order_number), now)
        case [who, "amends", order_number, *changes]:
            return _amend(market, _user(who), int(order_number), changes)
        case [who, "activates", order_number, "at", price]:
            return activation(_user(who), int(order_number), int(price), now)
        case [who, "buys" | "sells" as verb, lots, "stop" | "target" | "trail" as kind, trigger, *terms]:
            named = (_user(who), Side.BUY if verb == "buys" else Side.SELL, 0 if lots == "all" else int(lots))
            return _conditional(named, kind, trigger, terms, number=number, now=now)
        case [who, "buys" | "sells" as verb, lots, "at", *terms]:
            side = Side.BUY if verb == "buys" else Side.SELL
            price, options = _terms(terms)
            loss = max(0, side.sign * (price - options.pop("margined", market.mark))) * USDC
            return order(_user(who), side, int(lots), price, at=now, loss_per_lot=loss, **options)
        case _:
            raise AssertionError(f"not a step: {words}")


def _conditional(
    named: tuple[int, Side, int], kind: str, trigger: str, words: list[str], *, number: int, now: int
) -> Command:
    options: dict[str, Any] = {"at": now, "order_type": TYPES[kind, "limit" in words]}
    rest = iter(words)
    for word in rest:
        match word:
            case "limit":
                options["price"] = int(next(rest))
            case "from":
                options["activation"] = int(next(rest))
            case "last" | "index":
                options["working_type"] = WorkingType(word.upper())
            case "leg":
                assert next(rest) == "of"
                options["parent_after"] = int(next(rest)) - number
            case "oco":
                options["oco_group"] = next(rest)
            case "until":
                options |= {"time_in_force": TimeInForce.GTD, "expires_at": int(next(rest))}
            case _:
                options |= FLAGS[word]
    if kind == "trail":
        return conditional(*named, 0, callback_rate=int(trigger.removesuffix("%")) * 10_000, **options)
    return conditional(*named, int(trigger), **options)


def _amend(market: Market, user: int, number: int, words: list[str]) -> Command:
    """Its loss is recorded as for a new order; one that only loses lots keeps what was recorded."""
    resting, options, rest = market.book.find(number), dict[str, Any](), iter(words)
    for word in rest:
        if word in {"by", "at", "margined", "stop"}:
            options[word] = int(next(rest))
        else:
            options |= FLAGS[word]
    price, added, mark = options.pop("at", None), options.pop("by", 0), options.pop("margined", market.mark)
    if (trigger := options.pop("stop", None)) is not None or number in market.waiting.orders:
        options |= {"trigger": Ticks(trigger or 0), "margin_price": 0}
    if resting is None:
        loss = 0
    elif price is None and added < 0:
        loss = resting.loss_per_lot
    else:
        loss = max(0, resting.side.sign * ((price or resting.price) - mark)) * USDC
    return amend(user, number, added, price, market.clock, loss_per_lot=loss, **options)


def _terms(words: list[str]) -> tuple[int, dict[str, Any]]:
    options: dict[str, Any] = {}
    if words[0] == "market":
        options["order_type"] = OrderType.MARKET
        words = words[1:]
    price, rest = int(words[0]), iter(words[1:])
    for word in rest:
        if word == "until":
            options |= {"time_in_force": TimeInForce.GTD, "expires_at": int(next(rest))}
        elif word == "valid":
            options["valid_until"] = int(next(rest))
        elif word == "oco":
            options["oco_group"] = next(rest)
        elif word == "margined":
            options["margined"] = int(next(rest))
        else:
            options |= FLAGS[word]
    return price, options


def _sentence(event: Event) -> str | None:  # noqa: C901, PLR0912 - one branch for each kind of event
    said = None
    match event:
        case TradeExecuted():
            said = f"{event.taker.order} takes {event.quantity} from {event.maker.order} at {event.price}"
        case OrderEnded():
            best = f", best {event.best_opposite}" if event.best_opposite is not None else ""
            said = f"{event.order} {event.status} {event.reason}, {event.remaining} left{best}"
        case OrderTriggered():
            entry = f" for {event.price}" if event.price else ""
            said = f"{event.order} triggers at {event.working_price}{entry}, {event.remaining} left"
        case ActivationRefused():
            said = f"activation of {event.order} refused"
        case OrderShrunk():
            said = f"{event.order} shrinks by {event.by} to {event.remaining}"
        case OrderAmended(cause=AmendCause.USER):
            place = "keeps its place" if event.keeps_place else "arrives again"
            at = f"at {event.price}, {place}" if event.trigger is UNSET else f"with its trigger at {event.trigger}"
            said = f"{event.order} amended by {event.added:+} to {event.remaining} {at}"
        case OrderAmended(cause=AmendCause.POSITION):
            said = f"{event.order} follows the position, {event.added:+} to {event.remaining}"
        case OrderAmended():
            said = f"{event.order} moves to {event.price}, {event.remaining} left"
        case SpecChanged():
            tiers = ", ".join(f"{tier.notional_up_to // USDC}" for tier in event.spec.risk_tiers)
            said = f"tiers up to {tiers}" if tiers else "one tier"
        case AmendRefused():
            best = f", best {event.best_opposite}" if event.best_opposite is not None else ""
            said = f"amend of {event.order} refused {event.reason}{best}"
        case RulesChanged():
            said = f"rules {event.rules}"
        case CancelRefused():
            said = f"cancel of {event.order} refused"
        case CountdownChanged():
            until = "is gone" if event.deadline is None else f"until {event.deadline}"
            said = f"countdown of {_name(event.user)} {until}"
        case CommandFailed():
            said = f"{event.order} failed"
        case MarkMoved():
            said = f"mark {event.mark}"
        case StatusChanged():
            said = f"status {event.status}"
        case PositionsSettled():
            users = ", ".join(f"{_name(each.user)} {each.realized // USDC:+}" for each in event.settlements)
            said = f"settled at {event.price}: {users}"
        case (
            PositionTransferred()
            | LiquidationStepped()
            | ForcedActionDone()
            | PriceSourcesChanged()
            | PriceIgnored()
            | PremiumSampled()
            | FundingSettled()
            | FundingPaid()
        ):
            pass
        case OrderAccepted() | ConditionalAccepted() | MarketOpened() | ClockAdvanced() | BarrierPassed():
            pass
        case _:
            assert_never(event)
    return said


def _drawing(market: Market) -> Iterator[str]:
    yield from reversed(list(_levels(market, Side.SELL)))
    yield f"  mark {market.mark}"
    yield from _levels(market, Side.BUY)


def _levels(market: Market, side: Side) -> Iterator[str]:
    orders = list(market.book.walk(side))
    for price, _ in market.book.depth(side):
        queue = ", ".join(f"{o.order_seq} {_name(o.user)} {o.remaining}" for o in orders if o.price == price)
        yield f"  {side.lower():4} {price:3} | {queue}"


def _positions(market: Market) -> str:
    held = ", ".join(f"{_name(user)} {market.positions[user].lots:+}" for user in sorted(market.positions))
    return f"  {held or 'none'}"


def _waiting(market: Market) -> Iterator[str]:
    if market.waiting.orders:
        yield "waiting"
    for seq, waiting in sorted(market.waiting.orders.items()):
        lots = waiting.remaining or "all"
        trigger = f" at {waiting.trigger}" if waiting.trigger else ""
        yield f"  {seq} {_name(waiting.user)} {waiting.side.lower()} {lots}{trigger}, {waiting.stage.name.lower()}"


def _user(name: str) -> int:
    return PEOPLE.index(name) + 1


def _name(user: int) -> str:
    return PEOPLE[user - 1]
