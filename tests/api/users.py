"""Users who register and log in over HTTP, with a password and an authenticator app."""

from dataclasses import dataclass, replace
from typing import Any

import pyotp

from tests.api.exchange import Client, Exchange, Reply, now

PASSWORD = "correct horse"
OTHER = "another horse"


async def registered(exchange: Exchange, email: str = "alice@example.com") -> Client:
    """A user who has registered and logged in."""
    nobody = exchange.anonymous()
    assert (await nobody.call("POST", "/auth/register", {"email": email, "password": PASSWORD})).status == 201
    return await entered(exchange, email)


async def entered(exchange: Exchange, email: str = "alice@example.com", **fields: Any) -> Client:
    """The same user after one more login."""
    reply = await log_in(exchange, email, **fields)
    assert reply.status == 200, reply.body
    return replace(exchange.anonymous(), token=reply.body["token"], user=int(reply.body["userId"]))


async def log_in(exchange: Exchange, email: str = "alice@example.com", **fields: Any) -> Reply:
    """One attempt to log in."""
    body = {"email": email, "password": PASSWORD} | fields
    return await exchange.anonymous().call("POST", "/auth/login", body)


@dataclass
class App:
    """An authenticator app, and the recovery codes its owner wrote down."""

    secret: str
    recovery_codes: list[str]

    def code(self, steps: int = 0) -> str:
        """The code of now, or of steps of 30 seconds later."""
        return pyotp.TOTP(self.secret).at(now() // 1_000_000, counter_offset=steps)

    @property
    def wrong(self) -> str:
        """Six digits that are not accepted now or soon."""
        near = {self.code(steps) for steps in range(-3, 4)}
        return next(text for text in (f"{number:06}" for number in range(8)) if text not in near)


async def with_totp(client: Client) -> App:
    """The user enrols an app; the code of the step before is used up with it."""
    secret = (await client.call("POST", "/auth/totp")).body["secret"]
    app = App(secret, [])
    confirmed = await client.call("POST", "/auth/totp/confirm", {"code": app.code(-1)})
    assert confirmed.status == 200, confirmed.body
    app.recovery_codes = confirmed.body["recoveryCodes"]
    return app
