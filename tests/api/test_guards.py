"""Authorization: every protected route against every bad token, and a walk over the router."""

import base64
import json
import re
import time
from typing import Any

import jwt

from api.access.api_keys import hash_of, new_secret
from api.access.tokens import Tokens
from api.route import Access
from api.routes import ALL_ROUTES
from schemas.rest.api_keys import KEY_PREFIX
from schemas.units import Timestamp
from tests.api.exchange import SECRET, Exchange, example_path

PUBLIC = {
    ("POST", "/auth/register"),
    ("GET", "/time"),
    ("POST", "/auth/login"),
    ("GET", "/markets"),
    ("GET", "/markets/{marketId}"),
    ("GET", "/markets/{marketId}/risk-tiers"),
    ("GET", "/markets/{marketId}/funding"),
    ("GET", "/markets/{marketId}/fills"),
    ("GET", "/markets/{marketId}/orderbook"),
    ("GET", "/markets/{marketId}/trades"),
    ("GET", "/markets/{marketId}/candles"),
    ("GET", "/markets/{marketId}/ticker"),
    ("GET", "/insurance-fund"),
    ("GET", "/metrics"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/healthz"),
    ("GET", "/openapi.json"),
    ("GET", "/"),
    ("GET", "/account"),
    ("GET", "/docs"),
    ("GET", "/trade/{marketId}"),
    ("GET", "/operate"),
    ("GET", "/web/{version}/{file}"),
    ("GET", "/docs/{file}"),
    ("GET", "/asyncapi.json"),
    ("GET", "/docs/events"),
    ("GET", "/ws"),
}


def _claims(**changes: Any) -> dict[str, Any]:
    at = int(time.time())
    usual = {"sub": "1", "iat": at, "exp": at + 600, "iss": "perpetua", "aud": "perpetua-api"}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def _signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(_claims(**changes), secret, algorithm=algorithm)


def user_of(tokens: Tokens, word: str) -> int | None:
    """The user that a valid token names."""
    verified = tokens.verified(word)
    return None if verified is None else verified.user


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _bad_headers() -> dict[str, str]:
    """Authorization headers that identify no user, by fault."""
    good = _signed()
    head, body, signature = good.split(".")
    at = int(time.time())
    bearers = {
        "no token": "",
        "a word": "nonsense",
        "two dots": "..",
        "no signature": f"{head}.{body}.",
        "cut signature": good[:-4],
        "changed signature": f"{head}.{body}.{signature[::-1]}",
        "changed body": f"{head}.{_part(_claims(sub='2'))}.{signature}",
        "four parts": f"{good}.x",
        "alg none": f"{_part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "alg None": f"{_part({'alg': 'None'})}.{body}.",
        "alg missing": f"{_part({'typ': 'JWT'})}.{body}.{signature}",
        "alg HS512": _signed(SECRET * 2, "HS512"),
        "alg RS256 in name": f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{body}.{signature}",
        "head is a list": f"{_part([])}.{body}.{signature}",
        "head is deep": f"{base64.urlsafe_b64encode(b'[' * 1200).decode()}.{body}.{signature}",
        "other secret": _signed("another secret, also quite long enough for it"),
        "expired": _signed(exp=at - 1),
        "issued in the future": _signed(iat=at + 600),
        "not yet valid": _signed(nbf=at + 600),
        "no exp": _signed(exp=None),
        "no iat": _signed(iat=None),
        "no sub": _signed(sub=None),
        "no iss": _signed(iss=None),
        "no aud": _signed(aud=None),
        "other issuer": _signed(iss="somebody"),
        "other audience": _signed(aud="somebody"),
        "exp is a word": _signed(exp="never"),
        "exp is infinite": _signed(exp=float("inf")),
        "sub is zero": _signed(sub="0"),
        "sub is negative": _signed(sub="-1"),
        "sub is padded": _signed(sub="01"),
        "sub is huge": _signed(sub="9" * 40),
        "sub is a word": _signed(sub="alice"),
        "sub is other digits": _signed(sub="\u0663"),
        "oversized": good + "A" * 3_000,
        "very oversized": "A" * 60_000,
        "not ASCII": good + "\u00e9",
        "a key that nobody has": new_secret(),
        "a key cut short": new_secret()[:-1],
        "a key with a tail": new_secret() + "A",
        "a key not in ASCII": new_secret()[:-1] + "\u00e9",
        "an oversized key": new_secret() + "A" * 3_000,
        "a bare prefix": KEY_PREFIX,
        "a key's hash": KEY_PREFIX + hash_of(new_secret()).hex()[:43],
        "with a space": good.replace(".", " ."),
    }
    others = {
        "Basic": "Basic YWxpY2U6c2VjcmV0",
        "no scheme": good,
        "Token": f"Token {good}",
        "two": f"Bearer {good}, {good}",
    }
    return {name: f"Bearer {token}" for name, token in bearers.items()} | others


def _filled(path: str) -> str:
    """The path with an id in each of its places."""
    return re.sub(r"\{\w+\}", "1", path.replace("{marketId}", "BTC-PERP"))


async def test_no_bad_token_opens_any_protected_route(exchange: Exchange) -> None:
    """401 UNAUTHENTICATED, for any fault of the token, on every route that is not public."""
    await exchange.user(None)
    nobody, headers = exchange.anonymous(), _bad_headers()
    assert len(headers) >= 30
    for route in ALL_ROUTES:
        if route.access is Access.PUBLIC:
            continue
        path = example_path(route.path)
        for name, header in headers.items():
            reply = await nobody.call(route.method, path, headers={"Authorization": header})
            assert (reply.status, reply.code) == (401, "UNAUTHENTICATED"), (route.path, name)
            assert reply.headers["WWW-Authenticate"] == "Bearer"


async def test_every_route_is_guarded_or_listed_as_public(exchange: Exchange) -> None:
    """The walk over the router: without a token only what is listed here answers anything but 401."""
    nobody = exchange.anonymous()
    for route in exchange.server.app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        reply = await nobody.call(route.method, example_path(path, "X"))
        method = "GET" if route.method == "HEAD" else route.method
        assert (reply.status == 401) != ((method, path) in PUBLIC) or path == "/auth/login", path


async def test_two_authorization_headers_are_refused(exchange: Exchange) -> None:
    """A request has one caller: which of two tokens counts is not left to chance."""
    alice = await exchange.user(None)
    url = f"{alice.url}/balances"
    headers = [("Authorization", f"Bearer {alice.token}"), ("Authorization", "Bearer x")]
    async with exchange.session.get(url, headers=headers) as response:
        assert response.status == 401


async def test_the_role_is_looked_up_and_not_read_from_the_token(exchange: Exchange) -> None:
    """FORBIDDEN for a user whose token claims a role; the grant counts from the next call on."""
    alice = await exchange.user(None)
    claimed = _signed(sub=str(alice.user), role="admin")
    mine, alice.token = alice.token, claimed
    assert (await alice.call("POST", "/admin/drain", {})).code == "FORBIDDEN"
    await exchange.execute("UPDATE users SET role = 'admin'")
    alice.token = mine
    assert (await alice.call("POST", "/admin/drain", {})).code == "DRAIN_TIMED_OUT"


async def test_secrets_are_exchanged_without_a_new_login() -> None:
    """A token of the secret before is good until that is given up; new ones are signed by the new secret alone."""
    at, other = Timestamp(time.time_ns() // 1_000), "another secret, also quite long enough for it"
    token = Tokens(SECRET, lambda: at).issue(7)
    both = Tokens(other, lambda: at, previous_secret=SECRET)
    after = Tokens(other, lambda: at)
    assert [user_of(both, token), user_of(after, token)] == [7, None]
    fresh = both.issue(8)
    assert [user_of(tokens, fresh) for tokens in (both, after, Tokens(SECRET, lambda: at))] == [8, 8, None]


async def test_a_remembered_token_still_expires() -> None:
    """The cache of verified tokens keeps the expiry, and no more tokens than it may."""
    time_s = [int(time.time())]
    tokens = Tokens(SECRET, lambda: Timestamp(time_s[0] * 1_000_000), lifetime_s=60, remembered_max=2)
    first, *others = (tokens.issue(user) for user in (1, 2, 3))
    assert [user_of(tokens, token) for token in (first, *others, first)] == [1, 2, 3, 1]
    time_s[0] += 60
    assert tokens.verified(first) is None


def test_clocks_of_two_processes_may_differ_by_ten_seconds() -> None:
    """For `iat` and `nbf`; `exp` has no leeway, and decides at every call."""
    at = 1_800_000_000
    tokens = Tokens(SECRET, lambda: Timestamp(at * 1_000_000))
    for claim in ("iat", "nbf"):
        users = [user_of(tokens, _signed(**{"iat": at, "exp": at + 600, claim: at + ahead})) for ahead in (10, 11)]
        assert users == [1, None]
    assert [user_of(tokens, _signed(iat=at, exp=at + left)) for left in (1, 0)] == [1, None]
