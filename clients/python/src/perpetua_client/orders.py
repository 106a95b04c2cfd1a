"""Orders over REST that are placed once, whatever happens to the connection.

Each order has a clientOrderId, which the exchange accepts once, forever. A call without an answer is repeated with the same id and
the same body: the exchange answers with the order that it has, or accepts it now.
"""

import secrets
from urllib.parse import quote

import msgspec

from perpetua_client.errors import Refusal
from perpetua_client.models import AmendRequest, AmendTaken, CancelTaken, Order, OrderAnswers, OrderRequest, OrderTaken
from perpetua_client.reading import Reading
from perpetua_client.repeating import Repeating


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """An order that the exchange has: `command_id` is for reads that are to include it."""

    order_id: str
    client_order_id: str
    status: str
    command_id: str | None
    is_replay: bool = False
    take_profit_order_id: str | None = None
    stop_loss_order_id: str | None = None


class Orders:
    """The calls that change orders."""

    _reading: Reading
    _repeating: Repeating

    async def place(self, order: OrderRequest, *, is_repetition: bool = False) -> Placed:
        """Place an order once. Raises Refusal, Unavailable (it was not placed), or OutcomeUnknown with its clientOrderId.

        `is_repetition`: an earlier try, elsewhere, had no answer.
        """
        order = with_client_order_id(order)
        client_order_id = str(order.client_order_id)
        answer = await self._repeating.once(
            "POST",
            "/orders",
            order,
            reference=client_order_id,
            done_before=self._is_placed,
            is_repetition=is_repetition,
        )
        return placed_of(answer.body, client_order_id, answer.command_id, is_replay=answer.is_replay)

    async def cancel(self, order_id: str, *, is_repetition: bool = False) -> CancelTaken:
        """Cancel an order. Raises Refusal `ORDER_NOT_OPEN` when it has ended."""
        answer = await self._repeating.once(
            "DELETE",
            f"/orders/{quote(order_id)}",
            None,
            reference=order_id,
            done_before=_is_pending,
            is_repetition=is_repetition,
        )
        return msgspec.json.decode(answer.body, type=CancelTaken)

    async def cancel_by_client_id(self, client_order_id: str) -> CancelTaken:
        """Cancel the order with this clientOrderId."""
        path = f"/orders/by-client-id/{quote(client_order_id, safe='')}"
        answer = await self._repeating.once("DELETE", path, None, reference=client_order_id, done_before=_is_pending)
        return msgspec.json.decode(answer.body, type=CancelTaken)

    async def cancel_all(self, market_id: str | None = None) -> OrderAnswers:
        """Cancel every live and waiting order, of one market or of all."""
        path = "/orders" if market_id is None else f"/orders?marketId={quote(market_id)}"
        answer = await self._repeating.once("DELETE", path, None, reference=path)
        return msgspec.json.decode(answer.body, type=OrderAnswers)

    async def amend(self, order_id: str, terms: AmendRequest, *, is_repetition: bool = False) -> AmendTaken:
        """Give an order new terms. Raises Refusal `ORDER_NOT_OPEN` when it has ended or another amend is on its way."""
        answer = await self._repeating.once(
            "PUT",
            f"/orders/{quote(order_id)}",
            terms,
            reference=order_id,
            done_before=_is_pending,
            is_repetition=is_repetition,
        )
        return msgspec.json.decode(answer.body, type=AmendTaken)

    async def order_by_client_id(self, client_order_id: str, *, after: str | None = None) -> Order | None:
        """The order with this clientOrderId; None: the exchange has none."""
        path = f"/orders/by-client-id/{quote(client_order_id, safe='')}"
        try:
            return msgspec.json.decode((await self._reading.get(path, after=after)).body, type=Order)
        except Refusal as refusal:
            if refusal.code != "ORDER_NOT_FOUND":
                raise
            return None

    async def _is_placed(self, client_order_id: str, refusal: Refusal) -> bytes | None:
        """A repetition is refused, for instance because the margin is used up by now: perhaps by the first try, so ask."""
        if refusal.code == "DUPLICATE_CLIENT_ORDER_ID":  # the exchange has another order of this id
            return None
        found = await self.order_by_client_id(client_order_id)
        if found is None:
            return None
        return msgspec.json.encode(OrderTaken(order_id=found.order_id, status=found.status))


def with_client_order_id(order: OrderRequest) -> OrderRequest:
    """The order with a clientOrderId: its own, or a random one."""
    return order if order.client_order_id else msgspec.structs.replace(order, client_order_id=secrets.token_hex(16))


def placed_of(body: bytes, client_order_id: str, command_id: str | None, *, is_replay: bool) -> Placed:
    """What the exchange says of an order that it has."""
    taken = msgspec.json.decode(body, type=OrderTaken)
    return Placed(
        order_id=taken.order_id,
        client_order_id=client_order_id,
        status=taken.status,
        command_id=command_id,
        is_replay=is_replay,
        take_profit_order_id=taken.take_profit_order_id,
        stop_loss_order_id=taken.stop_loss_order_id,
    )


async def _is_pending(order_id: str, refusal: Refusal) -> bytes | None:
    """A repeated cancel or amend finds the first one on its way."""
    reason = str(refusal.details.get("reason", ""))
    if not reason.endswith("_PENDING"):
        return None
    status = {"CANCEL_PENDING": "PENDING_CANCEL", "AMEND_PENDING": "PENDING_AMEND"}[reason]
    return msgspec.json.encode({"orderId": order_id, "status": status})
