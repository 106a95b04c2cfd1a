"""Network addresses as text.

Exception
`-- CannotListen     a server cannot open its port
"""


class CannotListen(Exception):
    """A server cannot open its port: the address is taken or not of this machine, or the account may not."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        super().__init__(f"cannot listen on {address_text(host, port)} (HTTP_HOST and PORT): {error.strerror or error}")
        self.host = host
        self.port = port
        self.error = error


def address_text(host: str, port: int) -> str:
    """`host:port`; an IPv6 address gets brackets, an empty host (every address of the machine) is `*`."""
    return f"{_bracketed(host) or '*'}:{port}"


def local_address(host: str, port: int) -> str:
    """`host:port` at which a program of this machine reaches a server that listens on `host`; loopback where that is every address."""
    reached = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return address_text(reached, port)


def local_url(host: str, port: int) -> str:
    """The URL of such a server."""
    return f"http://{local_address(host, port)}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
