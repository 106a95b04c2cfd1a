"""Who may do what on the socket: tokens and keys, their scopes, their end, and a new one in time."""

from typing import Any

import pytest

from api.access.tokens import Tokens
from schemas.units import Timestamp
from tests.api.exchange import SECRET, Exchange, now
from tests.api.live.client import Live
from tests.api.live.test_socket_orders import BID
from tests.eventually import eventually

NEEDS_A_USER: list[tuple[str, dict[str, Any]]] = [
    ("order.place", BID),
    ("order.cancel", {"orderId": "BTC-PERP-1"}),
    ("order.amend", {"orderId": "BTC-PERP-1", "price": "1"}),
    ("order.cancel_all", {}),
    ("cancel_on_disconnect", {"enabled": True}),
]


@pytest.mark.parametrize(("op", "fields"), NEEDS_A_USER)
async def test_without_a_user_it_is_refused(exchange: Exchange, op: str, fields: dict[str, Any]) -> None:
    """401, also after a wrong token; a key without the scope: 403."""
    user, live = await exchange.user(), await Live.open(exchange)
    assert (await live.ask(op, **fields)).code == "UNAUTHENTICATED"
    for wrong in ("nonsense", "pk_" + "x" * 43, user.token[:-2]):  # type: ignore[index]
        assert (await live.ask("auth", token=wrong)).code == "UNAUTHENTICATED"
    assert (await live.ask(op, **fields)).status == 401
    key = await user.call("POST", "/api-keys", {"label": "reader", "scopes": ["read"]})
    assert (await live.ask("auth", token=key.body["secret"])).body["scopes"] == ["read"]
    refused = await live.ask(op, **fields)
    assert (refused.status, refused.code) == (403, "FORBIDDEN")


async def test_an_expired_token_ends_the_authorisation_and_a_new_one_goes_on(exchange: Exchange) -> None:
    """At its `exp`, as over REST; a new token of the same user goes on, one of another user is refused."""
    user, other = await exchange.user(), await exchange.user()
    brief = Tokens(SECRET, lambda: Timestamp(now() - 10_000_000), lifetime_s=11).issue(user.user)
    live = await Live.open(exchange)
    named = await live.ask("auth", token=brief)
    assert (named.status, named.body["userId"], named.body["scopes"]) == (
        200,
        str(user.user),
        ["read", "trade", "withdraw"],
    )
    assert named.body["expiresAt"].endswith("Z")
    assert (await live.ask("order.place", **BID)).status == 202
    await eventually(lambda: _is_refused(live))
    foreign = await live.ask("auth", token=other.token)
    assert (foreign.status, foreign.code) == (400, "INVALID_REQUEST")
    assert (await live.ask("auth", token=user.token)).status == 200
    assert (await live.ask("order.place", **BID)).status == 202


async def test_a_revoked_key_is_refused_at_the_next_request(exchange: Exchange) -> None:
    """One second later at the latest, as over REST."""
    user, live = await exchange.user(), await Live.open(exchange)
    key = await user.call("POST", "/api-keys", {"label": "bot", "scopes": ["trade"]})
    assert (await live.ask("auth", token=key.body["secret"])).status == 200
    assert (await live.ask("order.place", **BID)).status == 202
    await user.call("DELETE", f"/api-keys/{key.body['key']['keyId']}")
    await eventually(lambda: _is_refused(live))


async def test_a_key_works_from_its_addresses_only(exchange: Exchange) -> None:
    """From another it is unknown."""
    user, live = await exchange.user(), await Live.open(exchange)
    for network, status in (("10.0.0.0/8", 401), ("127.0.0.0/8", 200)):
        body = {"label": network[:8], "scopes": ["trade"], "allowedAddresses": [network]}
        key = await user.call("POST", "/api-keys", body)
        assert (await live.ask("auth", token=key.body["secret"])).status == status
    assert (await live.ask("order.place", **BID)).status == 202


async def _is_refused(live: Live) -> bool:
    return (await live.ask("order.place", **(BID | {"price": "1"}))).status == 401
