"""A liquidator in a market full of gaps: a small insurance fund takes what it can carry, the other side is deleveraged for the rest.

The decisions are those of the exchange (`exchange/risk/deleveraging.py`). Only the loss is drawn: accounts here are too rich
to lose their margin by the prices of a minute.
"""

import asyncio
from random import Random
from typing import NamedTuple

import msgspec

from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.deleveraging import choose_counterparties, fund_lots, needs_deleveraging, taken_share
from exchange.risk.liquidation import BankruptShare
from exchange.risk.liquidation_policy import BankruptcyTransfer
from schemas.commands import Deleverage, TakeOver
from schemas.ids import INSURANCE_FUND
from schemas.market import RULES_SECOND, MarketStatus
from schemas.units import Lots, Micros, Ticks, Timestamp, datetime_of
from schemas.wire import encode
from tests.simulation.statements import FORCE
from tests.simulation.system import System
from tests.simulation.tables import DELEVERAGING, PARTIAL_TAKE_OVER, TAKE_OVER, MarketRow
from tests.simulation.virtual_loop import Process
from tests.simulation.world import World

ONE_SEED_IN = 3
"""The other seeds have no liquidator, and run as they did before there was one: tests name some of them."""
CASES_IN_CALM = 3
FUND_USDC = (20, 300)
LOSS_USDC = (10, 30, 400)
USDC = 1_000_000


class _Bankrupt(NamedTuple):
    """An account whose position in one market is closed, in its case."""

    market: MarketRow
    user: int
    case: int


class Gaps:
    """Closes a position by force now and then; one case at a time, as the exchange has one deleveraging at a time."""

    def __init__(self, world: World, system: System) -> None:
        self._world = world
        self._system = system
        self._tables = system.database.tables
        self._process = Process("liquidator-1")
        self._cases = 0
        self._is_busy = False
        self._left_in_calm = CASES_IN_CALM
        self._dice = Random(f"gaps {world.seed}")  # noqa: S311 - the same for the same seed, and no draw of the others'
        if self.is_there:
            self._tables.seed_fund(self._dice.choice(FUND_USDC) * USDC)

    @property
    def is_there(self) -> bool:
        """Whether this seed has a liquidator."""
        return self._world.seed % ONE_SEED_IN == 0

    def act(self) -> None:
        """Start a case where somebody has a position, unless one is under way."""
        if not self.is_there or self._is_busy:
            return
        held = [key for key, row in sorted(self._tables.positions.items()) if row["lots"] and key[0] != INSURANCE_FUND]
        if held:
            user, market_id = self._dice.choice(held)
            self._cases += 1
            self._is_busy = True
            self._world.spawn(self._process, self._run(_Bankrupt(self._tables.markets[market_id], user, self._cases)))

    def finish(self) -> None:
        """The last cases, when the storm is over."""
        if not self._is_busy:
            self._left_in_calm -= 1
            self.act()

    @property
    def is_finished(self) -> bool:
        """Whether no case is under way, and none to come."""
        return not self.is_there or (self._left_in_calm <= 0 and not self._is_busy)

    async def _run(self, case: _Bankrupt) -> None:
        try:
            await self._close(case, loss=self._dice.choice(LOSS_USDC) * USDC)
        except Exception as error:  # noqa: BLE001 - its connection was cut: the case is left as it is
            self._world.note(f"the liquidator got {type(error).__name__}")
        finally:
            self._is_busy = False

    async def _close(self, case: _Bankrupt, *, loss: int) -> None:
        """What the fund can carry, and when that is persisted, the rest; a market that moves on meanwhile makes it stale."""
        transfer = self._transfer(case, -loss)
        if transfer is None:
            return
        fund, lots = self._account(INSURANCE_FUND), abs(transfer.lots)
        needs_more = needs_deleveraging(fund, 0, transfer)
        value = case.market.spec.notional(Ticks(case.market.mark), transfer.lots)
        if needs_more:
            lots = fund_lots(fund, 0, transfer, value) if case.market.rules >= RULES_SECOND else 0
        if lots:
            part, kind = (Lots(lots), PARTIAL_TAKE_OVER) if needs_more else (msgspec.UNSET, TAKE_OVER)
            await self._order(case, TakeOver(*self._named(case, 1, transfer), part), kind, lots)
        if needs_more:
            left = -loss - (taken_share(transfer, value, lots).equity if lots else 0)
            await self._deleverage(case, self._transfer(case, left))

    async def _deleverage(self, case: _Bankrupt, transfer: BankruptcyTransfer | None) -> None:
        if transfer is None:
            return
        others = [self._account(user) for user in self._tables.wallets if user != case.user]
        chosen = choose_counterparties(self._account(case.user), transfer, others).chosen
        if chosen:
            command = Deleverage(*self._named(case, 2, transfer), tuple(chosen))
            await self._order(case, command, DELEVERAGING, sum(each.lots for each in chosen))

    def _transfer(self, case: _Bankrupt, equity: int) -> BankruptcyTransfer | None:
        """The position as it is stored now, settled so that the account loses no more than it has; None when there is none."""
        row = self._tables.positions[case.user, case.market.market_id]
        if not row["lots"] or case.market.status != MarketStatus.ACTIVE:
            return None
        value = case.market.spec.notional(Ticks(case.market.mark), row["lots"])
        share = BankruptShare(Micros(equity), Micros(value - equity))
        return BankruptcyTransfer(case.market.market_id, row["lots"], row["cost"], share)

    def _named(
        self, case: _Bankrupt, step: int, transfer: BankruptcyTransfer
    ) -> tuple[Timestamp, int, int, int, int, Micros, Micros]:
        at = self._world.now()
        return at, case.user, case.case, step, transfer.lots, transfer.cost, transfer.share.amount

    async def _order(self, case: _Bankrupt, command: TakeOver | Deleverage, kind: str, lots: int) -> None:
        """Command and receipt in one transaction; returns when the outcome is persisted."""
        session = await self._system.database.connect()
        named = (case.market.name, datetime_of(command.at), encode(command), (case.case, command.step), kind, lots)
        seq = await session.fetchval(FORCE, *named)
        await session.close()
        while case.market.progress.command_seq < seq:  # noqa: ASYNC110 - rows wake nobody
            await asyncio.sleep(0.05)

    def _account(self, user: int) -> MarginAccount:
        """An account as it is stored."""
        exposures = {}
        for (owner, market_id), row in sorted(self._tables.positions.items()):
            if owner == user:
                market = self._tables.markets[market_id]
                state = MarketState(
                    market_id, market.spec, MarketStatus(market.status), Ticks(market.mark), market.rules
                )
                exposures[market.name] = PositionRisk(state, Exposure(row["leverage"], row["lots"], row["cost"]))
        return MarginAccount(user, Micros(self._tables.money_of(user)), exposures)
