"""`auth` on the socket with a signature: the secret is not sent, and nobody who has seen the frame can use it."""

from typing import Any

from schemas.rest.api_keys import Scope
from tests.api.exchange import Exchange
from tests.api.live.client import Live
from tests.api.signing import Signer, now_ms, signature, signer_of


def auth(signer: Signer, at_ms: int | None = None, path: str = "/ws") -> dict[str, Any]:
    """The fields of `auth`."""
    time_ms = now_ms() if at_ms is None else at_ms
    signed = signature(signer.secret, time_ms, "GET", path)
    return {"apiKey": signer.key_id, "timestamp": str(time_ms), "signature": signed}


async def test_a_signature_opens_the_socket_once(exchange: Exchange) -> None:
    """Its scopes hold; the same frame on another connection is refused, and so is one for another path or time."""
    signer = await signer_of(await exchange.user(), Scope.READ)
    live, fields = await Live.open(exchange), auth(signer)
    done = await live.ask("auth", **fields)
    assert (done.status, done.body["scopes"]) == (200, ["read"])
    assert (await live.ask("order.cancel_all")).code == "FORBIDDEN"
    thief = await Live.open(exchange)
    for wrong, reason in (
        (fields, "SIGNATURE_USED"),
        (auth(signer, path="/ws?"), "SIGNATURE_WRONG"),
        (auth(signer, at_ms=now_ms() - 6_000), "TIMESTAMP_OUTSIDE_WINDOW"),
        (auth(signer) | {"apiKey": "777"}, "SIGNATURE_WRONG"),
    ):
        refused = await thief.ask("auth", **wrong)
        assert (refused.status, refused.details["reason"]) == (401, reason)
    assert (await thief.ask("order.cancel_all")).status == 401


async def test_auth_takes_one_kind_of_credentials(exchange: Exchange) -> None:
    """A token next to a signature, a part of a signature, nothing: INVALID_REQUEST."""
    alice = await exchange.user()
    signer = await signer_of(alice)
    live = await Live.open(exchange)
    for fields in (auth(signer) | {"token": alice.token}, {"apiKey": signer.key_id, "timestamp": "1"}, {}):
        refused = await live.ask("auth", **fields)
        assert (refused.status, refused.code) == (400, "INVALID_REQUEST")


async def test_a_revoked_key_ends_what_its_signature_has_opened(exchange: Exchange) -> None:
    """As with a token: the next request is refused."""
    alice = await exchange.user()
    signer = await signer_of(alice)
    live = await Live.open(exchange)
    assert (await live.ask("auth", **auth(signer))).status == 200
    await alice.call("DELETE", f"/api-keys/{signer.key_id}")
    exchange.services.keys._cached.clear()
    assert (await live.ask("order.cancel_all")).status == 401
