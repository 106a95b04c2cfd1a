"""Security headers of every answer: no sniffing, no caching, no framing, no referrer; the server software is not named."""

SERVER_NAME = "perpetua"
FRAMED_BY_NOBODY = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_PLAIN = {
    "Server": SERVER_NAME,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; {FRAMED_BY_NOBODY}",
    "Referrer-Policy": "no-referrer",
}
_BEHIND_TLS = _PLAIN | {"Strict-Transport-Security": "max-age=31536000"}


def of_every_answer(*, is_behind_tls: bool) -> dict[str, str]:
    """The headers; HSTS only when a proxy is known to terminate TLS."""
    return _BEHIND_TLS if is_behind_tls else _PLAIN
