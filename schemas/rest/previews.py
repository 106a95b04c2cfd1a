"""Bodies of order previews."""

from schemas.orders import EndReason, OrderStatus
from schemas.rest.bodies import View
from schemas.rest.order_groups import RefusalView


class PriceFillView(View, frozen=True):
    """What the order would trade at one price."""

    price: str
    quantity: str


class PositionAfterView(View, frozen=True):
    """The position after the fills, as `GET /positions` would show it at the same marks."""

    side: str
    quantity: str
    entry_price: str
    liquidation_price: str | None


class OutcomeView(View, frozen=True):
    """What the engine does with the order on the book as of `commandSequence`.

    `status` and `reason` are those that the order would have right after it was matched; an order that rests is OPEN or
    PARTIALLY_FILLED. `bestOppositePrice` is what a rejected post-only order would have met. `fills` are merged by price, best
    first; `fee` and `realizedPnl` are their sums. `position` is the one afterwards, null when flat. `positionIfFilled` is the one
    after what rests of the order has filled too, at its price, as a maker; null where nothing rests.

    `isTruncated`: the order meets more than 2,000 resting orders. Then `status` and `reason` are null, and the figures are
    those of its fills with the first 2,000; of a FOK, if it is filled.
    """

    status: OrderStatus | None
    reason: EndReason | None
    is_truncated: bool
    filled_quantity: str
    remaining_quantity: str
    cut_quantity: str
    average_price: str | None
    best_opposite_price: str | None
    fills: list[PriceFillView]
    fee: str
    realized_pnl: str
    position: PositionAfterView | None
    position_if_filled: PositionAfterView | None


class PreviewView(View, frozen=True):
    """What `POST /orders` would answer now: the refusal, or the effect of the order on the account and what becomes of it.

    `price` is the limit, or the protection price of a market order; `notional` is the value of the order at it.
    `marginRequired` is the margin of the whole account with the order, `marginAdded` the change due to the order (negative
    when it lowers it), `availableMargin` the equity left over. `feeMax` is the maximum fee.

    `commandSequence` is the last command of the market that is counted: orders and cancels still under way are not, though the
    account's own count for its margin. It is null for a market that is unknown, or an order that no market accepts. `outcome` is
    null when the order is refused, in a market whose rules are newer than this API process, and of a conditional order: it waits,
    and its price, its margin and its fee are those of the moment at which it fires. So `feeMax` is null, and `price` and
    `notional` of one without a limit.
    """

    is_accepted: bool
    refusal: RefusalView | None
    price: str | None
    notional: str | None
    margin_required: str | None
    margin_added: str | None
    equity: str | None
    available_margin: str | None
    fee_max: str | None
    command_sequence: int | None
    outcome: OutcomeView | None
