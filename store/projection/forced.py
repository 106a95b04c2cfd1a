"""Forced changes of positions: take-over, deleveraging, liquidation, the market's end."""

from schemas.events import (
    ForcedActionDone,
    LiquidationStepped,
    PositionsSettled,
    PositionTransferred,
    TradeSide,
    TransferSide,
)
from schemas.ids import order_key
from schemas.orders import LiquidityRole, Side
from schemas.units import datetime_of
from store.money.ledger import liquidation_fee_entries, settlement_entries, transfer_entries
from store.projection.batch_rows import BatchRows
from store.projection.rows import FillRow, SettlementRow, StepOutcome


def set_position(batch: BatchRows, party: TradeSide | TransferSide, filled: int) -> None:
    """Set an account's position to the one that results from an event, which has added `filled` signed lots."""
    position = batch.position(party.user)
    batch.rows.open_interest += max(0, party.position) - max(0, party.position - filled)
    position.lots, position.cost, position.realized = party.position, party.cost, party.position_realized
    position.opened_seq = party.position_opened


def transfer_position(batch: BatchRows, event: PositionTransferred) -> None:
    """Write two fills without orders, at the settled amount; the bankrupt account is the taker."""
    _fill(batch, event, event.bankrupt, LiquidityRole.TAKER, event.closing_side)
    _fill(batch, event, event.counterparty, LiquidityRole.MAKER, event.closing_side.opposite)
    batch.post(event, transfer_entries(event), trade=event.trade)
    _outcome(batch, event).transfers.append(
        {
            "trade": event.trade,
            "counterparty": event.counterparty.user,
            "quantity": event.quantity,
            "amount": event.amount,
            "price": event.price,
            "realized": event.bankrupt.realized,
        }
    )


def end_step(batch: BatchRows, event: LiquidationStepped) -> None:
    """End a liquidation order: its fee goes to the insurance fund, its receipt is complete."""
    batch.post(event, liquidation_fee_entries(event), order=order_key(batch.market_id, event.order))
    outcome = _outcome(batch, event)
    outcome.facts |= {"order": event.order, "quantity": event.quantity, "notional": event.notional}
    outcome.facts |= {"fee": event.fee, "mark": event.mark}
    outcome.done_at = event.at


def end_forced_action(batch: BatchRows, event: ForcedActionDone) -> None:
    """End a take-over or a deleveraging: its receipt is complete."""
    outcome = _outcome(batch, event)
    outcome.facts |= {"quantity": event.quantity, "isStale": event.is_stale}
    outcome.done_at = event.at


def fold_settlement(batch: BatchRows, event: PositionsSettled) -> None:
    """Settle an ended market: positions become flat, their profit is paid."""
    at = datetime_of(event.at)
    for settlement in event.settlements:
        position = batch.position(settlement.user)
        batch.rows.open_interest -= max(0, settlement.lots)
        position.lots = position.cost = position.realized = position.opened_seq = 0
        batch.rows.settlements.append(
            SettlementRow(
                market_id=batch.market_id,
                user_id=settlement.user,
                event_seq=event.seq,
                lots=settlement.lots,
                price=event.price,
                realized=settlement.realized,
                at=at,
            )
        )
    batch.post(event, settlement_entries(event))


def _fill(batch: BatchRows, event: PositionTransferred, party: TransferSide, role: LiquidityRole, side: Side) -> None:
    set_position(batch, party, side.sign * event.quantity)
    # the notional lowers the seller's cost, as in a trade: the amount is signed like the cost
    fill = FillRow(
        market_id=batch.market_id,
        trade_id=event.trade,
        role=str(role),
        event_seq=event.seq,
        order_id=None,
        user_id=party.user,
        side=str(side),
        price=event.price,
        quantity=event.quantity,
        notional=-event.closing_side.sign * event.amount,
        fee=0,
        realized=party.realized,
        cause=str(event.cause),
        at=datetime_of(event.at),
        position_after=party.position,
    )
    batch.rows.fills.append(fill)


def _outcome(batch: BatchRows, event: PositionTransferred | LiquidationStepped | ForcedActionDone) -> StepOutcome:
    """The receipt's outcome; when its events come in two batches, the second adds to the outcome that the first has written."""
    outcome = batch.rows.steps.setdefault((event.liquidation, event.step), StepOutcome({}, [], event.seq))
    outcome.event_seq = event.seq
    return outcome
