"""Funding: premium samples, what an interval came to, and who paid whom (docs/semantics.md, "Index, mark, funding")."""

from exchange.engine.prices.funding import next_interval_end
from schemas.events import FundingPaid, FundingSettled, PremiumSampled
from schemas.units import datetime_of
from store.money.ledger import funding_entries
from store.projection.batch_rows import BatchRows
from store.projection.errors import ProjectionBroken
from store.projection.rows import FundingRow, PaymentRow, PremiumRow


class FundingSums:
    """Proves that the payments of one funding and its residue sum to zero.

    The events of one command may be cut between two records, and so between two batches: only what the batch holds
    whole is judged here, the audit judges the rest.
    """

    def __init__(self, market: str) -> None:
        self._market = market
        self._open: dict[tuple[int, int], int] = {}

    def settled(self, event: FundingSettled) -> None:
        """A funding begins; its payments follow in events of the same command."""
        self._open[event.command, event.interval_end] = event.residue

    def paid(self, event: FundingPaid) -> None:
        """Some of the payments."""
        funding = (event.command, event.interval_end)
        if funding in self._open:
            self._open[funding] += sum(payment.amount for payment in event.payments)

    def check(self, last_command: int) -> None:
        """Raises ProjectionBroken when money was made or lost by a command before the batch's last one."""
        for (command, _), difference in self._open.items():
            if difference and command < last_command:
                raise ProjectionBroken(self._market, command=command, reason="funding", difference=difference)


def sample_premium(batch: BatchRows, event: PremiumSampled) -> None:
    """One minute's premium, and what the rate would be."""
    market, end = batch.rows.market, datetime_of(event.interval_end)
    market.predicted_funding_rate, market.next_funding_at = event.predicted_rate, event.interval_end
    batch.rows.premiums.append(
        PremiumRow(
            event_seq=event.seq,
            interval_end=end,
            premium=event.premium,
            index_price=event.index,
            at=datetime_of(event.at),
        )
    )


def settle_funding(batch: BatchRows, event: FundingSettled) -> None:
    """The rate that is applied from now on; it posts nothing, the payments do. A new interval has no prediction yet."""
    market, end, interval = batch.rows.market, datetime_of(event.interval_end), batch.spec.funding_interval_us
    market.funding_rate, market.predicted_funding_rate, market.forgets_prediction = event.rate, None, True
    market.next_funding_at = next_interval_end(event.at, interval)
    batch.rows.fundings.append(
        FundingRow(
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
    """Payments of up to 500 positions; what they do not sum to zero is the insurance fund's for the moment."""
    end, at = datetime_of(event.interval_end), datetime_of(event.at)
    for payment in event.payments:
        batch.rows.payments.append(
            PaymentRow(
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
