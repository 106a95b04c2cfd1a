"""Orders over the socket; one without a result is settled over REST, under the same clientOrderId."""

from abc import abstractmethod
from typing import Any, TypeVar

import msgspec

from perpetua_client.errors import Unavailable
from perpetua_client.live.connection import Frame, Lost
from perpetua_client.models import AmendRequest, AmendTaken, CancelTaken, OrderRequest
from perpetua_client.orders import Orders, Placed, placed_of, with_client_order_id
from perpetua_client.wire import plain

T = TypeVar("T")
_NO_RESULT = (Lost, Unavailable)


class LiveOrders:
    """The order requests of a connection; they may be on their way together."""

    _orders: Orders

    @abstractmethod
    async def request(self, op: str, **fields: Any) -> Frame:
        """One request."""

    async def place(self, order: OrderRequest) -> Placed:
        """Place an order once: as `Client.place`, over the socket."""
        order = with_client_order_id(order)
        try:
            result = await self.request("order.place", **plain(order))
        except _NO_RESULT:
            return await self._orders.place(order, is_repetition=True)
        body, is_replay = bytes(result.body), result.status == 200
        return placed_of(body, str(order.client_order_id), result.command_id, is_replay=is_replay)

    async def cancel(self, order_id: str) -> CancelTaken:
        """Cancel an order."""
        try:
            return _taken(await self.request("order.cancel", orderId=order_id), CancelTaken)
        except _NO_RESULT:
            return await self._orders.cancel(order_id, is_repetition=True)

    async def amend(self, order_id: str, terms: AmendRequest) -> AmendTaken:
        """Give an order new terms."""
        try:
            return _taken(await self.request("order.amend", orderId=order_id, **plain(terms)), AmendTaken)
        except _NO_RESULT:
            return await self._orders.amend(order_id, terms, is_repetition=True)


def _taken(result: Frame, kind: type[T]) -> T:
    return msgspec.json.decode(bytes(result.body), type=kind)
