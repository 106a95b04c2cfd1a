"""Funding: premium samples, the result of an interval, and its payments (docs/semantics.md, "Index, mark, funding")."""

from exchange.engine.prices.funding import next_interval_end
from schemas.events import FundingPaid, FundingSettled, PremiumSampled
from schemas.units import datetime_of
from store.money.ledger import funding_entries
from store.projection.batch_rows import BatchRows
from store.projection.errors import ProjectionBroken
from store.projection.rows import FundingRow, PaymentRow, PremiumRow


class FundingSums:
    """Proves that the payments of one funding and its residue sum to zero.

    The events of one command may be split over two records, and so over two batches: only commands that are complete in
    the batch are checked here, the audit checks the rest.
    """

    def __init__(self, market: str) -> None:
        self._market = market
        self._open: dict[tuple[int, int], int] = {}

    def settled(self, event: FundingSettled) -> None:
        """Start a funding; its payments follow in events of the same command."""
        self._open[event.command, event.interval_end] = event.residue

    def paid(self, event: FundingPaid) -> None:
        """Add some of the payments."""
        funding = (event.command, event.interval_end)
        if funding in self._open:
            self._open[funding] += sum(payment.amount for payment in event.payments)

    def check(self, last_command: int) -> None:
        """Raise ProjectionBroken when a command before the batch's last one created or lost money."""
        for (command, _), difference in self._open.items():
            if difference and command < last_command:
                raise ProjectionBroken(self._market, command=command, reason="funding", difference=difference)


def fold_premium(batch: BatchRows, event: PremiumSampled) -> None:
    """Write one minute's premium, and the predicted rate."""
    market, end = batch.rows.market, datetime_of(event.interval_end)
    market.predicted_funding_rate, market.next_funding_at = event.predicted_rate, event.interval_end
    batch.rows.premiums.append(
        PremiumRow(
            market_id=batch.market_id,
            event_seq=event.seq,
            interval_end=end,
            premium=event.premium,
            index_price=event.index,
            at=datetime_of(event.at),
        )
    )


def settle_funding(batch: BatchRows, event: FundingSettled) -> None:
    """Write the result of a funding; the payments post the money, not this. The new interval has no prediction yet."""
    market, end, interval = batch.rows.market, datetime_of(event.interval_end), batch.spec.funding_interval_us
    market.funding_rate, market.predicted_funding_rate, market.forgets_prediction = event.rate, None, True
    market.next_funding_at = next_interval_end(event.at, interval)
    batch.rows.fundings.append(
        FundingRow(
            market_id=batch.market_id,
            interval_end=end,
            event_seq=event.seq,
            rate=event.rate,
            premium_sum=event.premium_sum,
            mark=event.mark,
            index_price=event.index,
            residue=event.residue,
            is_void=event.is_void,
            at=datetime_of(event.at),
        )
    )


def pay_funding(batch: BatchRows, event: FundingPaid) -> None:
    """Post payments of up to 500 positions; until the funding is complete, the insurance fund holds the difference to zero."""
    end, at = datetime_of(event.interval_end), datetime_of(event.at)
    for payment in event.payments:
        batch.rows.payments.append(
            PaymentRow(
                market_id=batch.market_id,
                interval_end=end,
                user_id=payment.user,
                event_seq=event.seq,
                lots=payment.lots,
                mark=event.mark,
                rate=event.rate,
                amount=payment.amount,
                at=at,
            )
        )
    batch.post(event, funding_entries(event))
