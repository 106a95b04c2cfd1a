"""A client of the Perpetua exchange: REST and the socket, for asyncio.

async with Client("http://127.0.0.1:8080", key="perp_…") as client:
    placed = await client.place(OrderRequest(market_id="BTC-PERP", side="BUY", type="MARKET", quantity=Decimal("0.01")))
    order = await client.order(placed.order_id, after=placed.command_id)
"""

from perpetua_client.client import Client
from perpetua_client.credentials import Bearer, Credentials, Signer
from perpetua_client.errors import OutcomeUnknown, PerpetuaError, RateLimited, Refusal, SequenceGap, Unavailable
from perpetua_client.live.book import Book
from perpetua_client.live.socket import Socket
from perpetua_client.messages import CurrentMessage
from perpetua_client.models import AmendRequest, Fill, LegRequest, Order, OrderRequest
from perpetua_client.orders import Placed

__all__ = [
    "AmendRequest",
    "Bearer",
    "Book",
    "Client",
    "Credentials",
    "CurrentMessage",
    "Fill",
    "LegRequest",
    "Order",
    "OrderRequest",
    "OutcomeUnknown",
    "PerpetuaError",
    "Placed",
    "RateLimited",
    "Refusal",
    "SequenceGap",
    "Signer",
    "Socket",
    "Unavailable",
]
