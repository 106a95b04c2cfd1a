"""What becomes of open sockets when the session of their token ends."""

from dataclasses import replace

from tests.api.exchange import Exchange
from tests.api.live.client import Live
from tests.api.live.test_socket_orders import BID
from tests.api.users import OTHER, PASSWORD, entered, registered


async def goodbye_to(live: Live) -> int:
    """Read to the end; the code of the goodbye, which comes before the close frame with the same code."""
    await live.until_closed()
    goodbye = live.others[-1]
    assert (goodbye["op"], goodbye["reason"]) == ("goodbye", "logged out")
    code: int = goodbye["code"]
    return code


async def test_logout_closes_the_sockets_of_that_session(exchange: Exchange) -> None:
    """`goodbye`, then 4001; its orders are no more accepted, other sessions and API keys go on, and `auth` refuses the token."""
    alice, phone = await registered(exchange), await entered(exchange)
    key = (await alice.call("POST", "/api-keys", {"label": "bot", "scopes": ["trade"]})).body["secret"]
    mine, other, bot = [await Live.open(exchange, each) for each in (alice, phone, replace(alice, token=key))]
    assert (await alice.call("POST", "/auth/logout")).status == 204
    assert await goodbye_to(mine) == 4001
    for live in (other, bot):
        assert (await live.ask("ping")).status == 200
    late = await Live.open(exchange)
    assert (await late.ask("auth", token=alice.token)).code == "UNAUTHENTICATED"
    assert (await late.ask("order.place", **BID)).code == "UNAUTHENTICATED"


async def test_a_new_password_closes_the_sockets_of_every_other_session(exchange: Exchange) -> None:
    """Also in another process, and of tokens of the release before; the caller's own socket stays."""
    alice, phone = await registered(exchange), await entered(exchange)
    second = await Exchange(exchange.dsn).start()
    old = replace(alice, token=exchange.services.tokens.issue(alice.user))
    mine, there, unnamed = (
        await Live.open(exchange, alice),
        await Live.open(second, phone),
        await Live.open(second, old),
    )
    change = {"password": PASSWORD, "newPassword": OTHER}
    assert (await alice.call("POST", "/auth/password", change)).status == 204
    assert [await goodbye_to(there), await goodbye_to(unnamed)] == [4001, 4001]
    assert (await mine.ask("ping")).status == 200
    await second.stop()


async def test_a_socket_that_went_on_with_a_newer_token_is_of_that_session(exchange: Exchange) -> None:
    """The end of the older session leaves it alone; the end of the newer one closes it."""
    first, second = await registered(exchange), await entered(exchange)
    live = await Live.open(exchange, first)
    assert (await live.ask("auth", token=second.token)).status == 200
    await first.call("POST", "/auth/logout")
    assert (await live.ask("ping")).status == 200
    await second.call("POST", "/auth/logout")
    assert await goodbye_to(live) == 4001
