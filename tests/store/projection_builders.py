"""An exchange without a broker: real tables, real engine, event records carried by hand."""

import random
from collections.abc import Sequence

import asyncpg
import msgspec

from exchange.engine.engine import orders_of_command
from exchange.engine.log.journal import EncodedEvent, answer_command
from exchange.engine.market import Market, empty_market
from schemas.commands import (
    AmendOrder,
    CancelOrder,
    CancelOrders,
    Command,
    Deleverage,
    Liquidate,
    PlaceConditional,
    PlaceOrder,
    TakeOver,
)
from schemas.ids import INSURANCE_FUND, order_key, public_order_id
from schemas.orders import OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.refusals import Refused
from schemas.rest.accounts import BalanceView
from schemas.rest.orders import AmendRequest
from schemas.rest.transfers import DepositRequest
from schemas.units import Lots, Micros, Ticks, Timestamp, datetime_of, datetime_or_none
from schemas.wire import GENESIS_HASH, EventRecord, decode_command
from store.command_log.commands import append_command
from store.command_log.outbox import read_commands
from store.markets.registry import MarketRegistry, load_registry
from store.money.deposits import deposit
from store.money.transfers import Transferred
from store.projection import Projection
from store.session.connect import Connection, connect_writer
from store.submission import AmendPlaced, Submission, SubmissionOutcome, SubmitAmend
from store.users.users import create_user

NOON = Timestamp(1_800_014_400_000_000)  # 2027-01-15T12:00:00Z
_STORE = """
WITH position AS (
  INSERT INTO positions AS p (user_id, market_id, leverage, buy_lots, sell_lots, buy_notional, sell_notional, open_loss,
    open_fees, live_orders) VALUES ($2, $3, 20, $15, $16, $17, $18, $19, $20, 1)
  ON CONFLICT (user_id, market_id) DO UPDATE SET buy_lots = p.buy_lots + excluded.buy_lots,
    sell_lots = p.sell_lots + excluded.sell_lots, buy_notional = p.buy_notional + excluded.buy_notional,
    sell_notional = p.sell_notional + excluded.sell_notional, open_loss = p.open_loss + excluded.open_loss,
    open_fees = p.open_fees + excluded.open_fees, live_orders = p.live_orders + 1
)
INSERT INTO orders (order_id, user_id, market_id, side, type, time_in_force, self_trade_prevention, post_only,
  reduce_only, quantity, remaining, price, margin_price, loss_per_lot, fee_per_lot, created_at, updated_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, $14, $21, $21, $22)
"""
_STORE_WAITING = """
WITH position AS (
  INSERT INTO positions (user_id, market_id, leverage) VALUES ($2, $3, 20) ON CONFLICT DO NOTHING
)
INSERT INTO orders (order_id, user_id, market_id, side, type, time_in_force, self_trade_prevention, post_only,
  reduce_only, quantity, remaining, price, margin_price, loss_per_lot, fee_per_lot, created_at, updated_at, expires_at, is_live,
  is_waiting, working_type, trigger_price, callback_rate, closes_position, oco_group, parent_order_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, 0, 0, 0, $12, $12, $13, false, true, $14, $15, $16, $17, $18, $19)
"""
_NAME_LEG = """
UPDATE orders SET take_profit_order_id = CASE WHEN $3 = 'TAKE_PROFIT_MARKET' THEN $2 ELSE take_profit_order_id END,
  stop_loss_order_id = CASE WHEN $3 = 'STOP_MARKET' THEN $2 ELSE stop_loss_order_id END WHERE order_id = $1
"""
_STORE_STEP = """
WITH liquidation AS (
  INSERT INTO liquidations (liquidation_id, kind, user_id, started_at) OVERRIDING SYSTEM VALUE
  VALUES ($1, $2, $3, $8) ON CONFLICT DO NOTHING
), flag AS (UPDATE accounts SET liquidation_id = $1 WHERE user_id = $3 AND $2 = 'LIQUIDATION')
INSERT INTO liquidation_steps (liquidation_id, step, user_id, action, market_id, command_seq, inputs, at)
VALUES ($1, $4, $3, $5, $6, $7, '{"equity": "1"}', $8)
"""


def seeded(seed: int) -> random.Random:
    """Chance that comes out the same in every run."""
    return random.Random(seed)  # noqa: S311 - a test must replay, nobody must not guess


def an_order(user: int, side: Side, lots: int, price: int, **changes: object) -> PlaceOrder:
    """A GTC limit order; what it adds to the margin sums per lot is odd on purpose, so that a wrong sum shows."""
    order = PlaceOrder(
        at=NOON,
        user=user,
        side=side,
        order_type=OrderType.LIMIT,
        quantity=Lots(lots),
        price=Ticks(price),
        time_in_force=TimeInForce.GTC,
        post_only=False,
        reduce_only=False,
        self_trade_prevention=SelfTradePrevention.EXPIRE_MAKER,
        margin_price=Ticks(price + 1),
        loss_per_lot=Micros(3),
        fee_per_lot=Micros(7),
        leverage=20,
    )
    return msgspec.structs.replace(order, **changes)


class Exchange:
    """One database, its engines in memory, and every event they wrote, by market."""

    def __init__(self, dsn: str, session: Connection, registry: MarketRegistry) -> None:
        self.dsn = dsn
        self.session = session
        self.registry = registry
        self.markets: dict[str, Market] = {name: empty_market(name) for name in registry.by_name}
        self.written: dict[str, list[EncodedEvent]] = {name: [] for name in registry.by_name}
        self.projections = {name: Projection(self.connect, name) for name in registry.by_name}

    async def connect(self) -> Connection:
        """A session as the projection gets it."""
        return await connect_writer(self.dsn, "test-projection")

    async def user(self, email: str, amount: str = "10000") -> int:
        """A registered user with money."""
        user = await create_user(self.session, email, "hash", NOON)
        assert user is not None
        await deposit(self.session, user, DepositRequest("USDC", amount), None, NOON)
        return user

    async def submit(self, market: str, command: Command) -> int:
        """Put a command into the market's log; an order also into its table and the margin sums. Its sequence."""
        async with self.session.transaction():
            seq = await append_command(self.session, market, command)
            if isinstance(command, PlaceOrder):
                await self._store_order(market, seq, command)
            if isinstance(command, PlaceConditional):
                await self._store_waiting(market, seq, command)
            if isinstance(command, Liquidate):
                await self._store_order(market, seq, order_of(command))
            if isinstance(command, Liquidate | TakeOver | Deleverage):
                await self._store_step(market, seq, command)
            if isinstance(command, CancelOrder | CancelOrders):
                market_id = self.registry.by_name[market].market_id
                keys = [order_key(market_id, number) for number in orders_of_command(seq, command)]
                await self.session.execute(
                    "UPDATE orders SET cancel_requested_at = $2 WHERE order_id = ANY($1)", keys, datetime_of(command.at)
                )
        return seq

    async def amend(
        self, market: str, user: int, number: int, quantity: str | None, price: str | None = None
    ) -> AmendOrder:
        """Have an amend accepted; its command."""
        answer = await self.ask_to_amend(market, user, number, quantity, price)
        assert isinstance(answer, AmendPlaced), answer
        market_id = self.registry.by_name[market].market_id
        seq = await self.session.fetchval("SELECT command_seq FROM counters WHERE market_id = $1", market_id)
        ((_, payload),) = await read_commands(self.session, market_id, seq - 1, 1)
        command = decode_command(payload)
        assert isinstance(command, AmendOrder)
        return command

    async def ask_to_amend(
        self, market: str, user: int, number: int, quantity: str | None, price: str | None = None
    ) -> SubmissionOutcome:
        """Ask for an amend, through the real submission."""
        submission = Submission(self.connect, self.registry)
        asked = SubmitAmend(user, public_order_id(market, number), AmendRequest(quantity, price))
        (answer,) = await submission.run([asked], NOON, {})
        await submission.close()
        return answer

    async def match(self, market: str) -> int:
        """Let the engine read what is new in the outbox; sequence of the last event before it."""
        engine, before = self.markets[market], self.markets[market].event_seq
        known = self.registry.by_name[market]
        for seq, payload in await read_commands(self.session, known.market_id, engine.command_seq, 100_000):
            self.written[market] += answer_command(engine, seq, decode_command(payload))
        return before

    async def settle(self) -> None:
        """Match and persist everything, in all markets."""
        for market in self.markets:
            before = await self.match(market)
            await self.projections[market].apply(self.records(market, before + 1))

    def records(self, market: str, first: int, last: int | None = None, sizes: Sequence[int] = ()) -> list[EventRecord]:
        """Events `first` to `last` as records that hold `sizes` commands each, the rest in one."""
        chain = [w for w in self.written[market] if first <= w.seq and (last is None or w.seq <= last)]
        packed = []
        for size in (*sizes, len(chain)):
            commands = sorted({w.command for w in chain})[:size]
            if commands:
                packed.append(self._record(market, [w for w in chain if w.command <= commands[-1]]))
                chain = [w for w in chain if w.command > commands[-1]]
        return packed

    def shuffled_records(self, market: str, chance: random.Random) -> list[EventRecord]:
        """The whole log packed at random borders, with every stretch delivered one to five times, in order."""
        whole = self.records(market, 1, sizes=[chance.randint(1, 9) for _ in self.written[market]])
        delivered: list[EventRecord] = []
        for end in range(1, len(whole) + 1):
            again = chance.randint(1, 5) if chance.random() < 0.5 else 1
            delivered += whole[max(0, end - again) : end]
        return delivered

    async def close(self) -> None:
        """End the sessions."""
        for projection in self.projections.values():
            await projection.close()
        await self.session.close()

    def _record(self, market: str, chain: list[EncodedEvent]) -> EventRecord:
        first = chain[0].seq
        return EventRecord(
            market=market,
            epoch=1,
            first_command_seq=chain[0].command,
            last_command_seq=chain[-1].command - self._is_cut(market, chain[-1]),
            first_event_seq=first,
            last_event_seq=chain[-1].seq,
            prev_hash=self.written[market][first - 2].hash if first > 1 else GENESIS_HASH,
            hash=chain[-1].hash,
            rules=chain[-1].rules,
            events=[msgspec.Raw(w.body) for w in chain],
        )

    def _is_cut(self, market: str, last: EncodedEvent) -> bool:
        """Whether the command has events after this one."""
        return any(
            w.command == last.command and w.seq == last.seq + 1 for w in self.written[market][last.seq : last.seq + 1]
        )

    async def _store_order(self, market: str, seq: int, order: PlaceOrder) -> None:
        known, lots = self.registry.by_name[market], order.quantity
        notional = known.spec.notional(order.margin_price, lots)
        buys, sells = (lots, 0) if order.side is Side.BUY else (0, lots)
        bought, sold = (notional, 0) if order.side is Side.BUY else (0, notional)
        await self.session.execute(
            _STORE,
            order_key(known.market_id, seq),
            order.user,
            known.market_id,
            order.side,
            order.order_type,
            order.time_in_force,
            order.self_trade_prevention,
            order.post_only,
            order.reduce_only,
            lots,
            order.price,
            order.margin_price,
            order.loss_per_lot,
            order.fee_per_lot,
            buys,
            sells,
            bought,
            sold,
            lots * order.loss_per_lot,
            lots * order.fee_per_lot,
            datetime_of(order.at),
            datetime_or_none(order.expires_at),
        )

    async def _store_waiting(self, market: str, seq: int, order: PlaceConditional) -> None:
        market_id = self.registry.by_name[market].market_id
        parent = seq + order.parent_after if order.parent_after else None
        await self.session.execute(
            _STORE_WAITING,
            order_key(market_id, seq),
            order.user,
            market_id,
            order.side,
            order.order_type,
            order.time_in_force,
            order.self_trade_prevention,
            order.post_only,
            order.reduce_only,
            order.quantity,
            order.price,
            datetime_of(order.at),
            datetime_or_none(order.expires_at),
            order.working_type,
            order.trigger or None,
            order.callback_rate or None,
            order.closes_position,
            order.oco_group if parent is None else f"order:{parent}",
            None if parent is None else order_key(market_id, parent),
        )

    async def name_legs(self) -> None:
        """Let every parent name the orders attached to it, as the submission does."""
        for leg in await self.session.fetch(
            "SELECT order_id, parent_order_id, type FROM orders WHERE parent_order_id IS NOT NULL"
        ):
            await self.session.execute(_NAME_LEG, leg["parent_order_id"], leg["order_id"], leg["type"])

    async def _store_step(self, market: str, seq: int, command: Liquidate | TakeOver | Deleverage) -> None:
        is_fund = command.user == INSURANCE_FUND
        actions = {TakeOver: "TAKE_OVER", Deleverage: "ADL"}
        action = actions.get(type(command), "FUND_SALE" if is_fund else "LIQUIDATION")
        kind = "INVENTORY" if is_fund else "LIQUIDATION"
        whose = (command.liquidation, kind, command.user, command.step, action)
        market_id = self.registry.by_name[market].market_id
        await self.session.execute(_STORE_STEP, *whose, market_id, seq, datetime_of(command.at))


def a_stop(user: int, side: Side, trigger: int, **changes: object) -> PlaceConditional:
    """A stop on the mark that closes the position, unless it has a quantity."""
    stop = PlaceConditional(
        at=NOON,
        user=user,
        side=side,
        order_type=OrderType.STOP_MARKET,
        working_type=WorkingType.MARK,
        trigger=Ticks(trigger),
        quantity=Lots(0),
        price=Ticks(0),
        time_in_force=TimeInForce.GTC,
        post_only=False,
        reduce_only=True,
        closes_position="quantity" not in changes,
        self_trade_prevention=SelfTradePrevention.EXPIRE_MAKER,
        leverage=20,
    )
    return msgspec.structs.replace(stop, **changes)


def order_of(command: Liquidate) -> PlaceOrder:
    """The order that a liquidation step is, as the liquidator stores it."""
    return an_order(
        command.user,
        command.side,
        command.quantity,
        command.price,
        time_in_force=TimeInForce.IOC,
        reduce_only=True,
        margin_price=command.price,
        loss_per_lot=Micros(0),
        fee_per_lot=Micros(0),
    )


async def open_exchange(dsn: str) -> Exchange:
    """An exchange over a fresh, seeded database."""
    session: Connection = await asyncpg.connect(dsn)
    return Exchange(dsn, session, await load_registry(session))


def balance_in(outcome: Transferred | Refused) -> BalanceView | Refused:
    """The balance that a transfer answers, or its refusal."""
    return outcome.balance if isinstance(outcome, Transferred) else outcome
