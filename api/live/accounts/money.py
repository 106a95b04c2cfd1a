"""Positions and balances of an account: read from PostgreSQL once an event has touched them, together, and at most some times a second."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from api.database import Database
from api.live.accounts.cursor import Place, Places, cursor_of
from api.live.accounts.subscriber import Subscriber, Unmarked
from schemas.live.account_messages import AccountChannel, BalanceChanged, PositionChanged
from schemas.refusals import Refused
from schemas.rest.accounts import BalanceView, PositionView
from store.queries.accounts.balances import list_balances
from store.queries.accounts.live_account import Reached, read_reached
from store.queries.accounts.positions import Ranking, list_positions
from store.queries.paging import LIMIT_MAX, ListRequest
from store.session.connect import Session, StoreUnavailable

READ_EVERY_S = 0.1
LOOK_EVERY_S = 0.02
RETRY_S = 0.2
_ALL = ListRequest(limit=LIMIT_MAX)
_encode = msgspec.json.Encoder().encode


class Money(NamedTuple):
    """Positions and balance of an account, at least as of the last persisted event of each market."""

    reached: Mapping[str, Reached]
    positions: Mapping[str, PositionView]
    balance: BalanceView

    @property
    def places(self) -> Places:
        """Where the channels resume after this."""
        return {market.market_id: Place(market.event_seq, 0) for market in self.reached.values()}

    @property
    def cursor(self) -> str:
        """The cursor of this."""
        return cursor_of(self.places)


class AccountMoney:
    """Keeps what was sent last; `subscribers` are those of both channels."""

    def __init__(
        self,
        user: int,
        database: Database,
        ranking: Callable[[], Ranking],
        subscribers: Mapping[AccountChannel, dict[Subscriber, None]],
    ) -> None:
        self._user, self._database, self._ranking = user, database, ranking
        self._positions, self._balances = subscribers[AccountChannel.POSITIONS], subscribers[AccountChannel.BALANCES]
        self._touched: dict[str, int] = {}
        self._sent: BalanceView | None = None
        self._wake = asyncio.Event()
        self._sendings = 0

    def touch(self, market: str, place: Place) -> None:
        """An event of a market has touched the account."""
        if self._positions or self._balances:
            self._touched[market] = place.seq
            self._wake.set()

    def touch_wallet(self) -> None:
        """A transfer has touched the account."""
        if self._balances:
            self._wake.set()

    async def read(self) -> Money:
        """What the tables have now; nothing newer was sent meanwhile. Raises StoreUnavailable."""
        while True:
            before, money = self._sendings, await self._database.run(self._read)
            if self._sendings == before:
                return money

    async def work(self) -> None:
        """Send what was touched, again and again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            touched, self._touched = self._touched, {}
            money = await self._read_after(touched)
            self._send(money, touched)
            await asyncio.sleep(READ_EVERY_S)

    def position_frames(self, money: Money, markets: Mapping[str, int] | None = None) -> list[tuple[str, Unmarked]]:
        """The positions in these markets, closed ones too; without markets all open ones."""
        shown = money.positions if markets is None else markets
        return [(market, self._position(money, market)) for market in shown if market in money.reached]

    def balance_frame(self, money: Money) -> bytes:
        """The balance."""
        self._sent = money.balance
        sequences = {name: market.event_seq for name, market in money.reached.items()}
        return _encode(BalanceChanged("balances", sequences, money.cursor, money.balance))

    async def _read(self, session: Session) -> Money:
        """The sequences first: what is read after them is at least as new."""
        reached = await read_reached(session, self._user)
        positions = await list_positions(session, self._user, _ALL, self._ranking())
        balances = await list_balances(session, self._user, _ALL)
        assert not isinstance(positions, Refused)  # noqa: S101 - no cursor was given
        assert not isinstance(balances, Refused)  # noqa: S101 - as above
        return Money(reached, {view.market_id: view for view in positions.data}, balances.data[0])

    async def _read_after(self, touched: Mapping[str, int]) -> Money:
        """What the tables have once the projection has written these events."""
        while True:
            try:
                money = await self._database.run(self._read)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
                continue
            if all(
                market in money.reached and money.reached[market].event_seq >= seq for market, seq in touched.items()
            ):
                return money
            await asyncio.sleep(LOOK_EVERY_S)

    def _send(self, money: Money, touched: Mapping[str, int]) -> None:
        self._sendings += 1
        if self._positions:
            for market, position in self.position_frames(money, touched):
                for subscriber in self._positions:
                    subscriber.replace_unmarked(market, position)
        if self._balances and money.balance != self._sent:
            frame = self.balance_frame(money)
            for subscriber in self._balances:
                subscriber.replace(money.balance.asset, frame)

    def _position(self, money: Money, market: str) -> Unmarked:
        reached = money.reached[market]
        changed = PositionChanged("positions", market, reached.event_seq, "", money.positions.get(market))
        return Unmarked(_encode(changed), {reached.market_id: Place(reached.event_seq, 0)})
