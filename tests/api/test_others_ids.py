"""What belongs to another is as unknown as what never was: the same status, code and words on every route with an id."""

import re

from api.documents.openapi_examples import EXAMPLES
from api.route import Access
from api.routes import ALL_ROUTES
from tests.api.exchange import Client, Exchange, Reply
from tests.api.users import registered

NEVER_WAS = {"orderId": "BTC-PERP-999999", "clientOrderId": "nobodys", "keyId": "999999", "sessionId": "999999"}
OPEN_TO_ALL = {"marketId", "file", "kind", "month"}


def _answered(reply: Reply, named: str) -> tuple[int, str]:
    """Status and body without the request's number and the id that was asked for."""
    text = re.sub(r"req-[0-9a-f]+-[0-9a-f]+", "", str(reply.body))
    return reply.status, text.replace(named, "ID")


async def _owned_by(exchange: Exchange, alice: Client) -> dict[str, str]:
    """One of each thing that has an id."""
    order = await alice.order(clientOrderId="hers")
    key = await alice.call("POST", "/api-keys", {"label": "hers", "scopes": ["read"]})
    session = (await (await registered(exchange)).get("/auth/sessions")).body["data"][0]["sessionId"]
    return {
        "orderId": order.body["orderId"],
        "clientOrderId": "hers",
        "keyId": key.body["key"]["keyId"],
        "sessionId": session,
    }


async def test_anothers_id_is_answered_like_an_unknown_one(exchange: Exchange) -> None:
    """Every route whose path names something of a user's: Bob learns nothing of Alice's, and changes nothing."""
    alice, bob = await exchange.user(), await exchange.user()
    hers = await _owned_by(exchange, alice)
    asked = 0
    for route in ALL_ROUTES:
        names = set(re.findall(r"\{(\w+)\}", route.path)) - OPEN_TO_ALL
        if route.access is not Access.USER or not names:
            continue
        (name,) = names
        body = EXAMPLES.get(route.body)
        theirs = await bob.call(route.method, route.path.replace(f"{{{name}}}", hers[name]), body)
        nobodys = await bob.call(route.method, route.path.replace(f"{{{name}}}", NEVER_WAS[name]), body)
        assert theirs.status == 404, route.path
        assert _answered(theirs, hers[name]) == _answered(nobodys, NEVER_WAS[name]), route.path
        asked += 1
    assert asked >= 3
    assert (await alice.get(f"/orders/{hers['orderId']}")).body["cancelRequestedAt"] is None
    assert (await alice.get("/api-keys")).body["data"][0]["revokedAt"] is None


async def test_lists_hold_nothing_of_another_however_they_are_filtered(exchange: Exchange) -> None:
    """Bob filters by Alice's ids and finds nothing, as for unknown ids; with her cursor he pages through his own list."""
    alice, bob = await exchange.user(), await exchange.user()
    placed = await alice.order()
    await (await exchange.user()).order(side="SELL")
    await exchange.run_engine()
    assert (await alice.get(f"/fills?orderId={placed.body['orderId']}")).body["data"]
    assert (await bob.get(f"/fills?orderId={placed.body['orderId']}")).body["data"] == []
    await alice.order()
    cursor = (await alice.get("/orders?limit=1")).body["nextCursor"]
    assert (await bob.get(f"/orders?cursor={cursor}")).body["data"] == []
    assert (await bob.get(f"/orders?cursor={cursor}&marketId=BTC-PERP")).body["data"] == []
