"""What the OpenAPI document says in words for the whole API: about it, its tags, its headers, its servers."""

from typing import Any

ABOUT = """\
Trade perpetual futures: market data, orders, positions and money of an account.

* **Numbers.** Money, prices, quantities and rates are decimal strings, exact to the last digit: never read them as floats. Counters are
  integers of up to 64 bits.
* **Times** are RFC 3339 in UTC with microseconds. **Ids** are opaque strings.
* **Authentication.** `Authorization: Bearer …` carries the token of `POST /auth/login` or the secret of an API key. Each route names the
  scope that a key needs.
* **Lists** come in pages: send `limit`, and then the `nextCursor` of a page as `cursor` to get the next one, until it is null. The five
  lists whose `limit` is required here also answer without any query parameter: then with a bare array of at most the 500 newest items,
  and a `Link` header to the page after them.
* **Orders** are accepted with a 202 before they are matched. Send its `X-Command-Id` as `X-Wait-For-Command` with a GET, and the answer
  includes the effect of that order.
* **Repeating.** After a time-out or a 503 the outcome may be unknown: send the same body again with the same `clientOrderId` (orders) or
  `Idempotency-Key` (money). Nothing is done twice.
* **Errors** are `{"error": {"code", "message", "requestId", "details"?}}`. Decide by `code`, which never changes its meaning; `message` is
  for people.
* **Rate limits** are in `RateLimit` and `RateLimit-Policy` of every answer that was counted; a 429 has `Retry-After`.
* **Compatibility.** Fields are added to answers, routes to the API, and words to enums that are marked `x-extensible-enum`: ignore what
  you do not know.

The stream of public fills and the socket are in `/asyncapi.json`, shown at `/docs/events`."""

TAGS = {
    "auth": "Register, log in, and manage sessions, API keys and the second factor",
    "markets": "Public market data: markets, order books, trades, candles, funding, the insurance fund",
    "account": "Money, positions, fills and history of the caller's account",
    "orders": "Place, amend, cancel, preview and read the caller's orders",
    "live": "The socket: market data, private events and orders on one connection",
    "admin": "For operators. Every route needs the token of an administrator; API keys are not accepted",
    "health": "Probes and metrics of the API process",
    "docs": "Documents and pages: nothing that a client of the API calls",
}

HEADERS: dict[str, str] = {
    "X-Request-Id": "Opaque id of this request; quote it when you report a problem",
    "Location": "URL of the resource",
    "X-Command-Id": "Id of the command in the market's log; send it as `X-Wait-For-Command` to read its effect",
    "Idempotent-Replayed": "`true`: a repetition; nothing was done",
    "Retry-After": "Seconds to wait before the next call",
    "RateLimit": "Remaining calls and seconds until the reset: draft-ietf-httpapi-ratelimit-headers-10",
    "RateLimit-Policy": "The rate limit that the call was counted against: calls and seconds of its window",
    "Link": 'The next page, `rel="next"`, when there is more than the bare array holds',
}

SERVERS: list[dict[str, Any]] = [
    {
        "url": "{origin}",
        "description": "An exchange. Its operator names the origin; `make run` starts one at the default",
        "variables": {
            "origin": {
                "default": "http://127.0.0.1:8080",
                "description": "Scheme, host and port, without a final slash",
            }
        },
    }
]
